/** Walks history forward through the same judging as live: at each step only what was then known is seen. */
import { LeaklineError } from '../../shared/errors.ts';
import type { GrowthKind, Judgement } from '../../shared/judgement.ts';
import { BacktestService, type Repeats, type ServiceAccount } from './backtest-service.ts';
import type { HistoryCounts } from './history-file.ts';
import type { HistoryRow } from './history-row.ts';
import { fileRows, type HistoryProgress, type RowSource } from './history-source.ts';
import { RowSorter } from './history-sort.ts';
import { serviceKey } from './incidents.ts';
import type { Policy } from './policy.ts';
import { ServiceWalk, Unsorted } from './service-walk.ts';

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
