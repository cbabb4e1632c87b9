/** Compares what the store holds with what the oracle knows: each obligation once and unchanged, nothing that was not issued, rollups equal. */
import { METRIC_NAMES } from '../../shared/sample.ts';
import type { Store } from '../../shared/store/store.ts';
import { payloadOf, rowKey, type ObligedRow, type Oracle } from './oracle.ts';

export interface Verdict {
  /** Acknowledged and not stored. */
  readonly lost: string[];
  /** Stored more than once, as people see it. */
  readonly doubled: string[];
  /** Stored and never issued, or refused, or with another value. */
  readonly wrong: string[];
  /** Minutes and hours whose rollup differs from the raw rows. */
  readonly rollups: string[];
  readonly stored: number;
}

export const isClean = ({ lost, doubled, wrong, rollups }: Verdict): boolean =>
  lost.length + doubled.length + wrong.length + rollups.length === 0;

type StoredRow = Readonly<Record<(typeof METRIC_NAMES)[number], number | null>> & {
  readonly lifetime: string;
  readonly at: number;
  readonly copies: number;
  readonly service: string;
  readonly instance: string;
  readonly version: string;
  readonly agent: string;
  readonly boot: string;
  readonly seq: number;
};

const NAMES = ['service', 'instance', 'version', 'agent', 'boot'] as const;

/** `lifetimes`: of these alone, which is quick; all = also rows of lifetimes nobody issued. */
export async function judge(store: Store, oracle: Oracle, lifetimes: readonly string[] | 'all'): Promise<Verdict> {
  if (lifetimes !== 'all')
    return judgeWhere(store, `lifetime IN (${lifetimes.map((name) => `'${name}'`).join(', ')})`, pick(oracle, lifetimes));
  const digits = Array.from({ length: 16 }, (_, digit) => digit.toString(16));
  const verdicts: Verdict[] = [];
  // In parts: the whole as text is more than a string may hold.
  for (const digit of digits) {
    const mine = [...oracle.rows.keys()].filter((lifetime) => lifetime.startsWith(digit));
    verdicts.push(await judgeWhere(store, `startsWith(lifetime, '${digit}')`, pick(oracle, mine)));
  }
  return {
    lost: verdicts.flatMap(({ lost }) => lost),
    doubled: verdicts.flatMap(({ doubled }) => doubled),
    wrong: verdicts.flatMap(({ wrong }) => wrong),
    rollups: verdicts.flatMap(({ rollups }) => rollups),
    stored: verdicts.reduce((sum, { stored }) => sum + stored, 0),
  };
}

const pick = (oracle: Oracle, lifetimes: readonly string[]): ReadonlyMap<string, ObligedRow> =>
  new Map(lifetimes.flatMap((lifetime) => [...(oracle.rows.get(lifetime) ?? [])]));

async function judgeWhere(store: Store, where: string, issued: ReadonlyMap<string, ObligedRow>): Promise<Verdict> {
  const stored = await store.query<StoredRow>(
    `SELECT lifetime, toUnixTimestamp64Milli(time) AS at, toUInt32(count()) AS copies, toUInt32(any(raw_samples.seq)) AS seq,
      ${[...NAMES, ...METRIC_NAMES].map((name) => `any(raw_samples.${name}) AS ${name}`).join(', ')}
    FROM raw_samples FINAL WHERE ${where} GROUP BY lifetime, time`,
  );
  const doubled: string[] = [];
  const wrong: string[] = [];
  const found = new Set<string>();
  for (const row of stored) {
    const key = rowKey(row.lifetime, row.at);
    found.add(key);
    if (row.copies !== 1) doubled.push(key);
    const payload = payloadOf(
      [...NAMES.map((name) => row[name]), row.seq],
      METRIC_NAMES.map((name) => row[name]),
    );
    const obliged = issued.get(key);
    if (obliged === undefined) wrong.push(`${key}: never issued`);
    else if (obliged.refused) wrong.push(`${key}: was refused`);
    else if (obliged.payload !== payload) wrong.push(`${key}: issued ${obliged.payload}, stored ${payload}`);
  }
  const lost = [...issued].filter(([key, { acknowledged }]) => acknowledged && !found.has(key)).map(([key]) => key);
  const rollups = [...(await rollupDifferences(store, 'minute', where)), ...(await rollupDifferences(store, 'hour', where))];
  return { lost, doubled, wrong, rollups, stored: stored.length };
}

/** What a rollup says and what the raw rows say, where the two differ. */
async function rollupDifferences(store: Store, unit: 'minute' | 'hour', where: string): Promise<string[]> {
  const floor = unit === 'minute' ? 'toStartOfMinute' : 'toStartOfHour';
  const differing = await store.query<{ lifetime: string; at: string; raw: string; rolled: string }>(
    `SELECT lifetime, toString(start) AS at, toString(fromRaw) AS raw, toString(fromRollup) AS rolled FROM
      (SELECT lifetime, toDateTime64(${floor}(time), 3, 'UTC') AS start,
        (count(), min(rss), max(rss), argMax(rss, time), min(heap_used), max(heap_used), argMax(gc_count, time), max(threads)) AS fromRaw,
        sum(toFloat64(rss)) AS rawSum
        FROM raw_samples FINAL WHERE ${where} GROUP BY lifetime, start) AS r
    FULL OUTER JOIN
      (SELECT lifetime, toDateTime64(${unit}, 3, 'UTC') AS start,
        (sum(toUInt64(samples)), min(rss_min), max(rss_max), any(rss_last), min(heap_used_min), max(heap_used_max), any(gc_count_last), max(threads_max)) AS fromRollup,
        sum(rss_sum) AS rolledSum
        FROM ${unit}_rollups FINAL WHERE ${where} GROUP BY lifetime, start) AS m
    USING (lifetime, start)
    WHERE toString(fromRaw) != toString(fromRollup) OR abs(rawSum - rolledSum) > 1`,
  );
  return differing.map(({ lifetime, at, raw, rolled }) => `${unit} ${at} of ${lifetime}: raw ${raw}, rollup ${rolled}`);
}
