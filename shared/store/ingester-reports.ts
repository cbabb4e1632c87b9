/** Reports of ingesters: figures since the report before (counters), and figures of the moment (gauges). */
import { toSqlTime } from './sql-time.ts';
import type { Store } from './store.ts';

/** Counted since the report before. */
export type Tallied =
  | 'rows'
  | 'repeated_rows'
  | 'dead_letters'
  | 'dropped_letters'
  | 'refused_rows'
  | 'cleared_values'
  | 'normalised'
  | 'store_failures'
  | 'paused_ms';

export interface ReportEntry {
  /** `lag_messages` by partition and `last_insert_at` (milliseconds UTC, 0 = none yet, in every report) are of the moment. */
  readonly kind: Tallied | 'lag_messages' | 'last_insert_at';
  /** Which of them: a code, a reason, a column, a partition; '' where there is but one. */
  readonly key: string;
  readonly value: number;
}

export interface IngesterReport {
  /** Milliseconds UTC, the ingester's clock; with its name it names the report. */
  readonly at: number;
  readonly ingester: string;
  readonly entries: readonly ReportEntry[];
}

/** Saving the same report again changes nothing. */
export async function saveIngesterReport(store: Store, { at, ingester, entries }: IngesterReport): Promise<void> {
  await store.insertRows(
    'ingester_reports',
    entries.map((entry) => ({ at: toSqlTime(at), ingester, ...entry })),
  );
}

export interface ReportedFigure extends Pick<ReportEntry, 'kind' | 'key'> {
  readonly ingester: string;
  /** Over all reports of the range. */
  readonly total: number;
  /** Of the newest report that has it, and when that was. */
  readonly latest: number;
  readonly at: number;
}

export async function readIngesterFigures(store: Store, since: number): Promise<ReportedFigure[]> {
  return store.query<ReportedFigure>(
    `SELECT
      toString(ingester) AS ingester, toString(kind) AS kind, toString(key) AS key, toFloat64(sum(value)) AS total,
      toFloat64(argMax(value, r.at)) AS latest, toUnixTimestamp64Milli(max(r.at)) AS at
    FROM ingester_reports AS r FINAL
    WHERE r.at >= fromUnixTimestamp64Milli({since:Int64})
    GROUP BY ingester, kind, key ORDER BY ingester, kind, key`,
    { since },
  );
}
