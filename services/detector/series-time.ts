/** Moments within a series: where its blocks begin, and how long it goes on speaking. */
import type { Series } from '../../shared/series.ts';

/** First index with a time after `after`, by bisection. */
export function firstAfter(time: Float64Array, after: number): number {
  let low = 0;
  let high = time.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((time[middle] as number) <= after) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Start of the last base block that a block was made of. */
export function lastBaseStart({ time, columns, blockMs }: Series, index: number, baseMs: number): number {
  return blockMs === baseMs ? (time[index] as number) : Math.floor((columns.timeLast[index] as number) / baseMs) * baseMs;
}

/** When it has been silent for `quietMs` after `last` or after a block that follows, unless `atMost` comes first. */
export function speaksUntil(series: Series, last: number, baseMs: number, quietMs: number, atMost: number): number {
  const { time } = series;
  let until = last + quietMs;
  for (let index = firstAfter(time, last); index < time.length && until < atMost; index += 1) {
    if ((time[index] as number) > until) break;
    until = lastBaseStart(series, index, baseMs) + quietMs;
  }
  return Math.min(until, atMost);
}
