/** Says of leaks whose incident the fleet's budget holds back that nobody was alerted, why, and until when at the latest. */
import type { Incident } from '../../shared/incident.ts';
import type { Judgement } from '../../shared/judgement.ts';
import { leastConfidence, opensBy, type Fleet } from './fleet-budget.ts';
import { ACTIVE_STATES, reconcile } from './incidents.ts';
import type { Policy } from './policy.ts';

/** Pooled judgements of one service and its incidents, after these were brought up to the same moment. */
export function sayHeldBack(
  pooled: readonly Judgement[],
  incidents: readonly Incident[],
  fleet: Fleet,
  policy: Policy,
): readonly Judgement[] {
  const least = leastConfidence(fleet, policy);
  const leak = pooled.find(({ verdict }) => verdict === 'leak');
  if (least === 0 || leak === undefined || incidents.some(({ state }) => ACTIVE_STATES.has(state))) return pooled;
  // What would open without the budget; what was dismissed would not.
  if (reconcile(pooled, incidents, new Map(), leak.at, policy)[0]?.type !== 'opened') return pooled;
  const asked = `${String(Number((100 * least).toFixed(1)))} % confidence`;
  const waitingFor = `${asked} before it alerts, as one of ${String(fleet.services)} services that share a detector’s budget of false alarms`;
  return pooled.map((judgement) =>
    judgement.verdict === 'leak' ? { ...judgement, waitingFor, decidesBy: opensBy(judgement, policy) } : judgement,
  );
}
