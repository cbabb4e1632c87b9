/** The JSON the console speaks: one zod schema per answer, from which validation, types of the page, and the OpenAPI document come. */
import { z } from 'zod';
import { INCIDENT_STATES } from '../../shared/incident.ts';
import { GROWTH_KINDS, VERDICTS } from '../../shared/judgement.ts';
import { SIGNALS } from './signals.ts';

const time = z.number().meta({ description: 'milliseconds UTC' });
const bytes = z.number().meta({ description: 'bytes' });
const bytesPerHour = z.number().meta({ description: 'bytes per hour' });

const fittedLine = z.object({ fromTime: time, fromBytes: bytes, toTime: time, toBytes: bytes }).readonly();

export const judgementSchema = z
  .object({
    service: z.string(),
    environment: z.string(),
    version: z.string(),
    instance: z.string().meta({ description: 'empty = all instances of the version pooled' }),
    lifetime: z.string(),
    startedAt: time
      .optional()
      .meta({ description: 'when the process started, or the oldest of those that say so; not in judgements of old versions' }),
    at: time,
    verdict: z.enum(VERDICTS),
    reason: z.string().meta({ description: 'named reason, kebab-case' }),
    explanation: z.string().meta({ description: 'one sentence for people' }),
    kind: z.enum(GROWTH_KINDS),
    signal: z.enum(SIGNALS),
    slopeBytesPerHour: bytesPerHour,
    slopeLow: bytesPerHour.nullable().meta({ description: 'low end of the 90 % interval; null = not known' }),
    slopeHigh: bytesPerHour.nullable().meta({ description: 'high end of the 90 % interval; null = not known' }),
    levelBytes: bytes,
    limitBytes: bytes.meta({ description: 'bytes; 0 = none known' }),
    exhaustsAt: time.nullable(),
    exhaustsEarliest: time.nullable(),
    exhaustsLatest: time.nullable(),
    onsetAt: time.nullable(),
    confidence: z.number().meta({ description: '0 to 1' }),
    instances: z.array(z.string()).readonly(),
    fit: fittedLine.nullable(),
    waitingFor: z.string(),
    decidesBy: time.nullable(),
  })
  .readonly()
  .meta({ id: 'Judgement' });

export const incidentSchema = z
  .object({
    id: z.string(),
    service: z.string(),
    environment: z.string(),
    version: z.string(),
    state: z.enum(INCIDENT_STATES),
    openedAt: time,
    updatedAt: time,
    resolvedAt: time.nullable(),
    silencedUntil: time.nullable(),
    judgement: judgementSchema,
    note: z.string(),
    actor: z.string(),
  })
  .meta({ id: 'Incident' });

export const serviceSummarySchema = z
  .object({
    service: z.string(),
    environment: z.string(),
    runtime: z.string(),
    versions: z.array(z.string()).meta({ description: 'versions with samples lately, newest first' }),
    instances: z.number().meta({ description: 'instances that were judged last, or with samples lately' }),
    lastSampleAt: time,
    levelBytes: bytes.meta({ description: 'floor of memory of a process now' }),
    limitBytes: bytes.meta({ description: 'its limit; 0 = none known' }),
    judgement: judgementSchema.nullable().meta({ description: 'most urgent pooled judgement; null before the first evaluation' }),
    incident: z.object({ id: z.string(), state: z.enum(INCIDENT_STATES), openedAt: time }).nullable(),
    sparkline: z.object({ from: time, stepMs: z.number(), values: z.array(z.number().nullable()) }),
  })
  .meta({ id: 'ServiceSummary' });

export const fleetSchema = z.object({ at: time, services: z.array(serviceSummarySchema) }).meta({ id: 'Fleet' });

const lifetimeSchema = z
  .object({
    lifetime: z.string(),
    instance: z.string(),
    version: z.string(),
    host: z.string(),
    pid: z.number(),
    runtime: z.string(),
    startedAt: time,
    lastSeenAt: time,
    endedAt: time.nullable(),
    endedBy: z.enum(['running', 'restart', 'oom', 'exit', 'silent']),
    rssPeakBytes: bytes,
  })
  .meta({ id: 'Lifetime' });

const versionSchema = z.object({ version: z.string(), firstSeenAt: time, lastSeenAt: time, instances: z.number() }).meta({ id: 'Version' });

export const serviceDetailSchema = z
  .object({
    at: time,
    summary: serviceSummarySchema,
    judgements: z.array(judgementSchema).meta({ description: 'of the last evaluation, pooled per version and per instance' }),
    history: z
      .array(
        z.object({
          from: time,
          to: time,
          version: z.string(),
          verdict: z.enum(VERDICTS),
          reason: z.string(),
          explanation: z.string(),
          slopeBytesPerHour: bytesPerHour,
        }),
      )
      .meta({ description: 'what the detector thought of the whole service within the range (at most 7 days), oldest first' }),
    versions: z.array(versionSchema),
    lifetimes: z.array(lifetimeSchema),
    incidents: z.array(incidentSchema),
    sql: z.string().meta({ description: 'the query that shows the same' }),
  })
  .meta({ id: 'ServiceDetail' });

export const curvesSchema = z
  .object({
    signal: z.enum(SIGNALS),
    from: time,
    to: time,
    stepMs: z.number(),
    limitBytes: bytes.meta({ description: 'last known limit; 0 = none' }),
    curves: z.array(
      z.object({ instance: z.string(), version: z.string(), lifetime: z.string(), time: z.array(time), values: z.array(z.number()) }),
    ),
    available: z.array(z.enum(SIGNALS)).meta({ description: 'signals this service has samples of' }),
  })
  .meta({ id: 'Curves' });

const incidentEventSchema = z
  .object({
    id: z.string(),
    type: z.enum(['opened', 'updated', 'resolved', 'reopened', 'acknowledged', 'unacknowledged', 'dismissed', 'silenced']),
    at: time,
    actor: z.string(),
    note: z.string(),
    until: time.nullable(),
    explanation: z.string().meta({ description: 'what the detector then thought; empty for events by people' }),
  })
  .meta({ id: 'IncidentEvent' });

const deliverySchema = z
  .object({ event: z.string(), channel: z.string(), at: time, state: z.string(), error: z.string(), attempts: z.number() })
  .meta({ id: 'Delivery' });

export const incidentListSchema = z.object({ at: time, incidents: z.array(incidentSchema) }).meta({ id: 'IncidentList' });

export const incidentDetailSchema = z
  .object({
    at: time,
    incident: incidentSchema,
    events: z.array(incidentEventSchema),
    deliveries: z.array(deliverySchema),
    sql: z.string(),
  })
  .meta({ id: 'IncidentDetail' });

const note = z.string().max(500).default('').meta({ description: 'why, for the others' });

export const incidentActionSchema = z
  .discriminatedUnion('action', [
    z.object({ action: z.literal('acknowledge'), note }),
    z.object({ action: z.literal('unacknowledge'), note }),
    z.object({ action: z.literal('silence'), until: time, note }),
    z.object({ action: z.literal('dismiss'), note }),
  ])
  .meta({ id: 'IncidentAction' });
export type IncidentAction = z.output<typeof incidentActionSchema>;

export const sessionSchema = z
  .object({
    open: z.boolean().meta({ description: 'no token is configured: everybody on this machine may do everything' }),
    user: z.string().nullable(),
    roles: z.array(z.enum(['ingest', 'reader', 'operator'])),
  })
  .meta({ id: 'Session' });

export const statusSchema = z
  .object({
    healthy: z.boolean().meta({ description: 'the pipeline has no problem; a leak it found is none' }),
    at: time,
    problems: z.array(z.string()).meta({ description: 'what is wrong with the pipeline itself' }),
    lastSampleAt: time.nullable(),
    lagSeconds: z.number().nullable().meta({ description: 'how far the newest stored sample is behind' }),
    lastInsertAt: time.nullable().meta({ description: 'newest insert an ingester reported within the last hour' }),
    lagMessages: z
      .number()
      .nullable()
      .meta({ description: 'messages on the bus not yet stored; null = no ingester has reported within the last hour' }),
    lastEvaluationAt: time.nullable(),
    services: z.number(),
    storedRowsLastHour: z.number().meta({ description: 'samples stored, repeated ones included' }),
    repeatedRowsLastHour: z.number().meta({ description: 'samples that came again: storing them again changed nothing' }),
    ingesters: z.array(
      z.object({
        ingester: z.string(),
        lastReportAt: time,
        lastInsertAt: time.nullable(),
        pausedSecondsLastHour: z.number().meta({ description: 'nothing more was read because the store had to catch up' }),
        storeFailuresLastHour: z.number(),
      }),
    ),
    partitions: z.array(z.object({ partition: z.number(), lagMessages: z.number(), ingester: z.string() })),
    deadLettersLastHour: z.array(
      z.object({ code: z.string(), messages: z.number(), notKept: z.number().meta({ description: 'counted only: there were too many' }) }),
    ),
    clampedLastHour: z.array(
      z.object({
        what: z.enum(['rows refused', 'values cleared', 'texts cut or replaced']),
        why: z.string().meta({ description: 'named reason, column or field' }),
        count: z.number(),
      }),
    ),
    silentAgents: z.array(z.object({ agent: z.string(), lastReceivedAt: time })),
    agents: z.array(
      z.object({
        agent: z.string(),
        hosts: z.array(z.string()),
        processes: z.number(),
        samplesPerSecond: z.number(),
        lagSeconds: z.number(),
        lastReceivedAt: time,
      }),
    ),
    openIncidents: z.array(
      z.object({
        id: z.string(),
        service: z.string(),
        environment: z.string(),
        state: z.enum(INCIDENT_STATES),
        openedAt: time,
        slopeBytesPerHour: bytesPerHour,
        exhaustsAt: time.nullable(),
      }),
    ),
  })
  .meta({ id: 'Status' });

export const deadLetterListSchema = z
  .object({
    at: time,
    deadLetters: z.array(
      z.object({
        id: z.string(),
        at: time.meta({ description: 'arrival of the message, milliseconds UTC' }),
        source: z.string().meta({ description: 'topic/partition/offset' }),
        agent: z.string(),
        code: z.string(),
        reason: z.string(),
        payloadBytes: z.number(),
        isCut: z.boolean().meta({ description: 'only the beginning was kept, so it cannot be sent again' }),
        replayedAt: time.nullable(),
      }),
    ),
  })
  .meta({ id: 'DeadLetterList' });

export const replaySchema = z.object({ ids: z.array(z.string().max(100)).min(1).max(16) }).meta({ id: 'Replay' });

export const replayResultSchema = z
  .object({ results: z.array(z.object({ id: z.string(), refusal: z.string().nullable().meta({ description: 'null = sent again' }) })) })
  .meta({ id: 'ReplayResult' });

export const errorSchema = z.object({ error: z.object({ code: z.string(), message: z.string() }) }).meta({ id: 'Error' });

export type ApiJudgement = z.output<typeof judgementSchema>;
export type ApiIncident = z.output<typeof incidentSchema>;
export type ServiceSummary = z.output<typeof serviceSummarySchema>;
export type Fleet = z.output<typeof fleetSchema>;
export type ApiLifetime = z.output<typeof lifetimeSchema>;
export type ServiceDetail = z.output<typeof serviceDetailSchema>;
export type Curves = z.output<typeof curvesSchema>;
export type ApiIncidentEvent = z.output<typeof incidentEventSchema>;
export type ApiDelivery = z.output<typeof deliverySchema>;
export type IncidentList = z.output<typeof incidentListSchema>;
export type IncidentDetail = z.output<typeof incidentDetailSchema>;
export type Session = z.output<typeof sessionSchema>;
export type Status = z.output<typeof statusSchema>;
export type DeadLetterList = z.output<typeof deadLetterListSchema>;
export type ReplayResult = z.output<typeof replayResultSchema>;
