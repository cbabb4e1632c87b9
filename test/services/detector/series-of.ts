/** Builds the series of one lifetime from a function of time, for tests. */
import { BLOCK_COLUMNS, type BlockColumn, type Series, type SeriesIdentity } from '../../../shared/series.ts';

export const START = Date.UTC(2026, 0, 5);
export const MB = 1_000_000;

export interface SeriesSpec {
  readonly blockMs: number;
  readonly count: number;
  readonly from?: number;
  readonly identity?: Partial<SeriesIdentity>;
  /** Value of each column at a number of blocks since the start. */
  readonly columns: Partial<Record<BlockColumn, (block: number) => number>>;
}

export function seriesOf({ blockMs, count, from = START, identity = {}, columns }: SeriesSpec): Series {
  const time = Float64Array.from({ length: count }, (_, block) => from + block * blockMs);
  const filled = Object.fromEntries(
    BLOCK_COLUMNS.map((name) => [name, Float64Array.from({ length: count }, (_, block) => columns[name]?.(block) ?? Number.NaN)]),
  ) as Record<BlockColumn, Float64Array>;
  return {
    service: 'shop',
    environment: 'test',
    version: 'v1',
    instance: 'shop-0',
    lifetime: 'life-1',
    runtime: 'nodejs',
    startedAt: from,
    ...identity,
    blockMs,
    time,
    columns: filled,
  };
}

/** Small repeatable noise in -1..1. */
export function noise(seed: number): number {
  const x = Math.sin(seed * 12.9898) * 43758.5453;
  return 2 * (x - Math.floor(x)) - 1;
}
