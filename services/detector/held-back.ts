/** Says of leaks whose incident is held back, by the fleet's budget or by what was learned, that nobody was alerted, why, and until when. */
import { bytesText } from '../../shared/bytes-text.ts';
import type { Incident } from '../../shared/incident.ts';
import type { Judgement } from '../../shared/judgement.ts';
import { leastConfidence, opensBy, type Fleet } from './fleet-budget.ts';
import { levelOfNews } from './given-back.ts';
import { ACTIVE_STATES, reconcile } from './incidents.ts';
import type { Policy } from './policy.ts';

/** Pooled judgements of one service and its incidents, after these were brought up to the same moment. */
export function sayHeldBack(
  pooled: readonly Judgement[],
  incidents: readonly Incident[],
  fleet: Fleet,
  policy: Policy,
): readonly Judgement[] {
  const leak = pooled.find(({ verdict }) => verdict === 'leak');
  if (leak === undefined || incidents.some(({ state }) => ACTIVE_STATES.has(state))) return pooled;
  const say = (waitingFor: string, decidesBy: (judgement: Judgement) => number | null) =>
    pooled.map((judgement) => (judgement.verdict === 'leak' ? { ...judgement, waitingFor, decidesBy: decidesBy(judgement) } : judgement));
  const news = levelOfNews(leak, incidents);
  if (leak.levelBytes < news) return say(`a level of ${bytesText(news)}: it gave back by itself what it was alarmed of before`, () => null);
  const least = leastConfidence(fleet, policy);
  // What would open without the budget; what was dismissed would not.
  if (least === 0 || reconcile(pooled, incidents, new Map(), leak.at, policy)[0]?.type !== 'opened') return pooled;
  const asked = `${String(Number((100 * least).toFixed(1)))} % confidence`;
  return say(
    `${asked} before it alerts, as one of ${String(fleet.services)} services that share a detector’s budget of false alarms`,
    (judgement) => opensBy(judgement, policy),
  );
}
