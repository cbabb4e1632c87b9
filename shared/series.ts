/**
 * What the detector reads: one process lifetime as blocks of equal width.
 * The store produces it from rollups (or raw rows for blocks below a minute), backtest from a file;
 * both give the same numbers, so live and backtest are one code path.
 */
import type { Runtime } from './sample.ts';

/** Columns of a block. A block that has no value of a column holds NaN there. All byte columns are bytes. */
export const BLOCK_COLUMNS = [
  /** Lowest, last and highest resident set size within the block. */
  'rssMin',
  'rssLast',
  'rssMax',
  /** Lowest anonymous memory of the process (of its cgroup where the process one is unknown). */
  'anonMin',
  'workingSetMin',
  'swapMin',
  /** Lowest heap in use within the block. */
  'heapUsedMin',
  /** Last value after a full collection. */
  'heapLiveLast',
  'heapCommittedLast',
  'externalMin',
  'objectsMin',
  /** Last seen limit of the cgroup; 0 = none, NaN = unknown. */
  'memoryLimitLast',
  'heapLimitLast',
  /** Counters since process start, last value within the block. */
  'gcFullCountLast',
  'requestsLast',
  'cpuSecondsLast',
  /** Mean request rate of the block in 1/s, where a source gives a rate and not a counter. */
  'requestRateMean',
  /** Samples the block was made of. */
  'sampleCount',
  /** Time of the last of them, milliseconds UTC. */
  'timeLast',
] as const;

export type BlockColumn = (typeof BLOCK_COLUMNS)[number];

/** Which lifetime a series is of. */
export interface SeriesIdentity {
  readonly service: string;
  readonly environment: string;
  readonly version: string;
  readonly instance: string;
  readonly lifetime: string;
  readonly runtime: Runtime;
  /** Process start, milliseconds UTC; where a source does not know it, the time of the first sample. */
  readonly startedAt: number;
  /** When it was seen to end, milliseconds UTC; absent while it runs (or is merely silent). */
  readonly endedAt?: number;
}

/** One lifetime, ascending in time; blocks without a sample are left out (gaps are real gaps). */
export interface Series extends SeriesIdentity {
  readonly blockMs: number;
  /** Start of each block, milliseconds UTC, multiples of `blockMs`. */
  readonly time: Float64Array;
  readonly columns: Readonly<Record<BlockColumn, Float64Array>>;
}
