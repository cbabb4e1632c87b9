/**
 * Growth that every restart takes back: do the latest lifetimes of a replica all grow alike until they end? One lifetime may say so by
 * itself; several that are each too noisy say it together (Student's t of their growth). O(n²), n <= 8.
 */
import type { Lesson } from './lesson.ts';
import { meanOf } from './mean.ts';

/** Fewer noisy lifetimes than this say nothing together. */
const FEWEST = 3;
/** Mean growth over its standard error. */
const MIN_T = 4;
/** Growth a lifetime, in shares of the level it ended at. */
const MIN_SHARE = 0.01;
/** The last third of a life must surely grow by more than this share of the middle one, and most likely by the second: caches slow down. */
const LEAST_LATE = 0.5;
const LIKELY_LATE = 0.75;
const MIN_LATE_T = 2;

/** Index of the first of the lifetimes at the end of the list that recur; the list's length where none do. */
export function recurringFrom(lessons: readonly Lesson[]): number {
  const alone = lessons.findLastIndex(({ recurringGrowth }) => recurringGrowth === 0) + 1;
  for (let from = 0; from < Math.min(alone, lessons.length - FEWEST + 1); from += 1) {
    if (recur(lessons.slice(from))) return from;
  }
  return alone;
}

function recur(lessons: readonly Lesson[]): boolean {
  const middle = lessons.map(({ middleGrowth }) => middleGrowth);
  const late = lessons.map(({ lateGrowth }) => lateGrowth);
  const grown = late.map((growth, index) => growth + (middle[index] as number));
  const beyondBend = late.map((growth, index) => growth - LEAST_LATE * (middle[index] as number));
  return (
    meanOf(grown, itself) > MIN_SHARE * meanOf(lessons, ({ lastLevel }) => lastLevel) &&
    meanOf(middle, itself) > 0 &&
    meanOf(late, itself) > LIKELY_LATE * meanOf(middle, itself) &&
    studentT(grown) > MIN_T &&
    studentT(beyondBend) > MIN_LATE_T
  );
}

const itself = (value: number) => value;

/** Mean over its standard error. */
function studentT(values: readonly number[]): number {
  const mean = meanOf(values, itself);
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (values.length - 1);
  return mean / Math.sqrt(variance / values.length);
}
