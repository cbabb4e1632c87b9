/** Which part of all services a service belongs to, the same here and in the store (`CRC32(service) % count`). */
import { crc32 } from 'node:zlib';

/** Some of `count` shards. */
export interface Shards {
  readonly count: number;
  readonly owned: readonly number[];
}

export const shardOf = (service: string, count: number): number => crc32(service) % count;
