/** Compares what the store holds with what the oracle knows: each obligation once and unchanged, nothing that was not issued, rollups equal. */
import type { Store } from '../../shared/store/store.ts';
import { rowKey, type ObligedRow } from './oracle.ts';

export interface Verdict {
  /** Acknowledged and not stored. */
  readonly lost: string[];
  /** Stored more than once, as people see it. */
  readonly doubled: string[];
  /** Stored and never issued, or with another value. */
  readonly wrong: string[];
  /** Minutes and hours whose rollup differs from the raw rows. */
  readonly rollups: string[];
  readonly stored: number;
}

interface StoredRow {
  readonly lifetime: string;
  readonly at: number;
  readonly rss: number | null;
  readonly anon: number | null;
  readonly copies: number;
}

export async function judge(store: Store, rows: ReadonlyMap<string, ObligedRow>): Promise<Verdict> {
  const stored = await store.query<StoredRow>(
    `SELECT lifetime, toUnixTimestamp64Milli(time) AS at, any(rss) AS rss, any(anon) AS anon, toUInt32(count()) AS copies
    FROM raw_samples FINAL GROUP BY lifetime, time`,
  );
  const byKey = new Map(stored.map((row) => [rowKey(row.lifetime, row.at), row]));
  const lost = [...rows].filter(([key, { acknowledged }]) => acknowledged && !byKey.has(key)).map(([key]) => key);
  const doubled = [...byKey].filter(([, { copies }]) => copies !== 1).map(([key]) => key);
  const wrong = [...byKey]
    .filter(([key, { rss, anon }]) => {
      const issued = rows.get(key);
      return issued === undefined || issued.rss !== rss || issued.anon !== anon;
    })
    .map(([key]) => key);
  const rollups = (await Promise.all([rollupDifferences(store, 'minute'), rollupDifferences(store, 'hour')])).flat();
  return { lost, doubled, wrong, rollups, stored: stored.length };
}

/** What a rollup says and what the raw rows say, where the two differ. */
async function rollupDifferences(store: Store, unit: 'minute' | 'hour'): Promise<string[]> {
  const floor = unit === 'minute' ? 'toStartOfMinute' : 'toStartOfHour';
  const differing = await store.query<{ lifetime: string; at: string; raw: string; rolled: string }>(
    `SELECT lifetime, toString(start) AS at, toString(fromRaw) AS raw, toString(fromRollup) AS rolled FROM
      (SELECT lifetime, toDateTime64(${floor}(time), 3, 'UTC') AS start, (count(), min(rss), max(rss), sum(toFloat64(rss))) AS fromRaw
        FROM raw_samples FINAL GROUP BY lifetime, start) AS r
    FULL OUTER JOIN
      (SELECT lifetime, toDateTime64(${unit}, 3, 'UTC') AS start,
        (sum(toUInt64(samples)), min(rss_min), max(rss_max), sum(rss_sum)) AS fromRollup
        FROM ${unit}_rollups FINAL GROUP BY lifetime, start) AS m
    USING (lifetime, start)
    WHERE fromRaw.1 != fromRollup.1 OR fromRaw.2 != fromRollup.2 OR fromRaw.3 != fromRollup.3 OR abs(fromRaw.4 - fromRollup.4) > 1`,
  );
  return differing.map(({ lifetime, at, raw, rolled }) => `${unit} ${at} of ${lifetime}: raw ${raw}, rollup ${rolled}`);
}
