/**
 * How much of the way from onset to limit must be seen before growth is taken for a leak. Growth out of a settled past is news; growth
 * that has been there since the process began may be a cache filling, and by Lindy's law the chance that it lasts to the limit is the
 * share of the way it has come. What the growth itself shows shifts the odds of that share, as weights of evidence do (Good, Probability
 * and the Weighing of Evidence, 1950). O(n) of the blocks before the window, n <= 64.
 */
import type { Policy } from './policy.ts';
import type { Resolution } from './resolution.ts';
import type { Surroundings } from './surroundings.ts';
import { medianOf } from './trend.ts';

/** May the growth be garbage that a full collection will take away? Known from the live heap where a runtime tells it. */
export type Garbage = 'none' | 'possible' | 'known';

/** What a window shows of a growth. */
export interface Seen {
  readonly watchedMs: number;
  /** Above every level held before, bytes. */
  readonly grown: number;
  /** Bytes. */
  readonly noise: number;
  /** Where it stands, and what it may grow to, bytes. */
  readonly level: number;
  readonly ceiling: number;
  readonly garbage: Garbage;
}

/** What held for so many times the time of the growth, and for this share of `settledMs` at least, is settled. */
const SETTLED_OVER_WATCHED = 4;
const LEAST_SETTLED = 0.14;
/** A settled past is as long as this share of the time of the growth at least; where teeth may be climbed one at a time, as the second. */
const LEAST_SETTLED_OVER_WATCHED = 0.75;
const LEAST_SETTLED_OVER_TEETH = 0.3;
/** Drift that a settled past may show between its outer thirds, as a share of the growth; a line as long drifts by two thirds. */
const SETTLED_DRIFT = 0.35;
/** Growth is all news from so many times the largest rise that came back; of what may be garbage, that was seen at all, less so much. */
const NEWS_OVER_RISE = 1.6;
const USUAL_GARBAGE = 0.5;
/** What replicas show together is not the job or the drift of one: so much of the patience is enough. */
const TOGETHER = 0.33;
/** Nor is what lives show over weeks, though they are of one process and share its days. */
const OVER_LIVES = 0.75;
/** Out of a settled past the odds asked go as this power of the noise, in shares of the growth, over the usual one; up to e to the last. */
const NOISE = 0.5;
export const USUAL_NOISE = 0.06;
const NOISE_RANGE = 2.5;
/** How much more must be watched before a first day has shown its rhythm, and where the limit is only guessed. */
const FIRST_DAY_DOUBT = 1.8;
const NO_LIMIT_DOUBT = 1.25;
/** A day's load rises for half of it: from this share of a first day on it is ever less what still climbs, from the second it is not. */
const RHYTHM_DOUBTED = 0.35;
const RHYTHM_KNOWN = 0.6;
/** A limit is set well above what a service reaches: logarithm of the odds a full process is spared, and from how full on some of it. */
const FULL = 2.4;
const FULL_FROM = 0.72;
const FULL_OF_GARBAGE = 1.05;
const FULL_OF_GARBAGE_FROM = 0.93;
/** However doubtful, so near to its limit there is no time left to wait. */
const MOST_UNSETTLED = 0.9;

/** The share of the way from onset to limit that must have been watched. `from`: the first block of the window. */
export function neededShare(level: Resolution, from: number, seen: Seen, around: Surroundings, policy: Policy): number {
  if (seen.garbage === 'known') return policy.patienceCollection;
  // Where teeth of a collector are seen and no heap is told, they are all that says that there may be garbage.
  const mayBeGarbage = seen.garbage === 'possible' || around.teeth;
  const unsettled = unsettledShare(level, seen, mayBeGarbage, around, policy);
  return unsettled + (settledShare(seen, around, policy) - unsettled) * surpriseOf(level, from, seen, mayBeGarbage, around, policy);
}

/** What is asked of the cleanest growth out of a settled past: no growth passes below. */
export function leastNeeded(watchedMs: number, around: Surroundings, policy: Policy): number {
  return shifted(clean(watchedMs, around, policy), -NOISE * NOISE_RANGE);
}

/** Of growth that shows over many lives. */
export function neededOverLives(policy: Policy): number {
  return OVER_LIVES * policy.patienceSettled;
}

function settledShare({ watchedMs, grown, noise }: Seen, around: Surroundings, policy: Policy): number {
  const haste = 1 + policy.hastePenalty * Math.max(0, 1 - watchedMs / policy.shortWatchMs);
  const times = Math.log(Math.max(noise, 1) / Math.max(grown, 1) / USUAL_NOISE);
  return shifted(haste * clean(watchedMs, around, policy), NOISE * clamp(times, -NOISE_RANGE, NOISE_RANGE));
}

function clean(watchedMs: number, { replicas }: Surroundings, policy: Policy): number {
  // Long watching makes up for a short way, up to a point.
  return policy.patienceSettled * (replicas > 1 ? TOGETHER : 1) * clamp(policy.longWatchMs / watchedMs, 0.25, 1);
}

function unsettledShare(level: Resolution, seen: Seen, mayBeGarbage: boolean, around: Surroundings, policy: Policy): number {
  const known = (level.time.at(-1) as number) - around.knownSince;
  const ofRhythm = clamp((RHYTHM_KNOWN - known / policy.dayMs) / (RHYTHM_KNOWN - RHYTHM_DOUBTED), 0, 1);
  // Without a limit twice the level is only a guess.
  const doubt = (1 + (FIRST_DAY_DOUBT - 1) * ofRhythm) * (around.limitBytes > 0 ? 1 : NO_LIMIT_DOUBT);
  const share = Math.min(MOST_UNSETTLED, (mayBeGarbage ? policy.patienceGarbage : policy.patienceUnsettled) * doubt);
  return shifted(share * Math.min(1, ((mayBeGarbage ? 4 : 2) * policy.longWatchMs) / seen.watchedMs), -fullness(seen, around));
}

/** Logarithm of the odds that it is none of the usual growth, which limits leave room for. */
function fullness({ level, ceiling, garbage }: Seen, { limitBytes, teeth }: Surroundings): number {
  if (!(limitBytes > 0)) return 0;
  const beyond = (from: number) => clamp((level / ceiling - from) / (1 - from), 0, 1);
  // Garbage may fill a heap to where its collector has its threshold; teeth alone do not say where that is.
  if (garbage === 'possible') return FULL_OF_GARBAGE * beyond(FULL_OF_GARBAGE_FROM);
  return teeth ? 0 : FULL * beyond(FULL_FROM);
}

/** 1 = all news, out of a settled past; 0 = as old as the process, or no larger than what came back before. */
function surpriseOf(level: Resolution, from: number, seen: Seen, mayBeGarbage: boolean, around: Surroundings, policy: Policy): number {
  const { watchedMs, grown } = seen;
  const before = Math.max(0, (level.time[from] as number) - level.firstTime);
  // It has drifted less than the growth did, in all and in as long a time: what began with the process has no settled past.
  const isSettled = driftBefore(level, from) < SETTLED_DRIFT * grown * Math.min(1, before / watchedMs);
  const settled = (isSettled ? before : 0) + around.settledMs;
  const enough = Math.max(
    clamp(SETTLED_OVER_WATCHED * watchedMs, LEAST_SETTLED * policy.settledMs, policy.settledMs),
    (mayBeGarbage ? LEAST_SETTLED_OVER_TEETH : LEAST_SETTLED_OVER_WATCHED) * watchedMs,
  );
  // A level that often rose as far before, and came back, may do so again.
  // Teeth of a collector may be climbed one at a time: there any rise counts, elsewhere those that came back.
  const risen = mayBeGarbage ? level.rise(from - 1) : level.excursion(from - 1);
  const rise = Math.max(around.usualRise, from > 0 ? risen : 0);
  const times = rise > 0 ? grown / rise : Number.POSITIVE_INFINITY;
  const novelty = clamp(mayBeGarbage ? times - USUAL_GARBAGE : times / NEWS_OVER_RISE, 0, 1);
  return Math.min(1, settled / enough) * novelty;
}

/** Had the level moved by itself, before the window, as growth of so many bytes does? */
export function isUnsettledBefore(level: Resolution, from: number, grown: number): boolean {
  return driftBefore(level, from) > SETTLED_DRIFT * grown;
}

/** How far the level had moved by itself before the window. */
function driftBefore(level: Resolution, from: number): number {
  const third = Math.floor(from / 3);
  return third >= 1 ? medianOf(level.floor, from - third, from) - medianOf(level.floor, 0, third) : 0;
}

/** A share whose odds are changed, by a factor given as its logarithm. */
function shifted(share: number, logFactor: number): number {
  const odds = (share / (1 - share)) * Math.exp(logFactor);
  return odds / (1 + odds);
}

function clamp(value: number, least: number, most: number): number {
  return Math.min(most, Math.max(least, value));
}
