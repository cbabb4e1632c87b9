/** Decides what a channel has to be told of an incident now, with a named reason. Pure. */
import { stateAt, type Incident, type IncidentEvent } from '../../shared/incident.ts';
import type { Delivery } from '../../shared/store/deliveries.ts';
import type { Cadence } from './channel.ts';
import type { Change } from './message.ts';

/** One thing to say. `revision` names it: the event it is of, with a suffix when the same event is spoken of again. */
export interface Plan {
  readonly revision: string;
  readonly change: Change;
}

export interface PlanInput {
  readonly incident: Incident;
  readonly events: ReadonlyMap<string, IncidentEvent>;
  /** Of this incident on this channel. */
  readonly deliveries: readonly Delivery[];
  readonly cadence: Cadence;
  readonly refreshes: boolean;
  readonly at: number;
  readonly timing: Timing;
  /** Refusals recorded before this moment are tried again once: settings may have been mended. */
  readonly startedAt: number;
  /** No other notifier can have the store open: what is under way from before `startedAt` is nobody's any more. */
  readonly isAlone: boolean;
}

export interface Timing {
  /** An intent younger than this may be under way in another process. Above the longest send and what clocks differ by. */
  readonly leaseMs: number;
  /** Least time between two edits that only bring new figures. */
  readonly editIntervalMs: number;
  /** An open incident whose newest message is unconfirmed is spoken of again after this. */
  readonly reminderMs: number;
}

export const TIMING: Timing = { leaseMs: 60_000, editIntervalMs: 30_000, reminderMs: 15 * 60_000 };

/** `wait` is not "nothing to do": it will be something at a later pass. */
export type Decision = { readonly plan: Plan } | { readonly wait: string } | { readonly nothing: string };

const HOUR = 3_600_000;
const LAST_CALL_MS = HOUR;
const REMINDERS = 3;
const REFRESHES = 8;
const SUFFIX = ':';

const TOLD: Record<Cadence, ReadonlySet<Change>> = {
  'every-change': new Set([
    ...(['opened', 'updated', 'resolved', 'reopened', 'acknowledged', 'unacknowledged', 'dismissed', 'silenced'] as const),
    ...(['silence-ended', 'reminder', 'last-call', 'refreshed'] as const),
  ]),
  milestones: new Set<Change>(['opened', 'resolved', 'reopened', 'silence-ended', 'reminder', 'last-call']),
  endpoints: new Set<Change>(['opened', 'resolved', 'reopened', 'reminder']),
};

const MIN_RETRY_MS = 5_000;
const MAX_RETRY_MS = 10 * 60_000;

/** When a failed try may be repeated; Infinity for a refusal. */
export function retryAt({ at, attempt, external }: Delivery): number {
  if (external['refused'] === 'yes') return Infinity;
  const backoff = Math.min(MIN_RETRY_MS * 2 ** Math.min(attempt - 1, 10), MAX_RETRY_MS);
  return at + Math.max(backoff, Number(external['retry_after_ms'] ?? 0));
}

/** Somebody may be sending it at this moment. */
export function isUnderWay(
  delivery: Delivery,
  { at, timing, startedAt, isAlone }: Pick<PlanInput, 'at' | 'timing' | 'startedAt' | 'isAlone'>,
): boolean {
  const isOfTheDead = isAlone && delivery.at < startedAt;
  return delivery.state === 'intent' && at - delivery.at < timing.leaseMs && !isOfTheDead;
}

/** Told, or perhaps told: `unconfirmed` counts, and so does an intent on a channel that can be asked. */
const mayHaveArrived = ({ state, external }: Delivery) => state !== 'failed' || external['ts'] !== undefined;

export function decide(input: PlanInput): Decision {
  const { incident, deliveries, at, cadence } = input;
  if (deliveries.some((delivery) => isUnderWay(delivery, input))) return { wait: 'under-way' };
  const last = latest(deliveries.filter(mayHaveArrived));
  const isOpen = stateAt(incident, at) === 'open';
  if (last === undefined && !isOpen) return { nothing: 'over-before-told' };

  const base = newest(input, last === undefined);
  const said = latest(deliveries.filter(({ event }) => event === base.revision));
  const isSaid = said?.state === 'sent' || said?.state === 'unconfirmed';
  if (!isSaid && TOLD[cadence].has(base.change)) return begin(input, base, last);
  if (last === undefined) return { nothing: 'not-for-this-channel' };
  return last.state === 'unconfirmed' ? remind(input, last, isOpen) : followUp(input, last, isOpen);
}

/** The newest thing that happened. */
function newest({ incident, events, deliveries, at }: PlanInput, isFirst: boolean): Plan {
  const event = events.get(incident.lastEventId);
  // Nobody was told before: whatever it is that happened last, to the reader the leak is new.
  if (isFirst) return { revision: incident.lastEventId, change: event?.type === 'reopened' ? 'reopened' : 'opened' };
  if (incident.state === 'silenced' && stateAt(incident, at) === 'open') {
    const silence = [...events.values()]
      .filter((one) => one.incident === incident.id && one.type === 'silenced')
      .sort((a, b) => b.at - a.at)[0];
    const revision = `${silence?.id ?? incident.lastEventId}${SUFFIX}silence-ended`;
    const isDone = deliveries.some((one) => one.event === revision && (one.state === 'sent' || one.state === 'unconfirmed'));
    if (!isDone || silence?.id === incident.lastEventId) return { revision, change: 'silence-ended' };
  }
  return { revision: incident.lastEventId, change: event?.type ?? 'updated' };
}

const latest = (deliveries: readonly Delivery[]): Delivery | undefined => [...deliveries].sort((a, b) => b.at - a.at)[0];

function begin(input: PlanInput, base: Plan, last: Delivery | undefined): Decision {
  const { incident, at, timing, deliveries } = input;
  if (base.change === 'updated') {
    if (stateAt(incident, at) === 'silenced') return { nothing: 'silenced' };
    if (last !== undefined && at - last.at < timing.editIntervalMs) return { wait: 'edited-just-now' };
  }
  // A new event must not run past the pause the channel asked for.
  const pauses = deliveries.map((one) => (one.state === 'failed' ? one.at + Number(one.external['retry_after_ms'] ?? 0) : 0));
  return Math.max(0, ...pauses) > at ? { wait: 'retry-later' } : attempt(input, base);
}

function attempt({ deliveries, at, startedAt }: PlanInput, plan: Plan): Decision {
  const before = latest(deliveries.filter(({ event }) => event === plan.revision));
  if (before === undefined || before.state === 'intent') return { plan };
  if (before.state !== 'failed') return { nothing: 'said' };
  if (before.external['refused'] === 'yes') return before.at < startedAt ? { plan } : { nothing: 'refused' };
  return at >= retryAt(before) ? { plan } : { wait: 'retry-later' };
}

/** `event:reminder-2` → the revision it speaks of again, and how often it did. */
function stemOf(revision: string): { stem: string; reminders: number } {
  const [, stem = revision, reminders = '0'] = /^(.*?)(?::(?:reminder-(\d+)|last-call|left-\d+))?$/.exec(revision) ?? [];
  return { stem, reminders: Number(reminders) };
}

/** The newest message may never have arrived. While the incident is open it is said again, a bounded number of times. */
function remind(input: PlanInput, last: Delivery, isOpen: boolean): Decision {
  if (!isOpen) return { nothing: 'unconfirmed-and-over' };
  const { stem, reminders } = stemOf(last.event);
  if (reminders >= REMINDERS) return { nothing: 'reminded-enough' };
  if (input.at - last.at < input.timing.reminderMs) return { wait: 'reminder' };
  return attempt(input, { revision: `${stem}${SUFFIX}reminder-${reminders + 1}`, change: 'reminder' });
}

/** All is said; what remains is the time that passes. */
function followUp(input: PlanInput, last: Delivery, isOpen: boolean): Decision {
  const { incident, at, cadence, refreshes } = input;
  const { exhaustsAt } = incident.judgement;
  if (exhaustsAt === null || incident.state === 'resolved' || incident.state === 'dismissed') return { nothing: 'said' };
  const left = exhaustsAt - at;
  const leftWhenSaid = exhaustsAt - last.at;
  const { stem } = stemOf(last.event);
  if (isOpen && left <= LAST_CALL_MS && leftWhenSaid > 2 * LAST_CALL_MS && TOLD[cadence].has('last-call'))
    return attempt(input, { revision: `${stem}${SUFFIX}last-call`, change: 'last-call' });
  if (!refreshes || stateAt(incident, at) === 'silenced') return { nothing: 'said' };
  // "In 7 h" is wrong after three hours: written anew each time half of what was left has passed.
  const whenEventSaid = latest(input.deliveries.filter(({ event }) => event === stem))?.at ?? last.at;
  const halvings = Math.min(REFRESHES, Math.floor(Math.log2((exhaustsAt - whenEventSaid) / Math.max(left, 1))));
  return halvings >= 1 ? attempt(input, { revision: `${stem}${SUFFIX}left-${halvings}`, change: 'refreshed' }) : { nothing: 'said' };
}
