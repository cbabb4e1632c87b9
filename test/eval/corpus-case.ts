/** A labelled history: what the walk-forward sees, and the truth it is scored against. */

export interface Truth {
  /** ms UTC. */
  readonly onsetAt: number;
  /** When the level reaches the limit (twice the level at onset, where there is none), ms UTC; may lie after the end. */
  readonly exhaustsAt: number;
  readonly kind: 'heap' | 'native';
  /** True rate per instance, bytes per hour, where the leak is a line; for the calibration of intervals. */
  readonly bytesPerHour: Readonly<Record<string, number>>;
}

/** Samples of one lifetime, columns of equal length. */
export interface CaseLifetime {
  readonly instance: string;
  readonly version: string;
  readonly runtime?: string;
  readonly time: number[];
  readonly rss: number[];
  /** Of recorded processes only; generated histories have no second opinion on what is resident. */
  readonly anon?: number[];
  readonly heapUsed: number[] | undefined;
  readonly heapLive: number[] | undefined;
  readonly heapCommitted?: number[];
  readonly heapLimit?: number[];
  readonly workingSet: number[] | undefined;
  readonly load: number[] | undefined;
  readonly limit: number;
}

export interface Case {
  readonly name: string;
  readonly family: string;
  readonly truth: Truth | undefined;
  readonly lifetimes: CaseLifetime[];
}

/** Length of the history, weeks. */
export function weeksOf({ lifetimes }: Case): number {
  let first = Number.POSITIVE_INFINITY;
  let last = Number.NEGATIVE_INFINITY;
  for (const { time } of lifetimes) {
    first = Math.min(first, time[0] as number);
    last = Math.max(last, time.at(-1) as number);
  }
  return (last - first) / (7 * 86_400_000);
}
