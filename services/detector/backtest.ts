/** Walks history forward through the same judging as live: at each step only what was then known is seen. */
import { LeaklineError } from '../../shared/errors.ts';
import { applyEvent, type Incident, type IncidentEvent } from '../../shared/incident.ts';
import type { GrowthKind, Judgement } from '../../shared/judgement.ts';
import { BlockSeries } from './block-series.ts';
import { readHistory, type HistoryCounts, type HistoryProgress } from './history-file.ts';
import type { HistoryRow } from './history-row.ts';
import { sortedRows } from './history-sort.ts';
import { GridWalk } from './grid-walk.ts';
import { serviceKey } from './incidents.ts';
import type { Policy } from './policy.ts';

/** One line of the findings file: an incident, as it was when it opened. */
export interface Finding {
  readonly service: string;
  /** ISO 8601. */
  readonly detectedAt: string;
  readonly instances: readonly string[];
  readonly kind: GrowthKind;
  readonly slopeBytesPerHour: number;
  readonly slopeLow: number;
  readonly slopeHigh: number;
  /** ISO 8601; null where no limit is known. */
  readonly exhaustsAt: string | null;
  readonly confidence: number;
  readonly reason: string;
}

export interface BacktestOptions {
  readonly files: readonly string[];
  readonly stepMs: number;
  readonly policy: Policy;
  readonly onProgress?: (progress: HistoryProgress) => void;
}

export interface BacktestResult extends HistoryCounts {
  readonly findings: readonly Finding[];
  /** What was thought of each service at the end of its history. */
  readonly judgements: readonly Judgement[];
}

/** A row of a lifetime that is older than this many base blocks than its service's clock makes the file unsorted. */
const DISORDER_BLOCKS = 5;

class Unsorted extends Error {}

/** One service on its own clock, so that files sorted by time and files sorted by service both stream. */
export class ServiceWalk {
  readonly opened: Judgement[] = [];
  readonly #walk: GridWalk;
  readonly #policy: Policy;
  readonly #stepMs: number;
  readonly #blocks = new Map<string, BlockSeries>();
  readonly #incidents = new Map<string, Incident>();
  #newest = Number.NEGATIVE_INFINITY;
  #next = Number.NaN;

  constructor(service: string, environment: string, policy: Policy, stepMs: number) {
    this.#walk = new GridWalk(service, environment, policy, stepMs);
    this.#policy = policy;
    this.#stepMs = stepMs;
  }

  add(row: HistoryRow): void {
    const { time } = row;
    if (Number.isNaN(this.#next)) this.#next = (Math.floor(time / this.#stepMs) + 1) * this.#stepMs;
    while (this.#next <= time) this.#step();
    if (time < this.#newest - DISORDER_BLOCKS * this.#policy.baseBlockMs) throw new Unsorted();
    this.#newest = Math.max(this.#newest, time);
    let blocks = this.#blocks.get(row.instance);
    if (blocks === undefined) {
      blocks = new BlockSeries(identityOf(row), this.#policy.baseBlockMs);
      this.#blocks.set(row.instance, blocks);
    }
    blocks.add(row);
  }

  end(): Judgement[] {
    if (Number.isNaN(this.#next)) return [];
    while (this.#next <= this.#newest + this.#stepMs) this.#step();
    return this.#walk.history.judge(this.#next - this.#stepMs).pooled;
  }

  #step(): void {
    const at = this.#next;
    this.#next += this.#stepMs;
    const series = [...this.#blocks.values()].map((blocks) => blocks.series);
    const event = this.#walk.step(at, series, [...this.#incidents.values()]);
    if (event !== undefined) this.#apply(event);
    for (const [lifetime, blocks] of this.#blocks) {
      blocks.dropBefore(at);
      if (at - blocks.lastTime > this.#policy.quietMs) this.#blocks.delete(lifetime);
    }
  }

  #apply(event: IncidentEvent): void {
    const next = applyEvent(this.#incidents.get(event.incident), event);
    if (next !== undefined) this.#incidents.set(event.incident, next);
    if (event.type === 'opened') this.opened.push(event.judgement);
  }
}

function identityOf(row: HistoryRow) {
  return {
    service: row.service,
    environment: row.environment,
    version: row.version,
    instance: row.instance,
    lifetime: row.instance,
    runtime: 'native',
    startedAt: row.time,
  } as const;
}

export async function runBacktest(options: BacktestOptions): Promise<BacktestResult> {
  if (!(options.stepMs > 0)) {
    throw new LeaklineError('LKL_ERR_USAGE', `step ${String(options.stepMs)} ms must be longer than 0, such as 5m`);
  }
  try {
    return await walk(options, (onRow, counts) => eachFile(options, onRow, counts));
  } catch (error) {
    if (!(error instanceof Unsorted)) throw error;
    return walk(options, (onRow, counts) => sortedRows(options.files, onRow, counts, options.onProgress));
  }
}

async function eachFile(options: BacktestOptions, onRow: (row: HistoryRow) => void, counts: HistoryCounts): Promise<void> {
  for (const file of options.files) await readHistory(file, onRow, counts, options.onProgress);
}

type RowSource = (onRow: (row: HistoryRow) => void, counts: HistoryCounts) => Promise<void>;

async function walk({ policy, stepMs }: BacktestOptions, source: RowSource): Promise<BacktestResult> {
  const walks = new Map<string, ServiceWalk>();
  const counts: HistoryCounts = { rows: 0, skipped: 0, firstSkipped: '' };
  await source((row) => {
    const key = row.environment === '' ? row.service : serviceKey(row.service, row.environment);
    let service = walks.get(key);
    if (service === undefined) {
      service = new ServiceWalk(row.service, row.environment, policy, stepMs);
      walks.set(key, service);
    }
    service.add(row);
  }, counts);
  const judgements = [...walks.values()].flatMap((service) => service.end());
  const findings = [...walks.values()].flatMap(({ opened }) => opened.map(findingOf));
  findings.sort((a, b) => (a.detectedAt < b.detectedAt ? -1 : a.detectedAt > b.detectedAt ? 1 : a.service < b.service ? -1 : 1));
  return { ...counts, findings, judgements };
}

export function findingOf(judgement: Judgement): Finding {
  return {
    service: judgement.service,
    detectedAt: new Date(judgement.at).toISOString(),
    instances: judgement.instances,
    kind: judgement.kind,
    slopeBytesPerHour: judgement.slopeBytesPerHour,
    slopeLow: judgement.slopeLow,
    slopeHigh: judgement.slopeHigh,
    exhaustsAt: judgement.exhaustsAt === null ? null : new Date(judgement.exhaustsAt).toISOString(),
    confidence: judgement.confidence,
    reason: `${judgement.reason}: ${judgement.explanation}`,
  };
}
