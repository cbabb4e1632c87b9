/** Walks history forward through the same judging as live: at each step only what was then known is seen. */
import { LeaklineError } from '../../shared/errors.ts';
import { applyEvent, type Incident, type IncidentEvent } from '../../shared/incident.ts';
import type { GrowthKind, Judgement } from '../../shared/judgement.ts';
import { RUNTIMES } from '../../shared/sample.ts';
import type { SeriesIdentity } from '../../shared/series.ts';
import { BlockSeries } from './block-series.ts';
import { GridWalk } from './grid-walk.ts';
import { BacktestService, type Repeats, type ServiceAccount } from './backtest-service.ts';
import type { HistoryCounts } from './history-file.ts';
import type { HistoryRow } from './history-row.ts';
import { fileRows, type HistoryProgress, type RowSource } from './history-source.ts';
import { RowSorter } from './history-sort.ts';
import { ACTIVE_STATES, serviceKey } from './incidents.ts';
import type { Policy } from './policy.ts';
import type { ServiceHistory } from './service.ts';

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
  readonly stepMs: number;
  readonly policy: Policy;
  /** Keep curves for a report. */
  readonly withCurves?: boolean;
  readonly onProgress?: (progress: HistoryProgress) => void;
}

export interface BacktestResult extends HistoryCounts, Repeats {
  readonly findings: readonly Finding[];
  readonly services: readonly ServiceAccount[];
  /** What was thought of each service at the end of its history. */
  readonly judgements: readonly Judgement[];
}

/** Rows between two words of progress while sorted rows are judged. */
const PROGRESS_ROWS = 1 << 14;

/** A row that comes after it was due: what was judged without it may be wrong. */
class Unsorted extends Error {}

/** One service on its own clock, so that files sorted by time and files sorted by service both stream. */
export class ServiceWalk {
  readonly opened: Judgement[] = [];
  readonly resolvedAt: number[] = [];
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

  get history(): ServiceHistory {
    return this.#walk.history;
  }

  add(row: HistoryRow): void {
    const { time } = row;
    if (Number.isNaN(this.#next)) this.#next = (Math.floor(time / this.#stepMs) + 1) * this.#stepMs;
    while (this.#next <= time) {
      this.#step();
      this.#skipSilence(time);
    }
    let blocks = this.#blocks.get(row.instance);
    if (time < this.#next - this.#stepMs || (blocks !== undefined && time < blocks.lastTime)) throw new Unsorted();
    this.#newest = Math.max(this.#newest, time);
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

  /** Nothing runs and nothing is open: no step before the next row can say anything. */
  #skipSilence(until: number): void {
    if (this.history.lifetimes.size > 0 || this.#blocks.size > 0) return;
    if ([...this.#incidents.values()].some(({ state }) => ACTIVE_STATES.has(state))) return;
    this.#next += Math.max(0, Math.ceil((until - this.#next) / this.#stepMs) - 1) * this.#stepMs;
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
    if (event.type === 'resolved') this.resolvedAt.push(event.at);
  }
}

function identityOf(row: HistoryRow): SeriesIdentity {
  return {
    service: row.service,
    environment: row.environment,
    version: row.version,
    instance: row.instance,
    lifetime: row.instance,
    runtime: RUNTIMES.find((runtime) => runtime === row.runtime) ?? 'native',
    startedAt: row.time,
  };
}

export function runBacktest(options: BacktestOptions & { readonly files: readonly string[] }): Promise<BacktestResult> {
  return backtestRows(fileRows(options.files), options);
}

/** Walks the rows as they come; where they are not in order of time, sorts them and walks again. */
export async function backtestRows(source: RowSource, options: BacktestOptions): Promise<BacktestResult> {
  if (!(options.stepMs > 0)) {
    throw new LeaklineError('LKL_ERR_USAGE', `step ${String(options.stepMs)} ms must be longer than 0, such as 5m`);
  }
  const straight = new Walks(options);
  try {
    const counts = newCounts();
    await source.read((row) => straight.add(row), counts, options.onProgress);
    return straight.end(counts);
  } catch (error) {
    if (!(error instanceof Unsorted)) throw error;
  }
  return walkSorted(source, options);
}

async function walkSorted(source: RowSource, options: BacktestOptions): Promise<BacktestResult> {
  source.checkRepeatable();
  const sorter = new RowSorter();
  const walks = new Walks(options);
  try {
    const counts = newCounts();
    const { onProgress } = options;
    await source.read(
      (row) => sorter.add(row),
      counts,
      (progress) => onProgress?.({ ...progress, stage: 'sorting' }),
    );
    let rows = 0;
    sorter.replay((row) => {
      walks.add(row);
      rows += 1;
      if (rows % PROGRESS_ROWS === 0) onProgress?.({ stage: 'judging', rows, share: rows / counts.rows });
    });
    return walks.end(counts);
  } finally {
    sorter.close();
  }
}

const newCounts = (): HistoryCounts => ({ rows: 0, skipped: 0, firstSkipped: '' });

class Walks {
  readonly #services = new Map<string, BacktestService>();
  readonly #repeats: Repeats = { repeated: 0, conflicting: 0, firstConflict: '' };
  readonly #options: BacktestOptions;

  constructor(options: BacktestOptions) {
    this.#options = options;
  }

  add(row: HistoryRow): void {
    const key = row.environment === '' ? row.service : serviceKey(row.service, row.environment);
    let service = this.#services.get(key);
    if (service === undefined) {
      const { policy, stepMs, withCurves = false } = this.#options;
      service = new BacktestService(new ServiceWalk(row.service, row.environment, policy, stepMs), this.#repeats, withCurves);
      this.#services.set(key, service);
    }
    service.add(row);
  }

  end(counts: HistoryCounts): BacktestResult {
    const ended = [...this.#services.values()].map((service) => service.end());
    const findings = ended.flatMap(({ account }) => account.opened.map(findingOf));
    findings.sort((a, b) => (a.detectedAt < b.detectedAt ? -1 : a.detectedAt > b.detectedAt ? 1 : a.service < b.service ? -1 : 1));
    return {
      ...counts,
      ...this.#repeats,
      findings,
      judgements: ended.flatMap(({ judgements }) => judgements),
      services: ended.map(({ account }) => account),
    };
  }
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
