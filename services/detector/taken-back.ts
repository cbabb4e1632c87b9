/**
 * A leak that restarts take back before any one life shows it: lives from some restart on grow more than those before grew, in as
 * long a life and from the same time of day, so that warm-up and the day's load cancel (differential analysis: Matias, Andrzejak,
 * Trivedi 2014). The restart is the one with the largest t of Student, as a change point of a mean. O(n³) for n <= 64 lives of
 * half a day and more, asked when one of them ends.
 */
import { meanOf } from './mean.ts';
import { studentZ } from './student.ts';

/** What is asked of one ended life: ms and bytes. `growth` and `heapGrowth` are over the last `grownMs` of it, NaN = not known. */
export interface Life {
  readonly startedAt: number;
  readonly livedMs: number;
  readonly growth: number;
  readonly grownMs: number;
  readonly heapGrowth: number;
  readonly middleGrowth: number;
  readonly lateGrowth: number;
  readonly lastLevel: number;
}

export interface TakenBack {
  /** Start of the first life that leaks, ms UTC. */
  readonly since: number;
  readonly lives: number;
  /** What a life grows by more than those before did, bytes, and for how long it is looked at. */
  readonly growth: number;
  readonly grownMs: number;
  readonly standardError: number;
  /** Degrees of freedom of that error. */
  readonly freedom: number;
  readonly heapGrowth: number;
}

const FEWEST_BEFORE = 4;
const FEWEST_AFTER = 3;
/** Of a time of day. */
const FEWEST_ALIKE = 2;
/** Lives are alike that differ by no more of their length, and start no further apart in the day. */
const LENGTH = 0.2;
const TIME_OF_DAY = 1 / 12;
const MIN_SIGNIFICANCE = 3.5;
/** Growth a life, in shares of the level it ended at. */
const MIN_SHARE = 0.01;
/** The last third of a life grows by no less of the middle one: what bends is a warm-up that became larger. */
const LEAST_LATE = 0.5;
/** Each of the last lives by no less of the mean. */
const LEAST_EACH = 1 / 3;
const LAST = 2;

/** Of the lives of one replica, or of all that replace each other; undefined where nothing says that they leak. */
export function takenBack(told: readonly Life[], dayMs: number): TakenBack | undefined {
  const lives = generationsOf(told, TIME_OF_DAY * dayMs);
  const last = lives.at(-1);
  if (last === undefined || Number.isNaN(last.growth)) return undefined;
  const alike = lives.filter(({ livedMs, growth }) => !Number.isNaN(growth) && Math.abs(livedMs - last.livedMs) <= LENGTH * last.livedMs);
  let best: Difference | undefined;
  for (let from = FEWEST_BEFORE; from <= alike.length - FEWEST_AFTER; from += 1) {
    const difference = differenceAt(alike, from, dayMs);
    if (difference !== undefined && difference.significance > (best?.significance ?? MIN_SIGNIFICANCE)) best = difference;
  }
  if (best === undefined || !isLeak(best)) return undefined;
  const { after, growth, standardError, freedom } = best;
  return {
    since: (after[0] as Excess).life.startedAt,
    lives: after.length,
    growth,
    grownMs: last.grownMs,
    standardError,
    freedom,
    heapGrowth: meanOf(after, ({ heapGrowth }) => heapGrowth),
  };
}

/** In order of time. Replicas that start together share their load and so are one life, the mean of theirs. */
function generationsOf(lives: readonly Life[], apartMs: number): readonly Life[] {
  const generations: Life[][] = [];
  for (const life of [...lives].sort((a, b) => a.startedAt - b.startedAt)) {
    const latest = generations.at(-1);
    if (latest === undefined || life.startedAt - (latest[0] as Life).startedAt > apartMs) generations.push([life]);
    else latest.push(life);
  }
  return generations.map((generation) => ({
    startedAt: (generation[0] as Life).startedAt,
    livedMs: meanOf(generation, ({ livedMs }) => livedMs),
    growth: meanOf(generation, ({ growth }) => growth),
    grownMs: meanOf(generation, ({ grownMs }) => grownMs),
    heapGrowth: meanOf(generation, ({ heapGrowth }) => heapGrowth),
    middleGrowth: meanOf(generation, ({ middleGrowth }) => middleGrowth),
    lateGrowth: meanOf(generation, ({ lateGrowth }) => lateGrowth),
    lastLevel: meanOf(generation, ({ lastLevel }) => lastLevel),
  }));
}

/** By what a life differs from those before of its time of day. */
interface Excess {
  readonly life: Life;
  readonly growth: number;
  readonly heapGrowth: number;
  readonly middle: number;
  readonly late: number;
  readonly level: number;
}

interface Difference {
  readonly after: readonly Excess[];
  readonly growth: number;
  readonly standardError: number;
  readonly freedom: number;
  readonly significance: number;
}

/** Student's t of two samples with a common variance, each life against the mean of its time of day. */
function differenceAt(lives: readonly Life[], from: number, dayMs: number): Difference | undefined {
  const before = lives.slice(0, from);
  const after: Excess[] = [];
  let ofMeans = 0;
  for (const life of lives.slice(from)) {
    const peers = before.filter((one) => isSameTime(one, life, dayMs));
    if (peers.length < FEWEST_ALIKE) continue;
    ofMeans += 1 / peers.length;
    const less = (value: (one: Life) => number) => value(life) - meanOf(peers, value);
    after.push({
      life,
      growth: less(({ growth }) => growth),
      heapGrowth: less(({ heapGrowth }) => heapGrowth),
      middle: less(({ middleGrowth }) => middleGrowth),
      late: less(({ lateGrowth }) => lateGrowth),
      level: less(({ lastLevel }) => lastLevel),
    });
  }
  if (after.length < FEWEST_AFTER) return undefined;
  const growth = meanOf(after, (one) => one.growth);
  let squares = after.reduce((sum, one) => sum + (one.growth - growth) ** 2, 0);
  let freedom = after.length - 1;
  for (const life of before) {
    const peers = before.filter((one) => isSameTime(one, life, dayMs));
    if (peers.length < FEWEST_ALIKE) continue;
    squares += (life.growth - meanOf(peers, (one) => one.growth)) ** 2;
    freedom += 1 - 1 / peers.length;
  }
  const standardError = Math.sqrt((squares / freedom) * (1 / after.length + ofMeans / after.length));
  return { after, growth, standardError, freedom, significance: studentZ(growth / standardError, freedom) };
}

function isLeak({ after, growth }: Difference): boolean {
  const middle = meanOf(after, (one) => one.middle);
  return (
    growth > MIN_SHARE * meanOf(after, ({ life }) => life.lastLevel) &&
    middle > 0 &&
    meanOf(after, ({ late }) => late) > LEAST_LATE * middle &&
    meanOf(after, ({ level }) => level) > LEAST_LATE * growth &&
    after.slice(-LAST).every((one) => one.growth > LEAST_EACH * growth)
  );
}

function isSameTime(one: Life, other: Life, dayMs: number): boolean {
  const apart = Math.abs(one.startedAt - other.startedAt) % dayMs;
  return Math.min(apart, dayMs - apart) <= TIME_OF_DAY * dayMs;
}
