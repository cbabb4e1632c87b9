/** How far the services of a shard have been judged, so that a detector that starts knows what nobody has judged. */
import { toSqlTime } from './sql-time.ts';
import type { Store } from './store.ts';

/** Milliseconds UTC; undefined if no detector ever judged it. */
export async function readJudgedThrough(store: Store, shard: string): Promise<number | undefined> {
  const [row] = await store.query<{ at: number }>(
    `SELECT toUnixTimestamp64Milli(max(judged_through)) AS at FROM detector_progress WHERE shard = {shard:String}`,
    { shard },
  );
  return row === undefined || row.at === 0 ? undefined : row.at;
}

export async function saveJudgedThrough(store: Store, shard: string, at: number): Promise<void> {
  await store.insertRows('detector_progress', [{ shard, judged_through: toSqlTime(at) }]);
}
