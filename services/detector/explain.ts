/** The sentence for people: what was seen, with figures, and what is still missing. */
import { bytesText } from '../../shared/bytes-text.ts';
import type { GrowthKind } from '../../shared/judgement.ts';
import type { Growth } from './growth.ts';
import type { Lifetime } from './lifetime.ts';

export interface Facts {
  readonly lifetime: Lifetime;
  readonly growth: Growth | undefined;
  readonly reason: string;
  /** Bytes per hour. */
  readonly slope: number;
  /** What it runs into first; no bytes = no limit known. */
  readonly end: { readonly name: string; readonly limitBytes: number };
  readonly left: number;
  readonly kind: GrowthKind;
}

export interface Explanation {
  readonly explanation: string;
  readonly waitingFor: string;
}

export function duration(ms: number): string {
  if (ms < 120_000) return `${String(Math.round(ms / 1000))} s`;
  if (ms < 2 * 3_600_000) return `${String(Math.round(ms / 60_000))} min`;
  if (ms < 48 * 3_600_000) return `${(ms / 3_600_000).toFixed(1)} h`;
  return `${(ms / 86_400_000).toFixed(1)} days`;
}

const WHERE: Record<GrowthKind, string> = {
  heap: 'in the heap',
  native: 'outside the heap',
  mixed: 'in the heap and outside it',
  unknown: '',
};

const nothing = '';

export function explain(facts: Facts): Explanation {
  const { growth, lifetime } = facts;
  const level = bytesText(lifetime.lastLevel);
  if (facts.reason === 'warming-up') {
    return { explanation: `started recently, ${level} so far`, waitingFor: 'enough history after the warm-up' };
  }
  if (growth === undefined) {
    const calm = facts.reason === 'flat' ? 'its floor is flat' : 'no higher than it has been before';
    return { explanation: `near ${level}, ${calm}`, waitingFor: nothing };
  }
  const watched = duration(growth.toTime - growth.fromTime);
  const speed = `${bytesText(facts.slope)}/h`;
  switch (facts.reason) {
    case 'keeps-growing':
      return { explanation: leakSentence(facts, speed, watched), waitingFor: nothing };
    case 'flat':
      return { explanation: `floor flat near ${level} for ${watched}`, waitingFor: nothing };
    case 'within-earlier-levels':
      return { explanation: `near ${level}, no higher than it has been before`, waitingFor: nothing };
    case 'not-significant':
      return {
        explanation: `near ${level}; ${speed} over ${watched} is within its noise of ${bytesText(growth.noise)}`,
        waitingFor: nothing,
      };
    case 'flattening':
      return {
        explanation: `grew ${bytesText(growth.lastBytes - growth.firstBytes)} over ${watched}, but hardly in the later half`,
        waitingFor: nothing,
      };
    case 'level-shift':
      return { explanation: `one step explains the ${bytesText(growth.lastBytes - growth.firstBytes)} it rose`, waitingFor: nothing };
    case 'levelling-off':
      return { explanation: `levelling off near ${bytesText(growth.ceilingBytes)}`, waitingFor: nothing };
    case 'logarithmic-creep':
      return { explanation: `creeps ever slower, near ${bytesText(growth.ceilingBytes)} after three times its age`, waitingFor: nothing };
    case 'follows-load':
      return { explanation: `follows load: ${bytesText(growth.bytesPerLoad)} per request/s`, waitingFor: nothing };
    case 'awaits-collection':
      return {
        explanation: `the heap grows ${speed}, what was live after its last full collection does not`,
        waitingFor: 'the next full collection',
      };
    case 'too-short':
      return { explanation: `grows ${speed}, seen for ${watched} only`, waitingFor: 'a longer stretch of growth' };
    case 'needs-confirmation':
      return { explanation: `grows ${speed} for ${watched}`, waitingFor: 'the next block to confirm it' };
    default: {
      const share = `${String(Math.round(100 * growth.share))} % of the way to ${facts.end.limitBytes > 0 ? 'the limit' : 'twice its level'}`;
      return {
        explanation: `grows ${speed} for ${watched}, ${share}; it may still be a cache filling`,
        waitingFor: `growth over ${String(Math.round(100 * growth.neededShare))} % of the way`,
      };
    }
  }
}

function leakSentence(facts: Facts, speed: string, watched: string): string {
  const where = WHERE[facts.kind];
  const end =
    facts.end.limitBytes > 0 && facts.slope > 0
      ? `, reaches its ${facts.end.name} of ${bytesText(facts.end.limitBytes)} in ${duration((Math.max(0, facts.left) / facts.slope) * 3_600_000)}`
      : '';
  const lives = facts.growth?.takenBack?.lives;
  if (lives !== undefined) {
    const without = end === '' ? '' : `${end} without restarts`;
    return `grows ${speed}${where === '' ? '' : ` ${where}`} more than it did before in each of its last ${String(lives)} lives, until it is restarted, now ${bytesText(facts.lifetime.lastLevel)}${without}`;
  }
  const replicas = facts.growth?.replicas ?? 1;
  const together = replicas > 1 ? `, seen over ${String(replicas)} instances together` : '';
  const stepAt = facts.growth?.stepAt;
  const daily = stepAt === undefined ? '' : `, in a step a day about ${new Date(stepAt).toISOString().slice(11, 16)} UTC`;
  return `keeps growing ${speed}${where === '' ? '' : ` ${where}`} for ${watched}${daily}${together}, now ${bytesText(facts.lifetime.lastLevel)}${end}`;
}
