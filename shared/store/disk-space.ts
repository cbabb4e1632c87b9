/** How much room there is where the store is, and how much it needs. */
import type { Store } from './store.ts';

/** What is left to merges and to what else is on the disk: a twentieth of it, at most this. */
const MOST_FLOOR_BYTES = 1024 ** 3;

/** Below it the embedded store takes no rows. */
export const floorBytes = (diskBytes: number): number => Math.min(MOST_FLOOR_BYTES, diskBytes / 20);

export interface DiskSpace {
  readonly freeBytes: number;
  readonly totalBytes: number;
}

/** Of the disk with the least room, as the store sees it; undefined where it does not say. */
export async function readDiskSpace(store: Store): Promise<DiskSpace | undefined> {
  const [space] = await store.query<DiskSpace>(
    `SELECT toFloat64(free_space) AS freeBytes, toFloat64(total_space) AS totalBytes
    FROM system.disks WHERE type = 'Local' AND total_space > 0 ORDER BY freeBytes LIMIT 1`,
  );
  return space;
}
