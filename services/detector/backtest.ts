/** Walks history forward through the same judging as live: at each step only what was then known is seen. */
import { LeaklineError } from '../../shared/errors.ts';
import { applyEvent, type Incident, type IncidentEvent } from '../../shared/incident.ts';
import type { GrowthKind, Judgement } from '../../shared/judgement.ts';
import { readHistory, type HistoryCounts, type HistoryProgress } from './history-file.ts';
import type { HistoryRow } from './history-row.ts';
import { sortedRows } from './history-sort.ts';
import { reconcile, serviceKey, type LastLeak } from './incidents.ts';
import type { Policy } from './policy.ts';
import { ServiceHistory } from './service.ts';

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

/** While an incident is open it is looked at every so many steps: only its end matters then. */
const OPEN_STRIDE = 6;

/** A row of a lifetime that is older than this many base blocks than its service's clock makes the file unsorted. */
const DISORDER_BLOCKS = 5;

class Unsorted extends Error {}

/** One service on its own clock, so that files sorted by time and files sorted by service both stream. */
export class ServiceWalk {
  readonly history: ServiceHistory;
  readonly opened: Judgement[] = [];
  readonly #policy: Policy;
  readonly #stepMs: number;
  readonly #incidents = new Map<string, Incident>();
  readonly #lastLeak: LastLeak = new Map();
  #next = Number.NaN;
  #steps = 0;
  #active = false;

  constructor(service: string, environment: string, policy: Policy, stepMs: number) {
    this.history = new ServiceHistory(service, environment, policy);
    this.#policy = policy;
    this.#stepMs = stepMs;
  }

  add(row: HistoryRow): void {
    if (Number.isNaN(this.#next)) this.#next = Math.ceil(row.time / this.#stepMs) * this.#stepMs;
    while (this.#next <= row.time) this.#step();
    if (row.time < this.history.lastTime - DISORDER_BLOCKS * this.#policy.baseBlockMs) throw new Unsorted();
    const lifetime = this.history.lifetimes.get(row.instance) ?? this.history.lifetimeOf(identityOf(row));
    if (row.time <= lifetime.lastTime) return;
    if (row.limit >= 0) lifetime.limitBytes = row.limit;
    if (row.heap_limit >= 0) lifetime.heapLimitBytes = row.heap_limit;
    lifetime.add(row.time, {
      anon: row.anon,
      rss: row.rss,
      workingSet: row.working_set,
      swap: row.swap,
      heapUsed: row.heap_used,
      heapLive: row.heap_live,
      heapCommitted: row.heap_committed,
      requests: row.requests,
      requestRate: row.requests_per_second,
    });
    this.history.lastTime = Math.max(this.history.lastTime, row.time);
  }

  end(): Judgement[] {
    if (Number.isNaN(this.#next)) return [];
    while (this.#next <= this.history.lastTime + this.#stepMs) this.#step();
    return this.history.judge(this.#next - this.#stepMs).pooled;
  }

  #step(): void {
    const at = this.#next;
    this.#next += this.#stepMs;
    this.#steps += 1;
    const changed = this.history.advance(at);
    if (this.#active ? this.#steps % OPEN_STRIDE !== 0 : !changed || !this.history.hasLeak()) return;
    for (const event of reconcile(this.history.judge(at).pooled, this.#incidents.values(), this.#lastLeak, at, this.#policy))
      this.#apply(event);
  }

  #apply(event: IncidentEvent): void {
    const next = applyEvent(this.#incidents.get(event.incident), event);
    if (next !== undefined) this.#incidents.set(event.incident, next);
    this.#active = next?.state === 'open';
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

function findingOf(judgement: Judgement): Finding {
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
