/**
 * Incidents are a fold over appended events, so detector, console and a second detector never
 * overwrite each other, and every message can be traced to the event that caused it.
 */
import { createHash } from 'node:crypto';
import type { Judgement } from './judgement.ts';

export const INCIDENT_STATES = ['open', 'acknowledged', 'silenced', 'resolved', 'dismissed'] as const;

/** `dismissed` is "not a leak": remembered, so the same shape on the same service does not page again. */
export type IncidentState = (typeof INCIDENT_STATES)[number];

interface EventBase {
  /** Deterministic: writing the same event twice changes nothing. */
  readonly id: string;
  readonly incident: string;
  /** Milliseconds UTC. */
  readonly at: number;
  /** Who caused it: 'detector' or the operator's name. */
  readonly actor: string;
}

/** Events by the detector carry the pooled judgement they rest on; events by people carry a note. */
export type IncidentEvent = EventBase &
  (
    | { readonly type: 'opened' | 'updated' | 'resolved' | 'reopened'; readonly judgement: Judgement; readonly note: string }
    | { readonly type: 'acknowledged' | 'unacknowledged' | 'dismissed'; readonly note: string }
    | { readonly type: 'silenced'; readonly until: number; readonly note: string }
  );

export type IncidentEventType = IncidentEvent['type'];

export interface Incident {
  readonly id: string;
  readonly service: string;
  readonly environment: string;
  /** Version it was first seen in. */
  readonly version: string;
  readonly state: IncidentState;
  readonly openedAt: number;
  readonly resolvedAt: number | null;
  readonly silencedUntil: number | null;
  /** Latest judgement by the detector. */
  readonly judgement: Judgement;
  /** Judgement it was opened with. */
  readonly openedWith: Judgement;
  /** Highest level it was judged at. */
  readonly highestBytes: number;
  readonly lastEventId: string;
  readonly updatedAt: number;
  /** Last note by a person or the detector ("v42 stayed flat for 6 h"). */
  readonly note: string;
  readonly actor: string;
}

/** Stable id of a leak episode: the n-th of a service in an environment opened at a moment. */
export function incidentId(service: string, environment: string, openedAt: number): string {
  return createHash('sha256')
    .update(JSON.stringify([service, environment, openedAt]))
    .digest('hex')
    .slice(0, 12);
}

/** Stable id of an event: the same cause at the same moment is the same event. */
export function eventId(incident: string, type: IncidentEventType, at: number): string {
  return createHash('sha256')
    .update(JSON.stringify([incident, type, at]))
    .digest('hex')
    .slice(0, 16);
}

/** States from which an event of a type may follow; any other is ignored by the fold. */
const LEGAL_FROM: Record<Exclude<IncidentEventType, 'opened'>, readonly IncidentState[]> = {
  updated: ['open', 'acknowledged', 'silenced'],
  acknowledged: ['open', 'silenced'],
  unacknowledged: ['acknowledged'],
  silenced: ['open', 'acknowledged', 'silenced'],
  dismissed: ['open', 'acknowledged', 'silenced', 'resolved'],
  resolved: ['open', 'acknowledged', 'silenced'],
  reopened: ['resolved'],
};

const STATE_AFTER: Partial<Record<IncidentEventType, IncidentState>> = {
  acknowledged: 'acknowledged',
  unacknowledged: 'open',
  silenced: 'silenced',
  dismissed: 'dismissed',
  resolved: 'resolved',
  reopened: 'open',
};

/** Applies one event. Illegal transitions (a late duplicate, an acknowledge after the end) leave the incident as it is. */
export function applyEvent(incident: Incident | undefined, event: IncidentEvent): Incident | undefined {
  if (event.type === 'opened') {
    if (incident !== undefined) return incident;
    const { judgement } = event;
    return {
      id: event.incident,
      service: judgement.service,
      environment: judgement.environment,
      version: judgement.version,
      state: 'open',
      openedAt: event.at,
      resolvedAt: null,
      silencedUntil: null,
      judgement,
      openedWith: judgement,
      highestBytes: judgement.levelBytes,
      lastEventId: event.id,
      updatedAt: event.at,
      note: event.note,
      actor: event.actor,
    };
  }
  if (incident === undefined || !LEGAL_FROM[event.type].includes(incident.state)) return incident;
  return {
    ...incident,
    state: STATE_AFTER[event.type] ?? incident.state,
    judgement: 'judgement' in event ? event.judgement : incident.judgement,
    highestBytes: 'judgement' in event ? Math.max(incident.highestBytes, event.judgement.levelBytes) : incident.highestBytes,
    resolvedAt: event.type === 'resolved' ? event.at : event.type === 'reopened' ? null : incident.resolvedAt,
    silencedUntil: event.type === 'silenced' ? event.until : event.type === 'updated' ? incident.silencedUntil : null,
    lastEventId: event.id,
    updatedAt: event.at,
    note: event.note,
    actor: event.actor,
  };
}

/** A silence ends by itself: no event says so, the time does. */
export function stateAt({ state, silencedUntil }: Incident, at: number): IncidentState {
  return state === 'silenced' && silencedUntil !== null && silencedUntil <= at ? 'open' : state;
}

/** The incident as it stands at a moment. */
export function incidentAt(incident: Incident, at: number): Incident {
  const state = stateAt(incident, at);
  return state === incident.state ? incident : { ...incident, state, silencedUntil: null };
}

/** Folds events, in any order and with duplicates, into the incidents they describe. */
export function foldEvents(events: Iterable<IncidentEvent>): Map<string, Incident> {
  const unique = new Map<string, IncidentEvent>();
  for (const event of events) unique.set(`${event.incident} ${event.id}`, event);
  const rank = (event: IncidentEvent) => (event.type === 'opened' ? 0 : 1);
  const ordered = [...unique.values()].sort((a, b) => a.at - b.at || rank(a) - rank(b) || (a.id < b.id ? -1 : 1));
  const incidents = new Map<string, Incident>();
  for (const event of ordered) {
    const next = applyEvent(incidents.get(event.incident), event);
    if (next !== undefined) incidents.set(event.incident, next);
  }
  return incidents;
}
