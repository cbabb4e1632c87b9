/** What a lifetime teaches those that follow once it has ended: the level it settled at or reached, or the growth it ended in. */
import { heapSlope } from './kind.ts';
import type { Policy } from './policy.ts';
import type { Resolution } from './resolution.ts';
import { shapeOf } from './shape.ts';
import type { TakenBack } from './taken-back.ts';
import { medianOf, theilSen } from './trend.ts';

/**
 * A life shorter than this share of `settledMs` is all warm-up: where it climbs until it ends, what it reached is what its like
 * reach, not growth that recurs; unless it went more than so much of the way to its limit.
 */
const LONG_LIFE = 0.3;
const HARMLESS_WAY = 0.5;

/** What earlier lifetimes of the service teach. */
export interface Past {
  /** Per resolution: highest level held, and largest rise that came back, by lifetimes that settled. */
  readonly held: readonly number[];
  readonly excursion: readonly number[];
  /** For how long they stayed settled, ms. */
  readonly settledMs: number;
  /** Since when the service is known, ms UTC. */
  readonly since: number;
  /** What lifetimes grew by that were still growing in a line when they ended, bytes. */
  readonly recurringGrowth: number;
  /** A leak that no life shows by itself, for restarts take it back. */
  readonly takenBack?: TakenBack | undefined;
}

export const NO_PAST: Past = { held: [], excursion: [], settledMs: 0, since: Number.POSITIVE_INFINITY, recurringGrowth: 0 };

/** What one ended lifetime teaches. */
export interface Lesson extends Past {
  /** Growth of its middle third and of its last third, bytes; NaN where it was too short to tell. */
  readonly middleGrowth: number;
  readonly lateGrowth: number;
  readonly lastLevel: number;
  readonly livedMs: number;
  /** By the line through its last two thirds, of all and of the heap, bytes, and how long these are; NaN where it is not known. */
  readonly growth: number;
  readonly heapGrowth: number;
  readonly grownMs: number;
}

/** A lifetime as a whole; bytes and ms. */
export interface Lived {
  /** The finest resolution that holds all of it. */
  readonly whole: Resolution;
  readonly resolutions: readonly Resolution[];
  readonly livedMs: number;
  /** Of that, after the start that is cut off. */
  readonly warmMs: number;
  readonly lastLevel: number;
  /** What its level may grow to; 0 = unknown. */
  readonly ceilingBytes: number;
}

export function lessonFrom(lived: Lived, policy: Policy): Lesson {
  const { time, floor } = lived.whole;
  const to = floor.length;
  const { livedMs, lastLevel } = lived;
  const unknown = { middleGrowth: Number.NaN, lateGrowth: Number.NaN, growth: Number.NaN, heapGrowth: Number.NaN, grownMs: Number.NaN };
  const nothing = { ...NO_PAST, ...unknown, lastLevel, livedMs };
  if (to < 8) return nothing;
  // The first third may still be warm-up; growth that goes on after it is what recurs.
  const from = Math.max(Math.floor(to / 3), to - 64);
  const trend = theilSen(time, floor, from, to);
  const grown = trend.last - trend.first;
  const middle = medianOf(floor, Math.max(from, ((from + to) >> 1) - 1), ((from + to) >> 1) + 2);
  const start = medianOf(floor, from, from + 3);
  const end = medianOf(floor, to - 3, to);
  const grownMs = (time[to - 1] as number) - (time[from] as number);
  const heapGrowth = heapSlope(lived.whole, from) * grownMs;
  const thirds = { middleGrowth: middle - start, lateGrowth: end - middle, lastLevel: end, growth: grown, heapGrowth, grownMs };
  const late = (end - middle) / Math.max(1, middle - start);
  const sure = trend.slope > 3 * trend.standardError && grown > 0.015 * trend.first && late > 0.4;
  const shape = sure ? shapeOf(time, floor, from, to, time[from] as number, trend.effectiveSize) : undefined;
  const climbing = shape !== undefined && (shape.kind === 'line' || shape.advantage < 6);
  const excursion = lived.resolutions.map((one) => one.excursion());
  const isLong = lived.livedMs >= LONG_LIFE * policy.settledMs;
  const ceiling = lived.ceilingBytes > 0 ? lived.ceilingBytes : 2 * trend.first;
  const way = grown / Math.max(1, ceiling - trend.first);
  if (climbing && (isLong || way > HARMLESS_WAY)) return { ...nothing, ...thirds, excursion, recurringGrowth: grown };
  return {
    ...nothing,
    ...(isLong ? thirds : undefined),
    held: lived.resolutions.map((one) => one.held()),
    excursion,
    settledMs: lived.warmMs / 2,
  };
}
