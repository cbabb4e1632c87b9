/** Turns what a lifetime knows into a judgement: verdict, named reason, figures, and the sentence for people. */
import type { FittedLine, GrowthKind, Judgement, Verdict } from '../../shared/judgement.ts';
import { explain } from './explain.ts';
import { FIRST_DOUBT, LEAST_DOUBT } from './fleet-budget.ts';
import type { Growth, GrowthReason } from './growth.ts';
import { growthKind } from './kind.ts';
import type { Lifetime } from './lifetime.ts';
import { sinceOnset, type Since } from './onset.ts';
import type { Policy } from './policy.ts';
import type { Trend } from './trend.ts';

const HOUR = 3_600_000;
/** Two-sided 90 % of the normal law; widened for the few effective points by `quantile`. */
const NORMAL_90 = 1.645;

/** Student's t, 95th percentile, by the expansion of Abramowitz and Stegun 26.7.5 (error < 1 % from three degrees on). */
function quantile(degrees: number): number {
  const z = NORMAL_90;
  return z + (z ** 3 + z) / (4 * degrees) + (5 * z ** 5 + 16 * z ** 3 + 3 * z) / (96 * degrees ** 2);
}

const VERDICT_OF: Record<GrowthReason, Verdict> = {
  passes: 'undecided',
  flat: 'steady',
  'within-earlier-levels': 'steady',
  'too-short': 'undecided',
  'not-significant': 'steady',
  flattening: 'growing',
  'level-shift': 'growing',
  'levelling-off': 'growing',
  'logarithmic-creep': 'growing',
  'follows-load': 'growing',
  'needs-patience': 'undecided',
  'awaits-collection': 'undecided',
};

interface Slope {
  readonly value: number;
  readonly low: number;
  readonly high: number;
}

/** Floors of a sawtooth and of a wandering level err together: measured on the corpus, the plain error is too small by this. */
const ERROR_WIDENING = 1.7;

/** Bytes per hour with a 90 % interval: the error of the line, and what the level does by itself over as long a time. */
function slopeOf(trend: Pick<Trend, 'slope' | 'standardError' | 'effectiveSize'> | undefined, usualSlope = 0): Slope {
  if (trend === undefined) return { value: 0, low: 0, high: 0 };
  const ofLine = ERROR_WIDENING * quantile(Math.max(2, trend.effectiveSize - 2)) * trend.standardError;
  const margin = Math.hypot(ofLine, NORMAL_90 * usualSlope);
  return { value: trend.slope * HOUR, low: (trend.slope - margin) * HOUR, high: (trend.slope + margin) * HOUR };
}

export function judgeLifetime(lifetime: Lifetime, at: number, policy: Policy): Judgement {
  const { identity } = lifetime;
  const leak = lifetime.leak;
  const found = leak ?? lifetime.explained();
  const growth = typeof found === 'string' ? undefined : found;
  const calm = typeof found === 'string' ? found : found?.reason;
  const warmUp = at < lifetime.warmAt + policy.minWatchMs || calm === undefined;
  const verdict: Verdict = leak !== undefined ? 'leak' : warmUp ? 'undecided' : VERDICT_OF[calm];
  const reason = leak !== undefined ? 'keeps-growing' : warmUp ? 'warming-up' : calm === 'passes' ? 'needs-confirmation' : calm;
  const inOneLife = growth !== undefined && growth.takenBack === undefined && growth.slope > 0;
  const since = inOneLife ? sinceOnset(lifetime, growth) : undefined;
  const slope = slopeOf(since?.trend ?? growth, since?.usualSlope);
  const around = lifetime.surroundings();
  const limitBytes = around.limitBytes;
  const level = lifetime.lastLevel;
  const kind: GrowthKind = growth === undefined ? 'unknown' : growthKind(lifetime, growth);
  // A heap ends at its own limit, which may come before the container's.
  const inHeap = kind === 'heap' && growth !== undefined ? heapLeft(lifetime, growth) : Number.POSITIVE_INFINITY;
  const inLimit = limitBytes > 0 ? limitBytes - around.besideBytes - level : Number.POSITIVE_INFINITY;
  const left = Math.min(inLimit, inHeap);
  const reach = (perHour: number) => (Number.isFinite(left) && perHour > 0 ? at + (Math.max(0, left) / perHour) * HOUR : null);
  const climbing = leak !== undefined || verdict === 'undecided';
  const decidesBy = verdict === 'undecided' ? decisionTime(lifetime, growth, warmUp, policy, at) : null;
  const end = inHeap < inLimit ? { name: 'heap limit', limitBytes: around.heapLimitBytes } : { name: 'limit', limitBytes };
  const facts = { lifetime, growth, reason, slope: slope.value, end, left, kind };
  const { explanation, waitingFor } = explain(facts);
  return {
    service: identity.service,
    environment: identity.environment,
    version: identity.version,
    instance: identity.instance,
    lifetime: identity.lifetime,
    startedAt: around.startedAt,
    at,
    verdict,
    reason,
    explanation,
    kind,
    signal: lifetime.signal ?? 'rss',
    slopeBytesPerHour: slope.value,
    slopeLow: slope.low,
    slopeHigh: slope.high,
    levelBytes: level,
    limitBytes,
    exhaustsAt: climbing ? reach(slope.value) : null,
    exhaustsEarliest: climbing ? reach(slope.high) : null,
    exhaustsLatest: climbing ? reach(slope.low) : null,
    onsetAt: since?.onsetAt ?? growth?.takenBack?.since ?? null,
    confidence: confidenceOf(leak, verdict),
    instances: verdict === 'leak' ? [identity.instance] : [],
    fit: since === undefined ? null : lineOf(since),
    waitingFor: verdict === 'undecided' ? waitingFor : '',
    decidesBy,
  };
}

/** Bytes between what a full collection leaves (or the floor of what is used) and the heap's own limit. */
function heapLeft(lifetime: Lifetime, growth: Growth): number {
  const { heapLive, heapUsed } = lifetime.resolutionOf(growth);
  const live = heapLive.at(-1) ?? Number.NaN;
  const held = Number.isNaN(live) ? (heapUsed.at(-1) ?? Number.NaN) : live;
  return lifetime.heapLimitBytes > 0 && held > 0 ? lifetime.heapLimitBytes - held : Number.POSITIVE_INFINITY;
}

function lineOf({ fromTime, toTime, trend }: Since): FittedLine {
  return { fromTime, fromBytes: trend.first, toTime, toBytes: trend.last };
}

/**
 * By Lindy's law growth ends short of its limit with the chance that is left of the way; and the further it has gone beyond what was
 * asked of it, the fewer that did not last are among its like (on the corpus, as the power of 3/2).
 */
function confidenceOf(leak: Growth | undefined, verdict: Verdict): number {
  if (leak === undefined) return verdict === 'undecided' ? 0.5 : 0.8;
  const surplus = Math.max(1, leak.share / Math.max(leak.neededShare, 1e-6));
  return 1 - Math.max(LEAST_DOUBT, Math.min(FIRST_DOUBT / surplus ** 1.5, 1 - leak.share));
}

function decisionTime(lifetime: Lifetime, growth: Growth | undefined, warmUp: boolean, policy: Policy, at: number): number {
  if (warmUp || growth === undefined) return Math.max(at, lifetime.warmAt + policy.minWatchMs + 2 * policy.baseBlockMs);
  if (growth.reason === 'needs-patience' && growth.slope > 0) {
    const missing = growth.neededShare * (growth.grown + growth.left) - growth.grown;
    return at + Math.max(growth.widthMs, missing / growth.slope);
  }
  return at + 4 * growth.widthMs;
}
