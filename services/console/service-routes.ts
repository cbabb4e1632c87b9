/** The fleet, one service, and its curves. */
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { LeaklineError } from '../../shared/errors.ts';
import type { Clock } from '../../shared/clock.ts';
import { foldEvents, type Incident } from '../../shared/incident.ts';
import type { Judgement } from '../../shared/judgement.ts';
import type { Fleet, FleetRow } from '../../shared/store/fleet.ts';
import { readLifetimes, type Lifetime } from '../../shared/store/lifetimes.ts';
import { readIncidentEvents } from '../../shared/store/incidents.ts';
import type { Store } from '../../shared/store/store.ts';
import { readJudgementHistory, readLatestJudgements } from '../../shared/store/trends.ts';
import { curvesSchema, errorSchema, fleetSchema, serviceDetailSchema, type ServiceDetail, type ServiceSummary } from './api-schema.ts';
import { apiIncident, apiJudgement } from './api-answers.ts';
import { sparklineOf, type ConsoleReads, type ServiceKey } from './console-reads.ts';
import { serviceSql } from './reproduce-sql.ts';
import { SIGNALS } from './signals.ts';
import { compareUrgency, mostUrgent } from './urgency.ts';

const DEFAULT_RANGE_MS = 24 * 3_600_000;
const MAX_RANGE_MS = 400 * 86_400_000;
/** A longer history of judgements is a matter for SQL. */
const MAX_HISTORY_MS = 7 * 86_400_000;

const serviceParams = z.object({ environment: z.string().max(300), service: z.string().max(300) });
const range = {
  from: z.coerce.number().optional().meta({ description: 'milliseconds UTC; default: a day before `to`' }),
  to: z.coerce.number().optional().meta({ description: 'milliseconds UTC; default: now' }),
};

function timeRange(query: { from?: number | undefined; to?: number | undefined }, now: number): { from: number; to: number } {
  const to = query.to ?? now;
  const from = query.from ?? to - DEFAULT_RANGE_MS;
  if (from >= to || to - from > MAX_RANGE_MS) {
    throw new LeaklineError('LKL_ERR_REQUEST_MALFORMED', `range from ${from} to ${to}: must be ascending and at most 400 days`);
  }
  return { from, to };
}

const keyOf = ({ environment, service }: ServiceKey): string => JSON.stringify([environment, service]);

const isPooled = (judgement: Judgement): boolean => judgement.instance === '';

/** The newest incident that is not over; a resolved one is history. */
function currentIncident(incidents: readonly Incident[]): Incident | undefined {
  return incidents.filter(({ state }) => state !== 'resolved' && state !== 'dismissed').sort((a, b) => b.openedAt - a.openedAt)[0];
}

/** Of the last evaluation: what was said of a version or an instance that has since gone is history, however alarming. */
function ofLastEvaluation(judgements: readonly Judgement[]): Judgement[] {
  const newest = judgements.filter(isPooled).reduce((at, judgement) => Math.max(at, judgement.at), -Infinity);
  return judgements.filter(({ at }) => at === newest);
}

function summarise(row: FleetRow, fleet: Fleet, judgements: readonly Judgement[], incidents: readonly Incident[]): ServiceSummary {
  const current = ofLastEvaluation(judgements);
  const judgement = mostUrgent(current.filter(isPooled));
  const judged = new Set(current.filter((one) => !isPooled(one)).map(({ instance }) => instance)).size;
  const incident = currentIncident(incidents);
  return {
    service: row.service,
    environment: row.environment,
    runtime: row.runtimes[0] ?? '',
    versions: [...row.versions],
    instances: judged > 0 ? judged : row.instances,
    lastSampleAt: row.lastSeen,
    levelBytes: judgement !== null && judgement.levelBytes > 0 ? judgement.levelBytes : row.levelBytes,
    limitBytes: judgement?.limitBytes ?? 0,
    judgement: judgement === null ? null : apiJudgement(judgement),
    incident: incident === undefined ? null : { id: incident.id, state: incident.state, openedAt: incident.openedAt },
    sparkline: sparklineOf(row, fleet),
  };
}

const groupBy = <Item extends ServiceKey>(items: Iterable<Item>): Map<string, Item[]> => {
  const groups = new Map<string, Item[]>();
  for (const item of items) {
    const group = groups.get(keyOf(item));
    if (group === undefined) groups.set(keyOf(item), [item]);
    else group.push(item);
  }
  return groups;
};

function versionsOf(lifetimes: readonly Lifetime[]): { version: string; firstSeenAt: number; lastSeenAt: number; instances: number }[] {
  const versions = new Map<string, { firstSeenAt: number; lastSeenAt: number; instances: Set<string> }>();
  for (const { version, startedAt, lastSeen, instance } of lifetimes) {
    const seen = versions.get(version) ?? { firstSeenAt: Infinity, lastSeenAt: -Infinity, instances: new Set<string>() };
    seen.firstSeenAt = Math.min(seen.firstSeenAt, startedAt);
    seen.lastSeenAt = Math.max(seen.lastSeenAt, lastSeen);
    seen.instances.add(instance);
    versions.set(version, seen);
  }
  return [...versions]
    .map(([version, { instances, ...seen }]) => ({ version, ...seen, instances: instances.size }))
    .sort((a, b) => b.firstSeenAt - a.firstSeenAt);
}

/** Neighbours with the same verdict and reason become one; the last one lasts until now. */
function spansOf(history: readonly Judgement[]): ServiceDetail['history'] {
  const spans: ServiceDetail['history'] = [];
  for (const { at, version, verdict, reason, explanation, slopeBytesPerHour } of history) {
    const last = spans.at(-1);
    if (last?.verdict === verdict && last.reason === reason && last.version === version) {
      spans[spans.length - 1] = { ...last, to: at, explanation, slopeBytesPerHour };
    } else spans.push({ from: at, to: at, version, verdict, reason, explanation, slopeBytesPerHour });
  }
  return spans;
}

function apiLifetime({
  lifetime,
  instance,
  version,
  host,
  pid,
  runtime,
  startedAt,
  lastSeen,
  endedAt,
  endedBy,
  rssPeakBytes,
}: Lifetime): ServiceDetail['lifetimes'][number] {
  return { lifetime, instance, version, host, pid, runtime, startedAt, lastSeenAt: lastSeen, endedAt, endedBy, rssPeakBytes };
}

interface ServiceRouteDeps {
  readonly store: Store;
  readonly reads: ConsoleReads;
  readonly clock: Clock;
}

async function fleetAnswer({ reads, clock }: ServiceRouteDeps): Promise<{ at: number; services: ServiceSummary[] }> {
  const [fleet, judgements, incidents] = await Promise.all([reads.fleet(), reads.judgements(), reads.incidents()]);
  const judgementsOf = groupBy(judgements);
  const incidentsOf = groupBy(incidents);
  const services = fleet.rows
    .map((row) => summarise(row, fleet, judgementsOf.get(keyOf(row)) ?? [], incidentsOf.get(keyOf(row)) ?? []))
    .sort((a, b) => compareUrgency(a.judgement, b.judgement) || a.service.localeCompare(b.service));
  return { at: clock.now(), services };
}

async function serviceAnswer(deps: ServiceRouteDeps, key: ServiceKey, range: { from: number; to: number }): Promise<ServiceDetail> {
  const { store, reads, clock } = deps;
  const at = clock.now();
  const [fleet, judgements, history, lifetimes, events] = await Promise.all([
    reads.fleet(),
    readLatestJudgements(store, key),
    readJudgementHistory(store, { ...key, instance: '', from: Math.max(range.from, range.to - MAX_HISTORY_MS), to: range.to + 1 }),
    readLifetimes(store, { ...key, ...range }),
    readIncidentEvents(store, { service: key.service }),
  ]);
  const row = fleet.rows.find((candidate) => keyOf(candidate) === keyOf(key));
  if (row === undefined) {
    throw new LeaklineError(
      'LKL_ERR_NOT_FOUND',
      `no samples of service ${JSON.stringify(key.service)} in environment ${JSON.stringify(key.environment)} in the last two days`,
    );
  }
  const incidents = groupBy(foldEvents(events).values()).get(keyOf(key)) ?? [];
  return {
    at,
    summary: summarise(row, fleet, judgements, incidents),
    judgements: ofLastEvaluation(judgements).map(apiJudgement),
    history: spansOf(history),
    versions: versionsOf(lifetimes),
    lifetimes: lifetimes.map(apiLifetime).reverse(),
    incidents: incidents.sort((a, b) => b.openedAt - a.openedAt).map(apiIncident),
    sql: serviceSql(key.environment, key.service),
  };
}

export const serviceRoutes =
  (deps: ServiceRouteDeps): FastifyPluginAsyncZod =>
  async (scope) => {
    const { reads, clock } = deps;
    scope.get(
      '/services',
      { schema: { tags: ['services'], summary: 'The fleet, most urgent first', response: { 200: fleetSchema, '4xx': errorSchema } } },
      () => fleetAnswer(deps),
    );

    scope.get(
      '/services/:environment/:service',
      {
        schema: {
          tags: ['services'],
          summary: 'One service: judgements, versions, lifetimes, incidents',
          params: serviceParams,
          querystring: z.object(range),
          response: { 200: serviceDetailSchema, '4xx': errorSchema },
        },
      },
      ({ params, query }) => serviceAnswer(deps, params, timeRange(query, clock.now())),
    );

    scope.get(
      '/services/:environment/:service/curves',
      {
        schema: {
          tags: ['services'],
          summary: 'One signal of a service, a curve per process lifetime',
          params: serviceParams,
          querystring: z.object({ ...range, signal: z.enum(SIGNALS).default('anon') }),
          response: { 200: curvesSchema, '4xx': errorSchema },
        },
      },
      ({ params, query }) => reads.curves(params, query.signal, timeRange(query, clock.now())),
    );
    return Promise.resolve();
  };
