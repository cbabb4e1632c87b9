/** Incident events: appended, never changed; the state of an incident is their fold (shared/incident.ts, view `incidents`). */
import type { IncidentEvent } from '../incident.ts';
import { toSqlTime } from './sql-time.ts';
import type { Store } from './store.ts';
import { decodeJudgement, encodeJudgement } from './trends.ts';

/** Appending the same event again changes nothing: its id names it. */
export async function appendIncidentEvents(store: Store, events: readonly IncidentEvent[]): Promise<void> {
  await store.insertRows(
    'incident_events',
    events.map((event) => ({
      incident: event.incident,
      id: event.id,
      at: toSqlTime(event.at),
      type: event.type,
      actor: event.actor,
      note: event.note,
      service: 'judgement' in event ? event.judgement.service : '',
      environment: 'judgement' in event ? event.judgement.environment : '',
      until: event.type === 'silenced' ? toSqlTime(event.until) : null,
      judgement: 'judgement' in event ? encodeJudgement(event.judgement) : '',
    })),
  );
}

export interface IncidentEventFilter {
  /** Events stored at or after this moment of the store's clock: ask again from a little earlier and drop ids already seen. */
  readonly since?: number;
  readonly incident?: string;
  /** Every event, by people too, of incidents of this service. */
  readonly service?: string;
}

interface EventRow {
  readonly incident: string;
  readonly id: string;
  readonly at: number;
  readonly type: IncidentEvent['type'];
  readonly actor: string;
  readonly note: string;
  readonly until: number | null;
  readonly judgement: string;
}

function toEvent({ judgement, until, ...row }: EventRow): IncidentEvent {
  if (row.type === 'silenced') return { ...row, type: row.type, until: until ?? row.at };
  if (row.type === 'acknowledged' || row.type === 'unacknowledged' || row.type === 'dismissed') return { ...row, type: row.type };
  return { ...row, type: row.type, judgement: decodeJudgement(judgement) };
}

/** In the order they happened. */
export async function readIncidentEvents(store: Store, filter: IncidentEventFilter = {}): Promise<IncidentEvent[]> {
  const rows = await store.query<EventRow>(
    `SELECT
      incident, id, toUnixTimestamp64Milli(e.at) AS at, type, actor, note, toUnixTimestamp64Milli(e.until) AS until, judgement
    FROM incident_events AS e FINAL
    WHERE saved_at >= fromUnixTimestamp64Milli({since:Int64}) AND ({incident:String} = '' OR incident = {incident:String})
      AND ({service:String} = '' OR incident IN (SELECT incident FROM incident_events WHERE service = {service:String}))
    ORDER BY at, type != 'opened', id`,
    { since: filter.since ?? 0, incident: filter.incident ?? '', service: filter.service ?? '' },
  );
  return rows.map(toEvent);
}
