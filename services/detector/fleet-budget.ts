/**
 * One budget of false alarms for all services of a detector. Judged each by itself, ten thousand services raise two hundred false alarms a week
 * where one raises one a year. Tests of many at once are held to a false discovery rate (Benjamini and Hochberg 1995; by the chance of
 * each to be false: Efron 2001): as few may be false as the week allows, or as a share of the leaks that were found in it, whichever is
 * more. Where more would be expected, an incident opens only once its own doubt is smaller in that proportion.
 */
import type { Judgement } from '../../shared/judgement.ts';
import type { Policy } from './policy.ts';

/** Doubt in a leak at the moment its growth just passes, and the least there ever is. */
export const FIRST_DOUBT = 0.06;
export const LEAST_DOUBT = 0.01;

export interface Fleet {
  /** Services of the detector whose budget it is. */
  readonly services: number;
  /** Incidents of these opened within the last week that nobody has dismissed. */
  readonly discoveries: number;
}

/** The confidence from which on an incident opens; 0 = whenever a leak is found. */
export function leastConfidence({ services, discoveries }: Fleet, { falseAlarms }: Policy): number {
  const expected = services * falseAlarms.perServiceWeek;
  const allowed = Math.max(falseAlarms.perWeek, falseAlarms.share * discoveries);
  if (expected <= allowed) return 0;
  return 1 - Math.max(LEAST_DOUBT, FIRST_DOUBT * (allowed / expected));
}

/** When the incident of a leak opens however unsure it is; null where its end is not in sight. */
export function opensBy({ exhaustsEarliest }: Judgement, { leadMs }: Policy): number | null {
  return exhaustsEarliest === null ? null : exhaustsEarliest - leadMs;
}

export function mayOpen(leak: Judgement, least: number, policy: Policy): boolean {
  const by = opensBy(leak, policy);
  return leak.confidence >= least || (by !== null && by < leak.at);
}
