/** From what the store holds to what the API says of it. */
import type { Incident, IncidentEvent } from '../../shared/incident.ts';
import type { Judgement } from '../../shared/judgement.ts';
import type { Delivery } from '../../shared/store/deliveries.ts';
import type { ApiDelivery, ApiIncident, ApiIncidentEvent, ApiJudgement } from './api-schema.ts';

/** JSON has no infinity: a bound that is not known is null. */
const finiteOrNull = (value: number): number | null => (Number.isFinite(value) ? value : null);
const finiteOrZero = (value: number): number => (Number.isFinite(value) ? value : 0);

export function apiJudgement(judgement: Judgement): ApiJudgement {
  return {
    ...judgement,
    slopeBytesPerHour: finiteOrZero(judgement.slopeBytesPerHour),
    slopeLow: finiteOrNull(judgement.slopeLow),
    slopeHigh: finiteOrNull(judgement.slopeHigh),
    levelBytes: finiteOrZero(judgement.levelBytes),
    limitBytes: finiteOrZero(judgement.limitBytes),
    exhaustsAt: momentOrNull(judgement.exhaustsAt),
    exhaustsEarliest: momentOrNull(judgement.exhaustsEarliest),
    exhaustsLatest: momentOrNull(judgement.exhaustsLatest),
    confidence: finiteOrZero(judgement.confidence),
  };
}

const momentOrNull = (at: number | null): number | null => (at === null ? null : finiteOrNull(at));

export function apiIncident(incident: Incident): ApiIncident {
  const { id, service, environment, version, state, openedAt, updatedAt, resolvedAt, silencedUntil, note, actor } = incident;
  const judgement = apiJudgement(incident.judgement);
  return { id, service, environment, version, state, openedAt, updatedAt, resolvedAt, silencedUntil, judgement, note, actor };
}

export function apiEvent(event: IncidentEvent): ApiIncidentEvent {
  return {
    id: event.id,
    type: event.type,
    at: event.at,
    actor: event.actor,
    note: event.note,
    until: event.type === 'silenced' ? event.until : null,
    explanation: 'judgement' in event ? event.judgement.explanation : '',
  };
}

export function apiDelivery({ event, channel, at, state, error, attempt }: Delivery): ApiDelivery {
  return { event, channel, at, state, error, attempts: attempt };
}
