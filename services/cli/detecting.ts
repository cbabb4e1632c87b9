/** Wires the detector to the store, and the notifier behind it. */
import type { Gauge } from 'prom-client';
import { foldEvents, type IncidentEvent } from '../../shared/incident.ts';
import type { Series } from '../../shared/series.ts';
import { shardOf, type Shards } from '../../shared/shard.ts';
import { appendIncidentEvents, readIncidentEvents } from '../../shared/store/incidents.ts';
import { readJudgedThrough, saveJudgedThrough } from '../../shared/store/progress.ts';
import { readSeriesInBatches } from '../../shared/store/series-batches.ts';
import type { Store } from '../../shared/store/store.ts';
import { saveJudgements } from '../../shared/store/trends.ts';
import { createDetector, type Detector, type Evaluation } from '../detector/detector.ts';
import { judgedColumns } from '../detector/judged-columns.ts';
import { policyFor } from '../detector/policy.ts';
import { startSchedule } from '../detector/schedule.ts';
import { createShardedDetector } from '../detector/sharded.ts';
import type { Context } from './context.ts';

const DEFAULT_SCHEDULE = { production: '0 * * * * *', minutes: '*/5 * * * * *' } as const;

/** Where no cgroup limit is known, the configured one stands in. */
function withDefaultLimit(series: Series, limitBytes: number): Series {
  if (limitBytes === 0) return series;
  return {
    ...series,
    columns: { ...series.columns, memoryLimitLast: series.columns.memoryLimitLast.map((limit) => (limit > 0 ? limit : limitBytes)) },
  };
}

/** Events of incidents about services of these shards. */
function eventsWithin(events: readonly IncidentEvent[], { count, owned }: Shards): IncidentEvent[] {
  const ours = [...foldEvents(events).values()].filter(({ service }) => owned.includes(shardOf(service, count)));
  const ids = new Set(ours.map(({ id }) => id));
  return events.filter(({ incident }) => ids.has(incident));
}

/** Whoever judged everything alone before. */
const WHOLE = ['all'];

/** `shards`: the part of all services it judges; undefined = all. */
export function createConfiguredDetector({ config }: Pick<Context, 'config'>, store: Store, shards?: Shards): Detector {
  const limitBytes = config.detector.defaultMemoryLimit;
  const names = shards?.owned.map((shard) => `${shard}/${shards.count}`) ?? WHOLE;
  const policy = policyFor(config.profile, config.detector.alerts);
  return createDetector({
    policy,
    ports: {
      async *readSeries(query) {
        const columns = judgedColumns(query.blockMs, policy.baseBlockMs);
        const asked = { ...query, columns, ...(shards === undefined ? {} : { shards }) };
        for await (const batch of readSeriesInBatches(store, asked)) yield batch.map((series) => withDefaultLimit(series, limitBytes));
      },
      readIncidentEvents: async () => {
        const events = await readIncidentEvents(store);
        return shards === undefined ? events : eventsWithin(events, shards);
      },
      appendIncidentEvents: (events) => appendIncidentEvents(store, events),
      saveJudgements: (judgements) => saveJudgements(store, judgements),
      readJudgedThrough: async () => (await readJudgedThrough(store, names)) ?? (await readJudgedThrough(store, WHOLE)),
      saveJudgedThrough: (at) => saveJudgedThrough(store, names, at),
    },
  });
}

export interface Detecting {
  /** The newest evaluation; undefined before the first. */
  latest(): Evaluation | undefined;
}

/** Nobody to share with. */
const ALONE: Shards = { count: 1, owned: [0] };

/** Evaluates on schedule; what people must be told, the notifier finds in the store. */
export function startDetecting(context: Context, store: Store, shards?: () => Promise<Shards>): Detecting {
  const { config, clock, log, metrics, lifecycle } = context;
  const ownedShards = metrics.gauge('leakline_detector_shards', 'shards of services this detector judges');
  const sharded = async () => {
    const now = await (shards?.() ?? Promise.resolve(ALONE));
    ownedShards.set(now.owned.length);
    return now;
  };
  const detector = createShardedDetector({
    shards: sharded,
    detectorOf: (part) => createConfiguredDetector(context, store, part.count === 1 ? undefined : part),
  });
  const seconds = metrics.histogram('leakline_evaluation_seconds', 'duration of one evaluation of every service');
  const evaluations = metrics.counter('leakline_evaluations_total', 'evaluations by outcome', ['outcome']);
  const lastAt = metrics.gauge('leakline_last_evaluation_timestamp_seconds', 'when the last evaluation that worked was made');
  const verdicts: Gauge<'verdict'> = metrics.gauge('leakline_services', 'services and versions by verdict', ['verdict']);
  let latest: Evaluation | undefined;

  const schedule = startSchedule({
    expression: config.detector.schedule === '' ? DEFAULT_SCHEDULE[config.profile] : config.detector.schedule,
    clock,
    evaluate: async (at) => {
      const stopTimer = seconds.startTimer();
      latest = await detector.evaluate(at);
      stopTimer();
      evaluations.inc({ outcome: 'done' });
      lastAt.set(at / 1000);
      verdicts.reset();
      for (const { verdict } of latest.pooled) verdicts.inc({ verdict });
      for (const event of latest.events) log.info({ incident: event.incident, event: event.type, note: event.note }, 'incident changed');
    },
    onError: (error) => {
      evaluations.inc({ outcome: 'failed' });
      log.error({ err: error instanceof Error ? error.message : String(error) }, 'evaluation failed; the next one catches up');
    },
    onSkipped: () => evaluations.inc({ outcome: 'skipped' }),
  });
  lifecycle.onStop('detector', () => schedule.stop());
  return { latest: () => latest };
}
