/**
 * The strict scorer: a leak counts when an incident opens at or after its onset and before exhaustion; any incident on a benign
 * service, or before the onset, is a false alarm. Precision, and so F1, counts services: one that alarms falsely, however often, is one
 * wrong; the rate of false alarms counts each. Intervals are bootstrapped over services.
 */
import { weeksOf, type Case } from './corpus-case.ts';
import { createRandom } from './random.ts';

export interface Opened {
  /** ms UTC. */
  readonly at: number;
  readonly kind?: string;
  readonly instances?: readonly string[];
  readonly slopeLow?: number;
  readonly slopeHigh?: number;
  readonly reason?: string;
  /** Chance that it is a leak, as it was told. */
  readonly confidence?: number;
}

/** What was said of an incident when it opened, and what it was. */
export interface Claim {
  readonly confidence: number;
  readonly right: boolean;
}

/** What became of one case; small, so that workers can send it. */
export interface Outcome {
  readonly name: string;
  readonly family: string;
  readonly leaks: boolean;
  readonly weeks: number;
  readonly falseAlarms: number;
  readonly found: boolean;
  /** Share of the time from onset to exhaustion that had passed when it was found. */
  readonly delay: number | undefined;
  readonly kindRight: boolean | undefined;
  readonly covered: boolean | undefined;
  readonly claims: readonly Claim[];
  readonly notes: string;
}

export function scoreCase(one: Case, opened: readonly Opened[]): Outcome {
  const { truth } = one;
  const base = { name: one.name, family: one.family, leaks: truth !== undefined, weeks: weeksOf(one) };
  const say = (list: readonly Opened[]) =>
    list.map(({ at, reason }) => `${new Date(at).toISOString().slice(5, 16)} ${reason ?? ''}`).join(' | ');
  if (truth === undefined) {
    return {
      ...base,
      falseAlarms: opened.length,
      found: false,
      delay: undefined,
      kindRight: undefined,
      covered: undefined,
      claims: claimsOf(opened, () => false),
      notes: say(opened),
    };
  }
  const early = opened.filter(({ at }) => at < truth.onsetAt);
  const hit = opened.find(({ at }) => at >= truth.onsetAt && at < truth.exhaustsAt);
  const known = hit?.kind !== undefined && hit.kind !== 'unknown';
  const rate = truth.bytesPerHour[hit?.instances?.[0] ?? ''];
  return {
    ...base,
    falseAlarms: early.length,
    found: hit !== undefined,
    delay: hit === undefined ? undefined : (hit.at - truth.onsetAt) / (truth.exhaustsAt - truth.onsetAt),
    kindRight: known ? hit.kind === truth.kind : undefined,
    covered:
      hit?.slopeLow === undefined || hit.slopeHigh === undefined || rate === undefined
        ? undefined
        : hit.slopeLow <= rate && rate <= hit.slopeHigh,
    claims: claimsOf(opened, ({ at }) => at >= truth.onsetAt),
    notes: `${new Date(truth.onsetAt).toISOString().slice(5, 16)} to ${new Date(truth.exhaustsAt).toISOString().slice(5, 16)}: ${say(opened)}`,
  };
}

function claimsOf(opened: readonly Opened[], isRight: (one: Opened) => boolean): Claim[] {
  return opened.flatMap((one) => (one.confidence === undefined ? [] : [{ confidence: one.confidence, right: isRight(one) }]));
}

export interface Score {
  readonly cases: number;
  readonly precision: number;
  readonly recall: number;
  readonly f1: number;
  /** Were every false alarm counted, not every service with one. */
  readonly f1OfAlarms: number;
  readonly falseAlarmsPer100Weeks: number;
  readonly medianDelay: number;
  readonly p90Delay: number;
  readonly kindRight: number;
  readonly covered: number;
}

export function scoreOf(outcomes: readonly Outcome[]): Score {
  const leaks = outcomes.filter((one) => one.leaks);
  const found = leaks.filter((one) => one.found).length;
  const falseAlarms = sum(outcomes, (one) => one.falseAlarms);
  const wrong = outcomes.filter((one) => one.falseAlarms > 0).length;
  const precision = precisionOf(found, wrong);
  const recall = leaks.length > 0 ? found / leaks.length : Number.NaN;
  const delays = leaks.flatMap(({ delay }) => (delay === undefined ? [] : [delay])).sort((a, b) => a - b);
  return {
    cases: outcomes.length,
    precision,
    recall,
    f1: harmonic(precision, recall),
    f1OfAlarms: harmonic(precisionOf(found, falseAlarms), recall),
    falseAlarmsPer100Weeks: (100 * falseAlarms) / sum(outcomes, (one) => one.weeks),
    medianDelay: at(delays, 0.5),
    p90Delay: at(delays, 0.9),
    kindRight: shareOf(outcomes.flatMap(({ kindRight }) => (kindRight === undefined ? [] : [kindRight]))),
    covered: shareOf(outcomes.flatMap(({ covered }) => (covered === undefined ? [] : [covered]))),
  };
}

const precisionOf = (right: number, wrong: number) => (right + wrong > 0 ? right / (right + wrong) : 1);
const harmonic = (precision: number, recall: number) => (precision + recall > 0 ? (2 * precision * recall) / (precision + recall) : 0);

/** 95 % interval of one figure. */
export function bootstrap(outcomes: readonly Outcome[], figure: (score: Score) => number, rounds = 400): readonly [number, number] {
  const random = createRandom(20_260_101);
  const figures: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    figures.push(figure(scoreOf(outcomes.map(() => outcomes[Math.floor(random.unit() * outcomes.length)] as Outcome))));
  }
  figures.sort((a, b) => a - b);
  return [at(figures, 0.025), at(figures, 0.975)];
}

function sum<Value>(values: readonly Value[], of: (value: Value) => number): number {
  return values.reduce((total, value) => total + of(value), 0);
}

function at(sorted: readonly number[], share: number): number {
  return sorted.length === 0 ? Number.NaN : (sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] as number);
}

function shareOf(values: readonly boolean[]): number {
  return values.length === 0 ? Number.NaN : values.filter(Boolean).length / values.length;
}
