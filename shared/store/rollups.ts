/**
 * Minute and hour rollups. They are recomputed from deduplicated samples for every minute that got a sample since the
 * last run, never added up; whatever is sent twice, late or by a zombie, they stay a function of the raw rows.
 * Two runs at once and a kill at any point do no harm: `revision` decides, and the checkpoint moves last.
 */
import { METRIC_NAMES, METRICS, type MetricName } from '../sample.ts';
import { INSERT_TIMEOUT_MS } from './engine.ts';
import type { SqlParams } from './parameters.ts';
import { toSqlTime } from './sql-time.ts';
import type { Store } from './store.ts';

/** A row carries the moment its insert began and shows when the insert ends; looking back this far misses none. */
const OVERLAP_MS = 4 * INSERT_TIMEOUT_MS;

/** Nearly all inserts take less, arrivals being told in steps of ten seconds. What takes longer is found when all of the overlap is read. */
const SHORT_OVERLAP_MS = 30_000;

/** At 100,000 samples a second the overlap holds 24 million. */
const OVERLAP_READ_EVERY_MS = 60_000;

/** `mean` is kept as sum and count. */
type Statistic = 'min' | 'max' | 'last' | 'mean';

/** What is kept of a metric: what a view shows, the detector judges by or the console draws. Each aggregate costs time with every sample. */
export const KEPT: Readonly<Record<MetricName, readonly Statistic[]>> = {
  rss: ['min', 'max', 'last', 'mean'],
  anon: ['min', 'max', 'last', 'mean'],
  pss: ['last'],
  uss: ['last'],
  swap: ['min', 'max'],
  working_set: ['min', 'max', 'last'],
  cgroup_anon: ['min'],
  memory_limit: ['last'],
  heap_used: ['min', 'max', 'last'],
  heap_live: ['last'],
  heap_committed: ['last'],
  heap_limit: ['last'],
  external: ['min', 'last'],
  gc_count: ['last'],
  gc_full_count: ['last'],
  gc_pause_seconds: ['last'],
  cpu_seconds: ['last'],
  requests: ['last'],
  oom_kills: ['last'],
  threads: ['max'],
  open_fds: ['max'],
  objects: ['min', 'last'],
};

interface Aggregate {
  readonly column: string;
  readonly fromRaw: string;
  readonly fromMinutes: string;
  /** What is stored of either. */
  readonly stored: string;
}

/**
 * The latest value as a maximum: 128 bits with the moment in the upper half and the value's own in the lower. It is what argMax says,
 * at two thirds of its cost (10 instead of 16 CPU ms a column of 500,000 samples).
 */
function latest(column: string, name: MetricName): Omit<Aggregate, 'column'> {
  const isFloat = METRICS[name].unit === 's';
  const of = (value: string, moment: string) =>
    `max(bitOr(bitShiftLeft(toUInt128(${moment}), 64), ${isFloat ? `reinterpretAsUInt64(toFloat64(${value}))` : value}))`;
  return {
    fromRaw: of(name, 'toUnixTimestamp64Milli(time)'),
    fromMinutes: of(`r.${column}`, 'toUnixTimestamp(r.minute)'),
    stored: isFloat ? `reinterpretAsFloat64(toUInt64(${column}))` : `toUInt64(${column})`,
  };
}

function aggregatesOf(name: MetricName, statistic: Statistic): Aggregate[] {
  const column = `${name}_${statistic}`;
  switch (statistic) {
    case 'min':
    case 'max':
      return [{ column, stored: column, fromRaw: `${statistic}(${name})`, fromMinutes: `${statistic}(r.${column})` }];
    case 'last':
      return [{ column, ...latest(column, name) }];
    case 'mean': {
      const [sum, count] = [`${name}_sum`, `${name}_count`];
      return [
        { column: sum, stored: sum, fromRaw: `sum(toFloat64(${name}))`, fromMinutes: `sum(r.${sum})` },
        { column: count, stored: count, fromRaw: `toUInt32(count(${name}))`, fromMinutes: `toUInt32(sum(r.${count}))` },
      ];
    }
  }
}

const AGGREGATES = METRIC_NAMES.flatMap((name) => KEPT[name].flatMap((statistic) => aggregatesOf(name, statistic)));

const IDENTITY = ['environment', 'version', 'host', 'runtime'] as const;

const COLUMNS = [
  ...IDENTITY,
  'process_started_at',
  'first_time',
  'last_time',
  'samples',
  ...AGGREGATES.map(({ column }) => column),
  'source_received_at',
];

const STORED = COLUMNS.map((column) => AGGREGATES.find((aggregate) => aggregate.column === column)?.stored ?? column);

/** `revision` of a rollup row, see infra/clickhouse/002_rollups.sql. */
const REVISION = 'toUInt64(toUnixTimestamp64Milli(source_received_at)) * 1000000 + least(samples, 999999)';

const RANGE = 'time >= fromUnixTimestamp64Milli({from:Int64}) AND time < fromUnixTimestamp64Milli({to:Int64})';

const MINUTE_RANGE = RANGE.replaceAll('time', 'minute');

/** Names in the place of the key, so that what is compared and looked up is one number. */
const hashed = (...key: string[]) => `cityHash64(${key.join(', ')})`;

const MINUTE_KEY = hashed('service', 'instance', 'lifetime', 'toStartOfMinute(time)');

/**
 * Minutes of the range whose rollup is missing or behind, found by few narrow columns and without FINAL. Only these are aggregated,
 * so looking back over the overlap costs little. A sample that is there twice counts twice until it is merged: its minute looks
 * changed and is recomputed once more than it need be. One that came in can only raise the count, so none is missed.
 */
const CHANGED_MINUTES = `
  SELECT key FROM (
    SELECT ${MINUTE_KEY} AS key, max(received_at) AS source_received_at, count() AS samples
    FROM raw_samples WHERE ${RANGE}
    GROUP BY key
  )
  WHERE (key, ${REVISION}) NOT IN (
    SELECT ${hashed('service', 'instance', 'lifetime', 'minute')}, revision FROM minute_rollups WHERE ${MINUTE_RANGE}
  )`;

/** The key may be asked before rows are put together; where two minutes of nine had changed that took 264 CPU ms instead of 473. */
const MINUTES = `
  INSERT INTO minute_rollups (service, instance, lifetime, minute, pid, ${COLUMNS.join(', ')}, revision)
  SELECT service, instance, lifetime, minute, pid, ${STORED.join(', ')}, ${REVISION} AS revision FROM (
    SELECT
      service, instance, lifetime, toStartOfMinute(time) AS minute, max(raw_samples.pid) AS pid,
      ${IDENTITY.map((name) => `max(raw_samples.${name}) AS ${name}`).join(', ')},
      min(raw_samples.process_started_at) AS process_started_at, min(time) AS first_time, max(time) AS last_time,
      toUInt32(count()) AS samples,
      ${AGGREGATES.map(({ column, fromRaw }) => `${fromRaw} AS ${column}`).join(', ')},
      max(received_at) AS source_received_at
    FROM raw_samples FINAL
    WHERE ${RANGE} AND ${MINUTE_KEY} IN (${CHANGED_MINUTES})
    GROUP BY service, instance, lifetime, minute
  )
  SETTINGS optimize_move_to_prewhere_if_final = 1`;

const HOUR_RANGE = `r.minute >= fromUnixTimestamp64Milli({hour:Int64}) AND r.minute < fromUnixTimestamp64Milli({hour:Int64} + 3600000)`;

const HOUR_KEY = hashed('r.service', 'r.instance', 'r.lifetime');

const CHANGED_HOURS = `
  SELECT key FROM (
    SELECT ${HOUR_KEY} AS key, max(r.source_received_at) AS source_received_at, sum(r.samples) AS samples
    FROM minute_rollups AS r FINAL WHERE ${HOUR_RANGE}
    GROUP BY key
  )
  WHERE (key, ${REVISION}) NOT IN (
    SELECT ${hashed('service', 'instance', 'lifetime')}, revision FROM hour_rollups WHERE hour = fromUnixTimestamp64Milli({hour:Int64})
  )`;

const HOURS = `
  INSERT INTO hour_rollups (service, instance, lifetime, hour, ${COLUMNS.join(', ')}, revision)
  SELECT service, instance, lifetime, hour, ${STORED.join(', ')}, ${REVISION} AS revision FROM (
    SELECT
      r.service, r.instance, r.lifetime, toStartOfHour(r.minute) AS hour,
      ${IDENTITY.map((name) => `max(r.${name}) AS ${name}`).join(', ')},
      min(r.process_started_at) AS process_started_at, min(r.first_time) AS first_time, max(r.last_time) AS last_time,
      toUInt32(sum(r.samples)) AS samples,
      ${AGGREGATES.map(({ column, fromMinutes }) => `${fromMinutes} AS ${column}`).join(', ')},
      max(r.source_received_at) AS source_received_at
    FROM minute_rollups AS r FINAL
    WHERE ${HOUR_RANGE} AND ${HOUR_KEY} IN (${CHANGED_HOURS})
    GROUP BY r.service, r.instance, r.lifetime, hour
  )`;

const LIFETIMES = `
  INSERT INTO lifetimes
    (service, instance, lifetime, environment, version, host, runtime, pid, started_at, first_seen, last_seen, rss_peak, memory_limit_max)
  SELECT
    service, instance, lifetime, max(toString(r.environment)), max(toString(r.version)), max(toString(r.host)), max(toString(r.runtime)),
    max(r.pid), min(r.process_started_at), min(r.first_time), max(r.last_time), ifNull(max(r.rss_max), 0), ifNull(max(r.memory_limit_last), 0)
  FROM minute_rollups AS r FINAL
  WHERE ${HOUR_RANGE} AND ${HOUR_KEY} IN (${CHANGED_HOURS})
  GROUP BY service, instance, lifetime`;

/**
 * An hour of every service, for who looks at all of them: sorted by hour, where hour_rollups are sorted by service. What belongs to a
 * service only grows, so its sums are newer with a higher revision; an environment that nobody is of any more becomes empty.
 */
const SERVICES = `
  INSERT INTO service_hours (hour, service, environment, rss_sum, rss_count, revision)
  SELECT hour, service, environment, rss_sum, rss_count, revision FROM (
    SELECT
      r.hour AS hour, service, environment, sum(r.sum) AS rss_sum, sum(r.count) AS rss_count,
      bitShiftLeft(max(max(r.received)) OVER of_service, 32) + sum(sum(r.samples)) OVER of_service AS revision
    FROM (
      SELECT
        hour, toString(service) AS service, toString(environment) AS environment, ifNull(rss_sum, 0) AS sum, toUInt64(rss_count) AS count,
        toUInt64(toUnixTimestamp(source_received_at)) AS received, toUInt64(samples) AS samples
      FROM hour_rollups FINAL WHERE hour IN ({hours:Array(DateTime)})
      UNION ALL
      SELECT hour, service, toString(environment), toFloat64(0), toUInt64(0), toUInt64(0), toUInt64(0)
      FROM service_hours WHERE hour IN ({hours:Array(DateTime)})
    ) AS r
    GROUP BY hour, service, environment
    WINDOW of_service AS (PARTITION BY hour, service)
  )
  WHERE (hour, service, environment, revision) NOT IN (
    SELECT hour, service, toString(environment), revision FROM service_hours WHERE hour IN ({hours:Array(DateTime)})
  )`;

/** After a replay there may be hundreds, and all services of each are held at once. */
const SERVICE_HOURS_AT_ONCE = 24;

/**
 * Minutes of processes that one statement may put together, some 2 kB each: a query of the embedded store has 1 GiB, and an hour of
 * 20,000 processes that waited for a roll-up took more, at each turn anew.
 */
const MINUTES_AT_ONCE = 200_000;

interface TouchedHour {
  readonly hour: number;
  readonly from: number;
  readonly to: number;
  /** About how many sent. */
  readonly processes: number;
}

/** The stretch of an hour in pieces that are whole minutes. */
function* pieces({ from, to, processes }: TouchedHour): Generator<{ readonly from: number; readonly to: number }> {
  const pieceMs = 60_000 * Math.max(1, Math.floor(MINUTES_AT_ONCE / processes));
  for (let at = from; at < to; at += pieceMs) yield { from: at, to: Math.min(to, at + pieceMs) };
}

/**
 * Two stages, each with a checkpoint of its own, so that the second, which reads whole hours of minutes, may run less often.
 * `settled` is the first one's when it read all of the overlap.
 */
type Stage = 'samples' | 'settled' | 'hours';

interface Span {
  /** Store's clock. */
  readonly now: number;
  /** Up to which arrivals each stage has come. */
  readonly samples: number;
  readonly settled: number;
  readonly hours: number;
}

async function readSpan(store: Store): Promise<Span> {
  const through = (stage: Stage) =>
    `(SELECT toUnixTimestamp64Milli(max(received_through)) FROM rollup_checkpoints WHERE name = '${stage}') AS ${stage}`;
  const [span] = await store.query<Span>(
    `SELECT toUnixTimestamp64Milli(now64(3)) AS now, ${through('samples')}, ${through('settled')}, ${through('hours')}`,
  );
  // A store from before `settled` was told apart.
  return { ...span!, settled: span!.settled === 0 ? span!.samples : span!.settled };
}

/** What got a sample since. */
const readTouched = (store: Store, since: number) =>
  store.query<TouchedHour>(
    `SELECT
      toUnixTimestamp(toStartOfHour(time)) * 1000 AS hour, toUnixTimestamp(min(toStartOfMinute(time))) * 1000 AS from,
      toUnixTimestamp(max(toStartOfMinute(time))) * 1000 + 60000 AS to, uniqHLL12(lifetime) AS processes
    FROM raw_samples WHERE received_at >= fromUnixTimestamp64Milli({received:Int64}) GROUP BY hour ORDER BY hour`,
    { received: Math.max(0, since) },
  );

const saveCheckpoint = (store: Store, name: Stage, through: number) =>
  store.insertRows('rollup_checkpoints', [{ name, received_through: toSqlTime(through) }]);

interface RollUpOptions {
  readonly signal?: AbortSignal;
}

interface RollUpMinutesOptions extends RollUpOptions {
  /** Also what an insert that took minutes brought in. Default: once a minute. */
  readonly isThorough?: boolean;
}

/** Brings minutes up to what has arrived. */
export async function rollUpMinutes(store: Store, { signal, isThorough }: RollUpMinutesOptions = {}): Promise<void> {
  const { now, samples, settled } = await readSpan(store);
  const readsOverlap = isThorough ?? now - settled >= OVERLAP_READ_EVERY_MS;
  for (const hour of await readTouched(store, readsOverlap ? settled - OVERLAP_MS : samples - SHORT_OVERLAP_MS)) {
    for (const piece of pieces(hour)) {
      signal?.throwIfAborted();
      await store.command(MINUTES, piece satisfies SqlParams);
    }
  }
  await saveCheckpoint(store, 'samples', now);
  if (readsOverlap) await saveCheckpoint(store, 'settled', now);
}

/** Brings hours, of processes and of services, and lifetimes up to the minutes. */
export async function rollUpHours(store: Store, { signal }: RollUpOptions = {}): Promise<void> {
  const { settled, hours } = await readSpan(store);
  const touched = await readTouched(store, hours - OVERLAP_MS);
  for (const { hour } of touched) {
    signal?.throwIfAborted();
    // In this order: lifetimes go by the hours that are behind, so a kill in between finds them behind again.
    await store.command(LIFETIMES, { hour });
    await store.command(HOURS, { hour });
  }
  for (let at = 0; at < touched.length; at += SERVICE_HOURS_AT_ONCE) {
    signal?.throwIfAborted();
    await store.command(SERVICES, { hours: touched.slice(at, at + SERVICE_HOURS_AT_ONCE).map(({ hour }) => hour / 1000) });
  }
  // What only a later reading of the overlap takes into the minutes is not yet in the hours.
  await saveCheckpoint(store, 'hours', settled);
}

export async function rollUp(store: Store, options: RollUpOptions = {}): Promise<void> {
  await rollUpMinutes(store, { ...options, isThorough: true });
  await rollUpHours(store, options);
}
