/** Judges the growth seen in one window of one resolution: a row of gates, the first that fails is the named reason. */
import { isUnsettledBefore, leastNeeded, neededOverLives, neededShare, type Garbage } from './patience.ts';
import type { Policy } from './policy.ts';
import { middleOf, type Resolution } from './resolution.ts';
import { shapeOf } from './shape.ts';
import { isStepped } from './steps.ts';
import type { Surroundings } from './surroundings.ts';
import type { TakenBack } from './taken-back.ts';
import { medianOf, theilSen } from './trend.ts';
import { fitLoad } from './load.ts';

/** Not worth a fit: told by a few comparisons, for most windows most of the time. */
export type Calm = 'flat' | 'within-earlier-levels' | 'needs-patience';

/** `passes` or the named reason why the growth is not (yet) a leak. */
export type GrowthReason =
  | 'passes'
  | Calm
  | 'too-short'
  | 'not-significant'
  | 'flattening'
  | 'level-shift'
  | 'levelling-off'
  | 'logarithmic-creep'
  | 'follows-load'
  | 'awaits-collection';

export interface Growth {
  readonly reason: GrowthReason;
  readonly widthMs: number;
  readonly from: number;
  readonly to: number;
  /** Bytes per ms. */
  readonly slope: number;
  readonly standardError: number;
  readonly significance: number;
  readonly effectiveSize: number;
  readonly noise: number;
  readonly firstBytes: number;
  readonly lastBytes: number;
  readonly fromTime: number;
  readonly toTime: number;
  /** Growth above every level held before, bytes. */
  readonly grown: number;
  /** Bytes left to the limit (or to twice the level it began from, where no limit is known). */
  readonly left: number;
  /** Share of the way from onset to the limit that was watched. */
  readonly share: number;
  readonly neededShare: number;
  /** Where a bounded shape heads. */
  readonly ceilingBytes: number;
  /** Bytes per request/s, where load explains the growth. */
  readonly bytesPerLoad: number;
  /** How many replicas were judged together to see it; 1 = the instance by itself. */
  readonly replicas: number;
  /** When it last went up, ms UTC, where it does so in a step a day. */
  readonly stepAt?: number;
  /** Where it shows over many lives only. */
  readonly takenBack?: TakenBack;
}

/** Of growth that nothing bounds or explains, seen in one instance. */
export const OF_ITSELF = { ceilingBytes: Number.NaN, bytesPerLoad: Number.NaN, replicas: 1 } as const;

const BOUNDED_ADVANTAGE = 2;
/** Growth of the later half over that of the earlier. */
const LEAST_LATE_GROWTH = 0.55;
/** Share of its limit above which a heap that was just collected is in trouble whatever it holds. */
const FULL_HEAP = 0.85;

/** `explaining` asks every gate in the order people want reasons; otherwise the cheap gates come first and may end it. */
export function judgeWindow(
  level: Resolution,
  count: number,
  around: Surroundings,
  policy: Policy,
  explaining = false,
): Growth | Calm | undefined {
  const to = level.time.length;
  const from = to - count;
  if (from < 0) return undefined;
  const { time, floor, widthMs } = level;
  const recent = middleOf(floor[to - 3] as number, floor[to - 2] as number, floor[to - 1] as number);
  const started = Math.min(recent, middleOf(floor[from] as number, floor[from + 1] as number, floor[from + 2] as number));
  if (recent - started < 0.5 * policy.minGrowthShare * started) return 'flat';
  const held = from > 0 ? Math.max(around.heldBefore, level.held(from - 1)) : around.heldBefore;
  if (recent <= held) return 'within-earlier-levels';

  const fromTime = time[from] as number;
  const toTime = time[to - 1] as number;
  const watched = toTime - fromTime;
  const unsettledPast = isUnsettledBefore(level, from, recent - Math.max(started, held));
  // Without a limit twice the level the growth began from stands for it: a level reached by the same growth is no beginning.
  const origin = unsettledPast ? level.firstFloor : Math.max(started, held);
  const ceiling = ceilingOf(around, origin);
  if (!explaining) {
    // A generous guess at what the fit will say: most growth is far from enough.
    const risen = recent - Math.max(started, held);
    if (risen < 0.5 * policy.minGrowthShare * started) return 'within-earlier-levels';
    const least = leastNeeded(watched, around, policy);
    const known = risen + around.recurringGrowth;
    if (known < 0.6 * least * (known + Math.max(0, ceiling - recent))) return 'needs-patience';
  }

  const trend = theilSen(time, floor, from, to);
  const significance = trend.standardError > 0 ? trend.slope / trend.standardError : trend.slope > 0 ? 1e3 : 0;
  const last = Math.min(trend.last, recent + trend.noise);
  const grown = last - Math.max(trend.first, held);
  const left = Math.max(0, ceiling - last);
  const watchedGrowth = grown + around.recurringGrowth;
  const share = grown > 0 ? watchedGrowth / (watchedGrowth + left) : 0;
  const garbage = garbageOf(level, from, trend.slope);
  const seen = { watchedMs: watched, grown, noise: trend.noise, level: last, ceiling, garbage };
  const needed = neededShare(level, from, seen, around, policy);
  const growth: Growth = {
    reason: 'passes',
    widthMs,
    from,
    to,
    fromTime,
    toTime,
    slope: trend.slope,
    standardError: trend.standardError,
    significance,
    effectiveSize: trend.effectiveSize,
    noise: trend.noise,
    firstBytes: trend.first,
    lastBytes: last,
    grown,
    left,
    share,
    neededShare: needed,
    ...OF_ITSELF,
    replicas: around.replicas,
  };
  const fail = (reason: GrowthReason, more: Partial<Growth> = {}): Growth => ({ ...growth, ...more, reason });
  if (trend.slope <= 0) return fail('flat');
  if (grown < policy.minGrowthShare * trend.first || grown < policy.minGrowthBytes) {
    return fail(grown < 0.5 * (trend.last - trend.first) ? 'within-earlier-levels' : 'flat');
  }
  if (watched < policy.minWatchMs) return fail('too-short');
  if (significance < policy.minSignificance) return fail('not-significant');
  if (!explaining && share < needed) return fail('needs-patience');
  if (garbage === 'known' && share < needed) return fail('awaits-collection');
  if (garbage !== 'none' && heapIsBounded(level, last, ceiling, around.heapLimitBytes)) return fail('awaits-collection');
  if (stillGrowing(floor, from, to) < LEAST_LATE_GROWTH) return fail('flattening');
  if (isStepped(time, floor, from, to, trend.slope)) return fail('level-shift');
  const bounded = boundedShape(level, from, around, trend.effectiveSize, left + last);
  if (bounded !== undefined) return fail(bounded.reason, { ceilingBytes: bounded.ceiling });
  const load = fitLoad(level, from, to);
  if (load !== undefined && load.explained > 0.6 * (trend.last - trend.first))
    return fail('follows-load', { bytesPerLoad: load.bytesPerLoad });
  if (share < needed) return fail('needs-patience');
  return growth;
}

/** What the level may grow to; where no limit is known twice the level the growth began from stands for it. */
export function ceilingOf({ limitBytes, besideBytes }: Surroundings, origin: number): number {
  return limitBytes > 0 ? limitBytes - besideBytes : 2 * origin;
}

/** A leak that restarts take back, as growth of the life that runs; undefined while what was watched of it is too little. */
export function growthOverLives(
  takenBack: TakenBack,
  level: number,
  widthMs: number,
  around: Surroundings,
  policy: Policy,
): Growth | undefined {
  const { growth, grownMs, standardError, freedom, lives, since } = takenBack;
  const watchedGrowth = lives * growth;
  const left = Math.max(0, ceilingOf(around, level) - level);
  const share = watchedGrowth / (watchedGrowth + left);
  const needed = neededOverLives(policy);
  if (share < needed) return undefined;
  return {
    reason: 'passes',
    widthMs,
    from: 0,
    to: 0,
    fromTime: since,
    toTime: since + lives * grownMs,
    slope: growth / grownMs,
    standardError: standardError / grownMs,
    significance: growth / standardError,
    effectiveSize: freedom + 2,
    noise: standardError,
    firstBytes: level - growth,
    lastBytes: level,
    grown: growth,
    left,
    share,
    neededShare: needed,
    ...OF_ITSELF,
    takenBack,
  };
}

/** May the growth be garbage that a full collection will take away? Known from the live heap where a runtime tells it. */
export function garbageOf({ time, heapUsed, heapHigh, heapLive }: Resolution, from: number, slope: number): Garbage {
  const to = time.length;
  const growth = slope * ((time[to - 1] as number) - (time[from] as number));
  const used = rise(heapUsed, from, to);
  const high = rise(heapHigh, from, to);
  // Either the used heap grows, or pages once needed by a fuller heap are kept.
  if (!(used >= 0.35 * growth) && !(high >= 0.35 * growth)) return 'none';
  const live = rise(heapLive, from, to);
  if (Number.isNaN(live)) return 'possible';
  return live < 0.3 * growth ? 'known' : 'none';
}

/** A heap that is far from full, and cannot take the process to its limit when it is. */
function heapIsBounded({ heapUsed }: Resolution, last: number, ceiling: number, heapLimitBytes: number): boolean {
  const used = heapUsed.at(-1) as number;
  return heapLimitBytes > 0 && used < FULL_HEAP * heapLimitBytes && last - used + heapLimitBytes < ceiling;
}

/** Between the medians of the first and last quarter; NaN where it is not known. */
function rise(column: ArrayLike<number>, from: number, to: number): number {
  const quarter = Math.max(2, (to - from) >> 2);
  return medianOf(column, to - quarter, to) - medianOf(column, from, from + quarter);
}

/** Growth of the later half of the window over that of the earlier half. */
function stillGrowing(floor: ArrayLike<number>, from: number, to: number): number {
  const quarter = Math.max(2, Math.floor((to - from) / 4));
  const half = (from + to) >> 1;
  const start = medianOf(floor, from, from + quarter);
  const middle = medianOf(floor, half - (quarter >> 1), half + Math.ceil(quarter / 2));
  const end = medianOf(floor, to - quarter, to);
  return (end - middle) / Math.max(middle - start, 1);
}

function boundedShape(
  level: Resolution,
  from: number,
  around: Surroundings,
  effectiveSize: number,
  limit: number,
): { reason: 'levelling-off' | 'logarithmic-creep'; ceiling: number } | undefined {
  const to = level.time.length;
  // The whole kept past shows a bend better than the window; but only while it is one growth, so the window is asked too.
  for (const start of from > 0 ? [from, Math.max(0, to - 64)] : [from]) {
    const size = effectiveSize * ((to - start) / (to - from));
    const shape = shapeOf(level.time, level.floor, start, to, Math.min(around.startedAt, level.time[start] as number), size);
    if (shape.kind === 'line' || shape.advantage < BOUNDED_ADVANTAGE || shape.ceiling > limit) continue;
    return { reason: shape.kind === 'saturating' ? 'levelling-off' : 'logarithmic-creep', ceiling: shape.ceiling };
  }
  return undefined;
}

const TELLING = [
  'flat',
  'within-earlier-levels',
  'not-significant',
  'too-short',
  'flattening',
  'level-shift',
  'logarithmic-creep',
  'levelling-off',
  'follows-load',
  'needs-patience',
  'awaits-collection',
  'passes',
];

/** The most telling reason is the highest: what looks most like a leak deserves the explanation. */
export function rank(growth: Growth | Calm): number {
  if (typeof growth === 'string') return TELLING.indexOf(growth);
  return TELLING.indexOf(growth.reason) + Math.min(0.9, Math.max(0, growth.share));
}

/** Of growth that passes in several windows the longest speaks. */
export function longest(passing: readonly (Growth | undefined)[], isSure: (key: number) => boolean = () => true): Growth | undefined {
  let leak: Growth | undefined;
  // Asked at every moment that is walked, of lifetimes that mostly show nothing: entries would be an array each.
  for (let key = 0; key < passing.length; key += 1) {
    const growth = passing[key];
    if (growth === undefined || !isSure(key)) continue;
    if (leak === undefined || growth.toTime - growth.fromTime > leak.toTime - leak.fromTime) leak = growth;
  }
  return leak;
}
