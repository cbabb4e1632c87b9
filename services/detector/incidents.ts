/** Judgements and the incidents so far in, incident events out. Pure: what a person reads is decided here and nowhere else. */
import { eventId, incidentId, type Incident, type IncidentEvent, type IncidentState } from '../../shared/incident.ts';
import type { Judgement } from '../../shared/judgement.ts';
import { mayOpen } from './fleet-budget.ts';
import { levelOfNews } from './given-back.ts';
import type { Policy } from './policy.ts';

/** When a service was last judged leaking; kept by the caller between evaluations. */
export type LastLeak = Map<string, number>;

export const ACTIVE_STATES: ReadonlySet<IncidentState> = new Set<IncidentState>(['open', 'acknowledged', 'silenced']);
/** A figure that moved by less is not worth an edit. */
const REAL_CHANGE = 0.25;

export function serviceKey(service: string, environment: string): string {
  return JSON.stringify([service, environment]);
}

/** `leastConfidence`: what the fleet's budget asks of a leak before its incident opens. */
export function reconcile(
  pooled: readonly Judgement[],
  incidents: Iterable<Incident>,
  lastLeak: LastLeak,
  at: number,
  policy: Policy,
  leastConfidence = 0,
): IncidentEvent[] {
  const perService = new Map<string, Judgement[]>();
  for (const judgement of pooled) append(perService, serviceKey(judgement.service, judgement.environment), judgement);
  const known = new Map<string, Incident[]>();
  for (const incident of incidents) append(known, serviceKey(incident.service, incident.environment), incident);

  const events: IncidentEvent[] = [];
  for (const key of new Set([...perService.keys(), ...known.keys()])) {
    const judgements = perService.get(key) ?? [];
    const past = (known.get(key) ?? []).sort((a, b) => a.openedAt - b.openedAt);
    const leaks = judgements.filter(({ verdict }) => verdict === 'leak').sort((a, b) => b.confidence - a.confidence);
    const leak = leaks.find((one) => mayOpen(one, leastConfidence, policy)) ?? leaks[0];
    if (leak !== undefined) lastLeak.set(key, at);
    const active = past.findLast(({ state }) => ACTIVE_STATES.has(state));
    const event =
      leak !== undefined
        ? active === undefined
          ? begin(leak, past, at, policy, leastConfidence)
          : update(active, leak, at, policy)
        : active === undefined
          ? undefined
          : resolve(active, judgements, lastLeakOf(lastLeak, key, at), at, policy);
    if (event !== undefined) events.push(event);
  }
  return events;
}

/** After a restart the time of the last leak is unknown: now is the careful answer. */
function lastLeakOf(lastLeak: LastLeak, key: string, at: number): number {
  const last = lastLeak.get(key);
  if (last === undefined) lastLeak.set(key, at);
  return last ?? at;
}

function begin(leak: Judgement, past: readonly Incident[], at: number, policy: Policy, leastConfidence: number): IncidentEvent | undefined {
  const dismissed = past.findLast(({ state }) => state === 'dismissed');
  if (dismissed !== undefined && sameShape(leak, dismissed.judgement)) return undefined;
  if (leak.levelBytes < levelOfNews(leak, past)) return undefined;
  const last = past.findLast(({ state }) => state === 'resolved');
  const calmMs = at - (last?.resolvedAt ?? Number.NEGATIVE_INFINITY);
  const base = { at, actor: 'detector', judgement: leak, note: leak.explanation };
  if (last !== undefined && (calmMs < policy.resolveMs || (calmMs < policy.horizonMs / 4 && isBack(leak, last)))) {
    return { ...base, id: eventId(last.id, 'reopened', at), incident: last.id, type: 'reopened' };
  }
  if (!mayOpen(leak, leastConfidence, policy)) return undefined;
  const incident = incidentId(leak.service, leak.environment, at);
  return { ...base, id: eventId(incident, 'opened', at), incident, type: 'opened' };
}

/** What a restart took back and a later process shows again is the same leak: restarts every day are not an incident every day. */
function isBack(leak: Judgement, { openedAt, openedWith }: Incident): boolean {
  return leak.startedAt >= openedAt && sameShape(leak, openedWith);
}

/** "Not a leak" covers growth of the same kind that is no faster and has not gone far beyond what was dismissed. */
function sameShape(leak: Judgement, dismissed: Judgement): boolean {
  return (
    leak.signal === dismissed.signal &&
    (leak.kind === dismissed.kind || leak.kind === 'unknown' || dismissed.kind === 'unknown') &&
    leak.slopeBytesPerHour < 2 * dismissed.slopeBytesPerHour &&
    leak.levelBytes < 2 * dismissed.levelBytes
  );
}

function update(active: Incident, leak: Judgement, at: number, policy: Policy): IncidentEvent | undefined {
  if (at - active.updatedAt < policy.updateMs || !reallyChanged(active.judgement, leak)) return undefined;
  return {
    id: eventId(active.id, 'updated', at),
    incident: active.id,
    at,
    actor: 'detector',
    type: 'updated',
    judgement: leak,
    note: leak.explanation,
  };
}

function reallyChanged(before: Judgement, now: Judgement): boolean {
  if (before.kind !== now.kind || before.version !== now.version) return true;
  if (before.instances.join() !== now.instances.join()) return true;
  if (Math.abs(now.slopeBytesPerHour - before.slopeBytesPerHour) > REAL_CHANGE * Math.abs(before.slopeBytesPerHour)) return true;
  if (before.exhaustsAt === null || now.exhaustsAt === null) return before.exhaustsAt !== now.exhaustsAt;
  return Math.abs(now.exhaustsAt - before.exhaustsAt) > REAL_CHANGE * Math.max(1, now.exhaustsAt - now.at);
}

/**
 * A restart does not resolve a leak: what runs now must have stayed calm for as long as the leak took to show.
 * A service that is gone resolves after the horizon.
 */
function resolve(
  active: Incident,
  judgements: readonly Judgement[],
  lastLeakAt: number,
  at: number,
  policy: Policy,
): IncidentEvent | undefined {
  const calm = at - lastLeakAt;
  const opened = active.openedWith;
  const tookToShow = opened.onsetAt === null ? policy.resolveMs : opened.at - opened.onsetAt;
  const wait = Math.min(Math.max(tookToShow, policy.resolveMs), policy.horizonMs / 4);
  const last = judgements.at(-1);
  if (last === undefined) {
    if (calm < policy.horizonMs / 2) return undefined;
    return resolved(active, active.judgement, at, 'no samples any more');
  }
  if (calm < wait || judgements.some(({ verdict }) => verdict === 'undecided')) return undefined;
  return resolved(active, last, at, `${last.version === '' ? 'it' : last.version} has stayed calm: ${last.explanation}`);
}

function resolved(active: Incident, judgement: Judgement, at: number, note: string): IncidentEvent {
  return { id: eventId(active.id, 'resolved', at), incident: active.id, at, actor: 'detector', type: 'resolved', judgement, note };
}

function append<Value>(map: Map<string, Value[]>, key: string, value: Value): void {
  const list = map.get(key);
  if (list === undefined) map.set(key, [value]);
  else list.push(value);
}
