/** Which service a person should look at first. Pure. */
import type { Judgement, Verdict } from '../../shared/judgement.ts';

const RANK: Record<Verdict, number> = { leak: 0, growing: 1, undecided: 2, steady: 3 };

type Urgency = Pick<Judgement, 'verdict' | 'exhaustsAt' | 'slopeBytesPerHour'>;

const soonest = (judgement: Urgency): number => judgement.exhaustsAt ?? Infinity;

/** Verdict first, then the time that is left, then the speed. */
export function compareUrgency(a: Urgency | null, b: Urgency | null): number {
  if (a === null || b === null) return Number(a === null) - Number(b === null);
  return RANK[a.verdict] - RANK[b.verdict] || compareNumbers(soonest(a), soonest(b)) || b.slopeBytesPerHour - a.slopeBytesPerHour;
}

/** Unlike a difference it holds for two infinities. */
const compareNumbers = (a: number, b: number): number => (a < b ? -1 : a > b ? 1 : 0);

export function mostUrgent(judgements: readonly Judgement[]): Judgement | null {
  return [...judgements].sort(compareUrgency)[0] ?? null;
}
