/** How far the services of a shard have been judged, so that a detector that starts knows what nobody has judged. */
import { toSqlTime } from './sql-time.ts';
import type { Store } from './store.ts';

/** Of all of them together: the one judged least far counts. Milliseconds UTC; undefined if none was ever judged. */
export async function readJudgedThrough(store: Store, shards: readonly string[]): Promise<number | undefined> {
  const rows = await store.query<{ at: number }>(
    `SELECT toUnixTimestamp64Milli(max(judged_through)) AS at FROM detector_progress WHERE shard IN {shards:Array(String)} GROUP BY shard`,
    { shards },
  );
  return rows.length === 0 ? undefined : Math.min(...rows.map(({ at }) => at));
}

export async function saveJudgedThrough(store: Store, shards: readonly string[], at: number): Promise<void> {
  await store.insertRows(
    'detector_progress',
    shards.map((shard) => ({ shard, judged_through: toSqlTime(at) })),
  );
}
