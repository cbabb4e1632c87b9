/** Incidents: the list, one with its history, and what people may do to it. Actions are appended as events; nothing is overwritten. */
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import type { Clock } from '../../shared/clock.ts';
import { LeaklineError } from '../../shared/errors.ts';
import { applyEvent, eventId, foldEvents, incidentAt, INCIDENT_STATES, stateAt, type IncidentEvent } from '../../shared/incident.ts';
import { readDeliveries } from '../../shared/store/deliveries.ts';
import { appendIncidentEvents, readIncidentEvents } from '../../shared/store/incidents.ts';
import type { Store } from '../../shared/store/store.ts';
import {
  errorSchema,
  incidentActionSchema,
  incidentDetailSchema,
  incidentListSchema,
  incidentSchema,
  type IncidentAction,
} from './api-schema.ts';
import { apiDelivery, apiEvent, apiIncident } from './api-answers.ts';
import type { ConsoleReads } from './console-reads.ts';
import { incidentSql } from './reproduce-sql.ts';

const MAX_SILENCE_MS = 90 * 86_400_000;

const STATE_ORDER = ['open', 'acknowledged', 'silenced', 'resolved', 'dismissed'];

const EVENT_OF = {
  acknowledge: 'acknowledged',
  unacknowledge: 'unacknowledged',
  silence: 'silenced',
  dismiss: 'dismissed',
} as const satisfies Record<IncidentAction['action'], IncidentEvent['type']>;

function eventOf(incident: string, action: IncidentAction, actor: string, at: number): IncidentEvent {
  const type = EVENT_OF[action.action];
  const base = { id: eventId(incident, type, at), incident, at, actor, note: action.note };
  if (action.action !== 'silence') return { ...base, type: EVENT_OF[action.action] };
  if (action.until <= at || action.until > at + MAX_SILENCE_MS) {
    throw new LeaklineError('LKL_ERR_REQUEST_MALFORMED', `until = ${action.until}: must lie within the next 90 days (milliseconds UTC)`);
  }
  return { ...base, type: 'silenced', until: action.until };
}

const missing = (id: string) => new LeaklineError('LKL_ERR_NOT_FOUND', `no incident ${JSON.stringify(id)}`);

const incidentParams = z.object({ id: z.string().max(100) });

interface IncidentRouteDeps {
  readonly store: Store;
  readonly reads: ConsoleReads;
  readonly clock: Clock;
}

export const incidentRoutes =
  ({ store, reads, clock }: IncidentRouteDeps): FastifyPluginAsyncZod =>
  async (scope) => {
    scope.get(
      '/incidents',
      {
        schema: {
          tags: ['incidents'],
          summary: 'All incidents, those that wait for somebody first',
          querystring: z.object({ state: z.enum(INCIDENT_STATES).optional() }),
          response: { 200: incidentListSchema, '4xx': errorSchema },
        },
      },
      async ({ query }) => {
        const incidents = (await reads.incidents())
          .filter(({ state }) => query.state === undefined || state === query.state)
          .sort((a, b) => STATE_ORDER.indexOf(a.state) - STATE_ORDER.indexOf(b.state) || b.openedAt - a.openedAt);
        return { at: clock.now(), incidents: incidents.map(apiIncident) };
      },
    );

    scope.get(
      '/incidents/:id',
      {
        schema: {
          tags: ['incidents'],
          summary: 'One incident with its events and what was sent',
          params: incidentParams,
          response: { 200: incidentDetailSchema, '4xx': errorSchema },
        },
      },
      async ({ params: { id } }) => {
        const [events, deliveries] = await Promise.all([
          readIncidentEvents(store, { incident: id }),
          readDeliveries(store, { incident: id }),
        ]);
        const incident = foldEvents(events).get(id);
        if (incident === undefined) throw missing(id);
        const at = clock.now();
        return {
          at,
          incident: apiIncident(incidentAt(incident, at)),
          events: events.map(apiEvent).reverse(),
          deliveries: deliveries.map(apiDelivery),
          sql: incidentSql(id),
        };
      },
    );
    return Promise.resolve();
  };

/** Kept apart: these need the role `operator` and a request from our own page. */
export const incidentActionRoutes =
  ({ store, clock }: IncidentRouteDeps): FastifyPluginAsyncZod =>
  async (scope) => {
    scope.post(
      '/incidents/:id/actions',
      {
        schema: {
          tags: ['incidents'],
          summary: 'Acknowledge, silence, or call it "not a leak"',
          params: incidentParams,
          body: incidentActionSchema,
          response: { 200: incidentSchema, '4xx': errorSchema },
        },
      },
      async (request) => {
        const { id } = request.params;
        const incident = foldEvents(await readIncidentEvents(store, { incident: id })).get(id);
        if (incident === undefined) throw missing(id);
        // After the last event whatever the clocks say, so the fold sees it last.
        const at = Math.max(clock.now(), incident.updatedAt + 1);
        const event = eventOf(id, request.body, request.principal?.name ?? 'anonymous', at);
        const next = applyEvent(incident, event);
        if (next === undefined || next === incident) {
          throw new LeaklineError(
            'LKL_ERR_REQUEST_MALFORMED',
            `${request.body.action}: the incident is ${stateAt(incident, at)}, which leaves no room for that`,
          );
        }
        await appendIncidentEvents(store, [event]);
        return apiIncident(next);
      },
    );
    return Promise.resolve();
  };
