/**
 * A job that leaks each time it runs, told by its second run: two steps up a day apart and as high as each other, above a level that
 * knew neither. A single jump comes back to nothing in the difference to the day before, a slope fills the treads, a load leaves its
 * own day in what is left between them. Blocks of an hour; O(n log n), n <= 64.
 */
import { ceilingOf, garbageOf, OF_ITSELF, type Growth } from './growth.ts';
import { neededShare, USUAL_NOISE } from './patience.ts';
import type { Policy } from './policy.ts';
import { middleOf, type Resolution } from './resolution.ts';
import type { Surroundings } from './surroundings.ts';
import { medianOf } from './trend.ts';

/** Those of an hour are looked at. */
export const BLOCKS_A_DAY = 24;
/** Blocks. */
const SHORTEST_BEFORE = 12;
const SHORTEST_TREAD = 4;
/** The job runs so much earlier or later. */
const UNPUNCTUAL = 1;
/** Lower of the two steps over the higher. */
const EVEN_HEIGHT = 0.7;
/** Share of a step that two blocks show. */
const STEEP = 0.6;
/** What the level does between the steps, in heights of the lower one: a slope of as many bytes a day leaves nearly a whole one. */
const MOST_BETWEEN = 0.5;
/** Share of the two steps that must stand above every level held before. */
const LEAST_NEW = 0.5;
/** Of the blocks at either end, those that may do anything. */
const OUTLIERS = 0.05;

interface Stairs {
  /** Places of the first block after either step, and of the first that is looked at. */
  readonly first: number;
  readonly second: number;
  readonly from: number;
  /** Mean height of the two, and what the level does between them, bytes. */
  readonly height: number;
  readonly between: number;
}

/** The two steps as growth that passes; undefined where there are none or more has to be watched. */
export function judgeStairs(level: Resolution, around: Surroundings, policy: Policy): Growth | undefined {
  const stairs = stairsOf(level);
  if (stairs === undefined) return undefined;
  const { time, floor, widthMs } = level;
  const { first, second, from, height, between } = stairs;
  const to = floor.length;
  const before = medianOf(floor, from, first - 1);
  const held = Math.max(before, around.heldBefore, level.held(first - 1));
  const now = middleOf(floor[to - 3] as number, floor[to - 2] as number, floor[to - 1] as number);
  const grown = now - held;
  if (grown < LEAST_NEW * (now - before) || grown < policy.minGrowthShare * before || grown < policy.minGrowthBytes) return undefined;
  const ceiling = ceilingOf(around, held);
  const left = Math.max(0, ceiling - now);
  const share = grown / (grown + left);
  const fromTime = time[first] as number;
  const toTime = time[to - 1] as number;
  const slope = height / (BLOCKS_A_DAY * widthMs);
  const garbage = garbageOf(level, from, slope);
  // What the level does between the steps was asked already.
  const seen = { watchedMs: toTime - fromTime, grown, noise: USUAL_NOISE * grown, level: now, ceiling, garbage };
  const needed = neededShare(level, first, seen, around, policy);
  if (share < needed) return undefined;
  const jumped = 2 * (floor[second - 1] as number) < (floor[second] as number) + (floor[second - 2] as number);
  return {
    reason: 'passes',
    widthMs,
    from,
    to,
    fromTime,
    toTime,
    slope,
    standardError: between / (BLOCKS_A_DAY * widthMs),
    significance: height / between,
    effectiveSize: 3,
    noise: between,
    firstBytes: before,
    lastBytes: now,
    grown,
    left,
    share,
    neededShare: needed,
    ...OF_ITSELF,
    stepAt: (time[jumped ? second : second - 1] as number) - widthMs / 2,
  };
}

function stairsOf({ time, floor, widthMs }: Resolution): Stairs | undefined {
  const to = floor.length;
  const second = steepest(floor, to - BLOCKS_A_DAY, to - SHORTEST_TREAD);
  const first = steepest(floor, second - BLOCKS_A_DAY - UNPUNCTUAL, second - BLOCKS_A_DAY + UNPUNCTUAL);
  if (second < 0 || first < SHORTEST_BEFORE) return undefined;
  const from = Math.max(0, first - BLOCKS_A_DAY);
  // Where blocks are missing a day is another number of them.
  if ((time[to - 1] as number) - (time[from] as number) !== (to - 1 - from) * widthMs) return undefined;
  const rises = [rise(floor, first + 1, second - 1, first - 1), rise(floor, second + 1, to, second - 1)] as const;
  const lower = Math.min(...rises);
  if (!(lower > EVEN_HEIGHT * Math.max(...rises))) return undefined;
  if (Math.min(riseAt(floor, first), riseAt(floor, second)) < STEEP * lower) return undefined;
  const flat: number[] = [];
  for (let index = from; index < to; index += 1) {
    const isOnStep = Math.abs(index - first) <= 1 || Math.abs(index - second) <= 1;
    if (!isOnStep) flat.push((floor[index] as number) - (index > first ? rises[0] : 0) - (index > second ? rises[1] : 0));
  }
  flat.sort((a, b) => a - b);
  const outliers = Math.floor(OUTLIERS * flat.length);
  const between = (flat.at(-1 - outliers) as number) - (flat[outliers] as number);
  return between <= MOST_BETWEEN * lower ? { first, second, from, height: (rises[0] + rises[1]) / 2, between } : undefined;
}

/** Index of the first block after the largest rise within two blocks; -1 where there is none. */
function steepest(floor: ArrayLike<number>, from: number, to: number): number {
  let best = -1;
  let most = 0;
  for (let index = Math.max(2, from); index <= to && index < floor.length; index += 1) {
    const risen = riseAt(floor, index);
    if (risen > most) [best, most] = [index, risen];
  }
  return best;
}

function riseAt(floor: ArrayLike<number>, index: number): number {
  return (floor[index] as number) - (floor[index - 2] as number);
}

/** Median of the difference to a day before, which must be no later than `until`. */
function rise(floor: ArrayLike<number>, from: number, to: number, until: number): number {
  const differences: number[] = [];
  for (let index = from; index < to; index += 1)
    if (index >= BLOCKS_A_DAY && index - BLOCKS_A_DAY <= until)
      differences.push((floor[index] as number) - (floor[index - BLOCKS_A_DAY] as number));
  return medianOf(differences);
}
