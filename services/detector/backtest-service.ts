/** One service in a backtest: what Leakline says of it, what the rules in use would have said, and what a report draws of it. */
import type { Judgement } from '../../shared/judgement.ts';
import type { HistoryRow } from './history-row.ts';
import { ReportCurve, type CurvePoints } from './report-curve.ts';
import { RulesInUse, type RuleAlarms, type RuleInUse } from './rules-in-use.ts';
import { replicaOf } from './service.ts';
import type { ServiceWalk } from './service-walk.ts';

/** Instances drawn per service; of more, the newest and those that leak. */
const MOST_CURVES = 48;
/** Instances remembered to notice rows that repeat; beyond it those silent for a day are forgotten. */
const MOST_INSTANCES = 4096;
const DAY_MS = 86_400_000;
const MOST_DEPLOYS = 100;

export interface AccountCurve extends CurvePoints {
  readonly instance: string;
  readonly replica: string;
}

export interface ServiceAccount {
  readonly service: string;
  readonly environment: string;
  readonly rows: number;
  /** Rows without any memory reading. */
  readonly rowsWithoutMemory: number;
  readonly from: number;
  readonly to: number;
  readonly instances: number;
  /** Incidents as they were when they opened, oldest first. */
  readonly opened: readonly Judgement[];
  readonly resolvedAt: readonly number[];
  /** What was thought of it at the end; undefined without rows. */
  readonly last: Judgement | undefined;
  readonly rules: Readonly<Record<RuleInUse, RuleAlarms>>;
  readonly deploys: readonly { readonly version: string; readonly at: number }[];
  /** Empty unless asked for. */
  readonly curves: readonly AccountCurve[];
}

interface Instance {
  lastTime: number;
  lastBytes: number;
  curve: ReportCurve | undefined;
}

export interface Repeats {
  /** Rows left out because their instance has one of that time already. */
  repeated: number;
  /** Those of them that say something else, and the first of these. */
  conflicting: number;
  firstConflict: string;
}

const SEVERITY: readonly Judgement['verdict'][] = ['steady', 'growing', 'undecided', 'leak'];

export class BacktestService {
  readonly #walk: ServiceWalk;
  readonly #rules = new RulesInUse();
  readonly #instances = new Map<string, Instance>();
  readonly #repeats: Repeats;
  readonly #withCurves: boolean;
  readonly #deploys: { version: string; at: number }[] = [];
  readonly #versions = new Set<string>();
  #rows = 0;
  #blind = 0;
  #seen = 0;
  #from = Number.POSITIVE_INFINITY;
  #to = Number.NEGATIVE_INFINITY;

  constructor(walk: ServiceWalk, repeats: Repeats, withCurves: boolean) {
    this.#walk = walk;
    this.#withCurves = withCurves;
    this.#repeats = repeats;
  }

  add(row: HistoryRow): void {
    const bytes = memoryOf(row);
    this.#rows += 1;
    let instance = this.#instances.get(row.instance);
    if (instance === undefined) instance = this.#begin(row);
    else if (row.time === instance.lastTime) {
      this.#repeat(row, instance, bytes);
      return;
    }
    this.#walk.add(row);
    instance.lastTime = row.time;
    instance.lastBytes = bytes;
    if (Number.isNaN(bytes)) this.#blind += 1;
    if (row.time < this.#from) this.#from = row.time;
    if (row.time > this.#to) this.#to = row.time;
    const isHeapOnly = !(row.anon > 0 || row.rss > 0 || row.working_set > 0);
    const limit = isHeapOnly ? row.heap_limit : row.limit;
    this.#rules.add(
      row.instance,
      row.time,
      row.rss > 0 ? row.rss : bytes,
      row.working_set > 0 ? row.working_set : row.rss > 0 ? row.rss : bytes,
      limit > 0 ? limit : 0,
    );
    instance.curve?.add(row.time, bytes);
  }

  end(): { account: ServiceAccount; judgements: Judgement[] } {
    this.#rules.end();
    const judgements = this.#walk.end();
    const { history, opened, resolvedAt } = this.#walk;
    const account: ServiceAccount = {
      service: history.service,
      environment: history.environment,
      rows: this.#rows,
      rowsWithoutMemory: this.#blind,
      from: this.#from,
      to: this.#to,
      instances: this.#seen,
      opened,
      resolvedAt,
      last: judgements.reduce<Judgement | undefined>(
        (worst, next) => (worst === undefined || isWorse(next, worst) ? next : worst),
        undefined,
      ),
      rules: this.#rules.alarms,
      deploys: this.#deploys.slice(1),
      curves: this.#curves(),
    };
    return { account, judgements };
  }

  #begin(row: HistoryRow): Instance {
    if (this.#instances.size >= MOST_INSTANCES) {
      for (const [name, { lastTime }] of this.#instances) if (lastTime < row.time - DAY_MS) this.#instances.delete(name);
    }
    if (this.#withCurves) this.#makeRoom();
    const instance: Instance = {
      lastTime: Number.NEGATIVE_INFINITY,
      lastBytes: Number.NaN,
      curve: this.#withCurves ? new ReportCurve() : undefined,
    };
    this.#instances.set(row.instance, instance);
    this.#seen += 1;
    if (row.version !== '' && !this.#versions.has(row.version) && this.#deploys.length < MOST_DEPLOYS) {
      this.#versions.add(row.version);
      this.#deploys.push({ version: row.version, at: row.time });
    }
    return instance;
  }

  /** The oldest curve of an instance that no finding names goes. */
  #makeRoom(): void {
    const drawn = [...this.#instances].filter(([, { curve }]) => curve !== undefined);
    if (drawn.length < MOST_CURVES) return;
    const named = new Set(this.#walk.opened.flatMap(({ instances }) => instances));
    const oldest = drawn.find(([name]) => !named.has(name));
    if (oldest !== undefined) oldest[1].curve = undefined;
  }

  #repeat(row: HistoryRow, instance: Instance, bytes: number): void {
    const repeats = this.#repeats;
    repeats.repeated += 1;
    if (bytes === instance.lastBytes || Number.isNaN(bytes) || Number.isNaN(instance.lastBytes)) return;
    repeats.conflicting += 1;
    if (repeats.firstConflict !== '') return;
    const at = new Date(row.time).toISOString();
    repeats.firstConflict = `service "${row.service}", instance "${row.instance}" at ${at}: ${String(instance.lastBytes)} and ${String(bytes)} bytes`;
  }

  #curves(): AccountCurve[] {
    return [...this.#instances].flatMap(([instance, { curve }]) =>
      curve === undefined ? [] : [{ instance, replica: replicaOf(instance), ...curve.points() }],
    );
  }
}

function isWorse(a: Judgement, b: Judgement): boolean {
  return SEVERITY.indexOf(a.verdict) > SEVERITY.indexOf(b.verdict) || (a.verdict === b.verdict && a.at > b.at);
}

/** The reading the detector judges by: the best signal the row has. */
function memoryOf(row: HistoryRow): number {
  const swap = row.swap > 0 ? row.swap : 0;
  if (row.anon > 0) return row.anon + swap;
  if (row.rss > 0) return row.rss + swap;
  if (row.working_set > 0) return row.working_set;
  if (row.heap_live > 0) return row.heap_live;
  return row.heap_used > 0 ? row.heap_used : Number.NaN;
}
