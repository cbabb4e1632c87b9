/**
 * Minute and hour rollups. They are recomputed from deduplicated samples for every minute that got a sample since the
 * last run, never added up; whatever is sent twice, late or by a zombie, they stay a function of the raw rows.
 * Two runs at once and a kill at any point do no harm: `revision` decides, and the checkpoint moves last.
 */
import { METRICS, METRIC_NAMES, type MetricName } from '../sample.ts';
import { INSERT_TIMEOUT_MS } from './engine.ts';
import type { SqlParams } from './parameters.ts';
import { toSqlTime } from './sql-time.ts';
import type { Store } from './store.ts';

/** A row carries the moment its insert began and shows when the insert ends; looking back this far misses none. */
const OVERLAP_MS = 4 * INSERT_TIMEOUT_MS;

const LAST_ONLY: ReadonlySet<MetricName> = new Set(['memory_limit', 'heap_limit']);

interface Aggregate {
  readonly column: string;
  readonly fromRaw: string;
  readonly fromMinutes: string;
}

function aggregatesOf(name: MetricName): Aggregate[] {
  const last = { column: `${name}_last`, fromRaw: `argMax(${name}, time)`, fromMinutes: `argMax(r.${name}_last, r.minute)` };
  if (METRICS[name].kind === 'counter' || LAST_ONLY.has(name)) return [last];
  const extremes = [
    { column: `${name}_min`, fromRaw: `min(${name})`, fromMinutes: `min(r.${name}_min)` },
    { column: `${name}_max`, fromRaw: `max(${name})`, fromMinutes: `max(r.${name}_max)` },
    last,
  ];
  if (METRICS[name].unit !== 'By') return extremes;
  return [
    ...extremes,
    { column: `${name}_sum`, fromRaw: `sum(toFloat64(${name}))`, fromMinutes: `sum(r.${name}_sum)` },
    { column: `${name}_count`, fromRaw: `toUInt32(count(${name}))`, fromMinutes: `toUInt32(sum(r.${name}_count))` },
  ];
}

const AGGREGATES = METRIC_NAMES.flatMap(aggregatesOf);

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

/** `revision` of a rollup row, see infra/clickhouse/002_rollups.sql. */
const REVISION = 'toUInt64(toUnixTimestamp64Milli(source_received_at)) * 1000000 + least(samples, 999999)';

const RANGE = 'time >= fromUnixTimestamp64Milli({from:Int64}) AND time < fromUnixTimestamp64Milli({to:Int64})';

/**
 * Minutes of the range whose rollup is missing or behind, found by four narrow columns and without FINAL: samples of a
 * lifetime are told apart by time. Only these are aggregated, so looking back over the overlap costs little.
 */
const CHANGED_MINUTES = `
  SELECT service, instance, lifetime, minute FROM (
    SELECT
      service, instance, lifetime, toStartOfMinute(time) AS minute, max(received_at) AS source_received_at, uniqExact(time) AS samples
    FROM raw_samples WHERE ${RANGE}
    GROUP BY service, instance, lifetime, minute
  )
  WHERE (service, instance, lifetime, minute, ${REVISION}) NOT IN (
    SELECT service, instance, lifetime, minute, revision FROM minute_rollups
    WHERE minute >= fromUnixTimestamp64Milli({from:Int64}) AND minute < fromUnixTimestamp64Milli({to:Int64})
  )`;

const MINUTES = `
  INSERT INTO minute_rollups (service, instance, lifetime, minute, pid, ${COLUMNS.join(', ')}, revision)
  SELECT *, ${REVISION} AS revision FROM (
    SELECT
      service, instance, lifetime, toStartOfMinute(time) AS minute, max(raw_samples.pid) AS pid,
      ${IDENTITY.map((name) => `max(raw_samples.${name}) AS ${name}`).join(', ')},
      min(raw_samples.process_started_at) AS process_started_at, min(time) AS first_time, max(time) AS last_time,
      toUInt32(count()) AS samples,
      ${AGGREGATES.map(({ column, fromRaw }) => `${fromRaw} AS ${column}`).join(', ')},
      max(received_at) AS source_received_at
    FROM raw_samples FINAL
    WHERE ${RANGE} AND (service, instance, lifetime, toStartOfMinute(time)) IN (${CHANGED_MINUTES})
    GROUP BY service, instance, lifetime, minute
  )`;

const HOUR_RANGE = `r.minute >= fromUnixTimestamp64Milli({hour:Int64}) AND r.minute < fromUnixTimestamp64Milli({hour:Int64} + 3600000)`;

const CHANGED_HOURS = `
  SELECT service, instance, lifetime FROM (
    SELECT
      r.service AS service, r.instance AS instance, r.lifetime AS lifetime,
      max(r.source_received_at) AS source_received_at, sum(r.samples) AS samples
    FROM minute_rollups AS r FINAL WHERE ${HOUR_RANGE}
    GROUP BY r.service, r.instance, r.lifetime
  )
  WHERE (service, instance, lifetime, ${REVISION}) NOT IN (
    SELECT service, instance, lifetime, revision FROM hour_rollups WHERE hour = fromUnixTimestamp64Milli({hour:Int64})
  )`;

const HOURS = `
  INSERT INTO hour_rollups (service, instance, lifetime, hour, ${COLUMNS.join(', ')}, revision)
  SELECT *, ${REVISION} AS revision FROM (
    SELECT
      r.service, r.instance, r.lifetime, toStartOfHour(r.minute) AS hour,
      ${IDENTITY.map((name) => `max(r.${name}) AS ${name}`).join(', ')},
      min(r.process_started_at) AS process_started_at, min(r.first_time) AS first_time, max(r.last_time) AS last_time,
      toUInt32(sum(r.samples)) AS samples,
      ${AGGREGATES.map(({ column, fromMinutes }) => `${fromMinutes} AS ${column}`).join(', ')},
      max(r.source_received_at) AS source_received_at
    FROM minute_rollups AS r FINAL
    WHERE ${HOUR_RANGE} AND (r.service, r.instance, r.lifetime) IN (${CHANGED_HOURS})
    GROUP BY r.service, r.instance, r.lifetime, hour
  )`;

const LIFETIMES = `
  INSERT INTO lifetimes
    (service, instance, lifetime, environment, version, host, runtime, pid, started_at, first_seen, last_seen, rss_peak, memory_limit_max)
  SELECT
    service, instance, lifetime, max(toString(r.environment)), max(toString(r.version)), max(toString(r.host)), max(toString(r.runtime)),
    max(r.pid), min(r.process_started_at), min(r.first_time), max(r.last_time), ifNull(max(r.rss_max), 0), ifNull(max(r.memory_limit_last), 0)
  FROM minute_rollups AS r FINAL
  WHERE ${HOUR_RANGE} AND (r.service, r.instance, r.lifetime) IN (${CHANGED_HOURS})
  GROUP BY service, instance, lifetime`;

interface TouchedHour {
  readonly hour: number;
  readonly from: number;
  readonly to: number;
}

/** Two stages, each with a checkpoint of its own, so that the second, which reads whole hours of minutes, may run less often. */
type Stage = 'samples' | 'hours';

interface Span {
  /** Store's clock. */
  readonly now: number;
  /** Up to which arrivals each stage has come. */
  readonly samples: number;
  readonly hours: number;
}

async function readSpan(store: Store): Promise<Span> {
  const through = (stage: Stage) =>
    `(SELECT toUnixTimestamp64Milli(max(received_through)) FROM rollup_checkpoints WHERE name = '${stage}') AS ${stage}`;
  const [span] = await store.query<Span>(`SELECT toUnixTimestamp64Milli(now64(3)) AS now, ${through('samples')}, ${through('hours')}`);
  return span ?? { now: 0, samples: 0, hours: 0 };
}

/** What got a sample after the checkpoint, and some before it. */
const readTouched = (store: Store, checkpoint: number) =>
  store.query<TouchedHour>(
    `SELECT
      toUnixTimestamp(toStartOfHour(time)) * 1000 AS hour, toUnixTimestamp(min(toStartOfMinute(time))) * 1000 AS from,
      toUnixTimestamp(max(toStartOfMinute(time))) * 1000 + 60000 AS to
    FROM raw_samples WHERE received_at >= fromUnixTimestamp64Milli({received:Int64}) GROUP BY hour ORDER BY hour`,
    { received: Math.max(0, checkpoint - OVERLAP_MS) },
  );

const saveCheckpoint = (store: Store, name: Stage, through: number) =>
  store.insertRows('rollup_checkpoints', [{ name, received_through: toSqlTime(through) }]);

interface RollUpOptions {
  readonly signal?: AbortSignal;
}

/** Brings minutes up to what has arrived. */
export async function rollUpMinutes(store: Store, { signal }: RollUpOptions = {}): Promise<void> {
  const { now, samples } = await readSpan(store);
  for (const { hour, from, to } of await readTouched(store, samples)) {
    signal?.throwIfAborted();
    await store.command(MINUTES, { hour, from, to } satisfies SqlParams);
  }
  await saveCheckpoint(store, 'samples', now);
}

/** Brings hours and lifetimes up to the minutes. */
export async function rollUpHours(store: Store, { signal }: RollUpOptions = {}): Promise<void> {
  const { samples, hours } = await readSpan(store);
  for (const { hour } of await readTouched(store, hours)) {
    signal?.throwIfAborted();
    // In this order: lifetimes go by the hours that are behind, so a kill in between finds them behind again.
    await store.command(LIFETIMES, { hour });
    await store.command(HOURS, { hour });
  }
  // Arrivals that only minutes of a later run take in are not yet in the hours.
  await saveCheckpoint(store, 'hours', samples);
}

export async function rollUp(store: Store, options: RollUpOptions = {}): Promise<void> {
  await rollUpMinutes(store, options);
  await rollUpHours(store, options);
}
