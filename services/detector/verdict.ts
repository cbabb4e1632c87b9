/** Turns what a lifetime knows into a judgement: verdict, named reason, figures, and the sentence for people. */
import type { FittedLine, GrowthKind, Judgement, Verdict } from '../../shared/judgement.ts';
import { explain } from './explain.ts';
import type { Growth, GrowthReason } from './growth.ts';
import { growthKind } from './kind.ts';
import type { Lifetime } from './lifetime.ts';
import type { Policy } from './policy.ts';

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
};

interface Slope {
  readonly value: number;
  readonly low: number;
  readonly high: number;
}

/** Bytes per hour with a 90 % interval. */
function slopeOf(growth: Growth | undefined): Slope {
  if (growth === undefined) return { value: 0, low: 0, high: 0 };
  const margin = quantile(Math.max(2, growth.effectiveSize - 2)) * growth.standardError;
  return { value: growth.slope * HOUR, low: (growth.slope - margin) * HOUR, high: (growth.slope + margin) * HOUR };
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
  const slope = slopeOf(growth);
  const around = lifetime.surroundings();
  const limitBytes = around.limitBytes;
  const level = lifetime.lastLevel;
  const left = limitBytes - around.besideBytes - level;
  const reach = (perHour: number) => (limitBytes > 0 && perHour > 0 ? at + (Math.max(0, left) / perHour) * HOUR : null);
  const climbing = leak !== undefined || verdict === 'undecided';
  const kind: GrowthKind = growth === undefined ? 'unknown' : growthKind(lifetime, growth);
  const decidesBy = verdict === 'undecided' ? decisionTime(lifetime, growth, warmUp, policy, at) : null;
  const facts = { lifetime, growth, reason, slope: slope.value, limitBytes, left, kind };
  const { explanation, waitingFor } = explain(facts);
  return {
    service: identity.service,
    environment: identity.environment,
    version: identity.version,
    instance: identity.instance,
    lifetime: identity.lifetime,
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
    onsetAt: growth !== undefined && growth.slope > 0 ? onsetOf(lifetime, growth) : null,
    confidence: confidenceOf(leak, verdict),
    instances: verdict === 'leak' ? [identity.instance] : [],
    fit: growth === undefined || growth.slope === 0 ? null : lineOf(growth),
    waitingFor: verdict === 'undecided' ? waitingFor : '',
    decidesBy,
  };
}

function lineOf(growth: Growth): FittedLine {
  return { fromTime: growth.fromTime, fromBytes: growth.firstBytes, toTime: growth.toTime, toBytes: growth.lastBytes };
}

/** From how far the growth stands above noise and how much of the way was watched. */
function confidenceOf(leak: Growth | undefined, verdict: Verdict): number {
  if (leak === undefined) return verdict === 'undecided' ? 0.5 : 0.8;
  const surplus = Math.min(2, leak.share / Math.max(leak.neededShare, 1e-6));
  return Math.min(0.99, 0.8 + 0.1 * (surplus - 1) + 0.09 * Math.min(1, leak.significance / 30));
}

/** Walks back from the window over older kept blocks while they lie on the line's way up. */
function onsetOf(lifetime: Lifetime, growth: Growth): number {
  const level = lifetime.resolutionOf(growth);
  const { time, floor } = level;
  let onset = growth.fromTime;
  for (let index = time.length - 1; index >= 0; index -= 1) {
    const at = time[index] as number;
    if (at >= growth.fromTime) continue;
    if (at < lifetime.warmAt) break;
    const expected = growth.firstBytes + growth.slope * (at - growth.fromTime);
    if (Math.abs((floor[index] as number) - expected) > 3 * growth.noise + 0.1 * (growth.lastBytes - growth.firstBytes)) break;
    onset = at;
  }
  return onset - level.widthMs / 2;
}

function decisionTime(lifetime: Lifetime, growth: Growth | undefined, warmUp: boolean, policy: Policy, at: number): number {
  if (warmUp || growth === undefined) return Math.max(at, lifetime.warmAt + policy.minWatchMs + 2 * policy.baseBlockMs);
  if (growth.reason === 'needs-patience' && growth.slope > 0) {
    const missing = growth.neededShare * (growth.grown + growth.left) - growth.grown;
    return at + Math.max(growth.widthMs, missing / growth.slope);
  }
  return at + 4 * growth.widthMs;
}
