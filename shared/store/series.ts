/** Reads lifetimes as blocks for the detector and the charts: from raw samples below a minute, from rollups above. */
import type { Runtime } from '../sample.ts';
import { BLOCK_COLUMNS, type BlockColumn, type Series } from '../series.ts';
import { decodeNative } from './native-read.ts';
import type { Shards } from '../shard.ts';
import type { SqlParams } from './parameters.ts';
import type { Store } from './store.ts';

export interface SeriesQuery {
  /** Milliseconds UTC. Blocks that begin in [from, to) are read; a sample at or after `to` counts for none. */
  readonly from: number;
  readonly to: number;
  /** Width of a block. Whole minutes come from minute rollups, whole hours from hour rollups, all else from raw samples. */
  readonly blockMs: number;
  /** Default: all. */
  readonly services?: readonly { readonly service: string; readonly environment: string }[];
  readonly instance?: string;
  /** Only services of these shards. Default: all. */
  readonly shards?: Shards;
  /** Others are not read and hold NaN. Default: all. */
  readonly columns?: readonly BlockColumn[];
  readonly signal?: AbortSignal;
}

/** Where the blocks come from. `min`, `last` and `max` give the aggregate over a block of a metric there. */
interface Source {
  readonly table: string;
  readonly stepMs: number;
  readonly time: string;
  readonly samples: string;
  readonly lastTime: string;
  min(metric: string): string;
  last(metric: string): string;
  max(metric: string): string;
}

const RAW: Source = {
  table: 'raw_samples',
  stepMs: 1,
  time: 'time',
  samples: 'count()',
  lastTime: 'max(time)',
  min: (metric) => `min(${metric})`,
  last: (metric) => `argMax(${metric}, time)`,
  max: (metric) => `max(${metric})`,
};

const rollup = (table: string, time: string, stepMs: number): Source => ({
  table,
  stepMs,
  time,
  samples: 'sum(samples)',
  lastTime: 'max(last_time)',
  min: (metric) => `min(${metric}_min)`,
  last: (metric) => `argMax(${metric}_last, ${time})`,
  max: (metric) => `max(${metric}_max)`,
});

const SOURCES = [rollup('hour_rollups', 'hour', 3_600_000), rollup('minute_rollups', 'minute', 60_000)];

const AGGREGATE: Readonly<Record<BlockColumn, (source: Source) => string>> = {
  rssMin: (source) => source.min('rss'),
  rssLast: (source) => source.last('rss'),
  rssMax: (source) => source.max('rss'),
  anonMin: (source) => `coalesce(${source.min('anon')}, ${source.min('cgroup_anon')})`,
  workingSetMin: (source) => source.min('working_set'),
  swapMin: (source) => source.min('swap'),
  heapUsedMin: (source) => source.min('heap_used'),
  heapLiveLast: (source) => source.last('heap_live'),
  heapCommittedLast: (source) => source.last('heap_committed'),
  externalMin: (source) => source.min('external'),
  objectsMin: (source) => source.min('objects'),
  memoryLimitLast: (source) => source.last('memory_limit'),
  heapLimitLast: (source) => source.last('heap_limit'),
  gcFullCountLast: (source) => source.last('gc_full_count'),
  requestsLast: (source) => source.last('requests'),
  cpuSecondsLast: (source) => source.last('cpu_seconds'),
  // Agents send counters; only history files carry a rate.
  requestRateMean: () => 'NULL',
  sampleCount: (source) => source.samples,
  timeLast: (source) => `toUnixTimestamp64Milli(${source.lastTime})`,
};

const BLOCK_START = (source: Source) =>
  source.stepMs === 1
    ? 'intDiv(toUnixTimestamp64Milli(time), {blockMs:Int64}) * {blockMs:Int64}'
    : `intDiv(toUnixTimestamp(${source.time}) * 1000, {blockMs:Int64}) * {blockMs:Int64}`;

function seriesSql(source: Source, query: SeriesQuery): string {
  const { columns = BLOCK_COLUMNS } = query;
  const blocks = columns.map((column) => `ifNull(toFloat64(${AGGREGATE[column](source)}), nan) AS ${column}`);
  return `
    SELECT
      CAST(service AS String) AS service, max(environment_) AS environment, max(version_) AS version, instance, lifetime,
      max(runtime_) AS runtime, toFloat64(min(started)) AS startedAt,
      groupArray(toFloat64(block)) AS time, ${columns.map((column) => `groupArray(${column}) AS ${column}`).join(', ')}
    FROM (
      SELECT
        service, instance, lifetime, ${BLOCK_START(source)} AS block,
        max(CAST(environment AS String)) AS environment_, max(CAST(version AS String)) AS version_, max(CAST(runtime AS String)) AS runtime_,
        min(toUnixTimestamp64Milli(process_started_at)) AS started, ${blocks.join(', ')}
      FROM ${source.table} FINAL
      WHERE ${source.time} >= fromUnixTimestamp64Milli({from:Int64}) AND ${source.time} < fromUnixTimestamp64Milli({to:Int64})
        ${query.services === undefined ? '' : "AND service IN {services:Array(String)} AND has({pairs:Array(String)}, concat(service, '\\0', environment))"}
        ${query.instance === undefined ? '' : 'AND instance = {instance:String}'}
        ${query.shards === undefined ? '' : 'AND CRC32(service) % {shardCount:UInt32} IN {shards:Array(UInt32)}'}
      GROUP BY service, instance, lifetime, block
    )
    GROUP BY service, instance, lifetime
    ORDER BY service, instance, lifetime`;
}

/** Blocks arrive in the order the engine's threads finished them. */
function inOrder(time: Float64Array): Uint32Array | undefined {
  for (let at = 1; at < time.length; at++) {
    if (time[at]! < time[at - 1]!) return Uint32Array.from(time.keys()).sort((a, b) => time[a]! - time[b]!);
  }
  return undefined;
}

const permuted = (values: Float64Array, order: Uint32Array | undefined): Float64Array =>
  order === undefined ? values : Float64Array.from(order, (at) => values[at]!);

type Columns = Record<BlockColumn, Float64Array>;

function unread({ columns }: SeriesQuery, blocks: number): Columns {
  const nothing = new Float64Array(columns === undefined ? 0 : blocks).fill(NaN);
  return Object.fromEntries(BLOCK_COLUMNS.map((name) => [name, nothing])) as Columns;
}

async function readEnds(store: Store, query: SeriesQuery): Promise<ReadonlyMap<string, number>> {
  const rows = await store.query<{ lifetime: string; ended: number }>(
    `SELECT lifetime, toUnixTimestamp64Milli(max(ended_at)) AS ended FROM process_exits
    WHERE ended_at >= fromUnixTimestamp64Milli({from:Int64}) AND ended_at < fromUnixTimestamp64Milli({to:Int64})
      ${query.services === undefined ? '' : 'AND service IN {services:Array(String)}'}
    GROUP BY lifetime`,
    { from: query.from, to: query.to, services: query.services?.map(({ service }) => service) ?? [] },
    { signal: query.signal },
  );
  return new Map(rows.map(({ lifetime, ended }) => [lifetime, ended]));
}

/** One series per process lifetime that has a sample in the range, in the order of service, instance and lifetime. */
export async function readSeries(store: Store, query: SeriesQuery): Promise<Series[]> {
  const { blockMs, services = [] } = query;
  const source = SOURCES.find(({ stepMs }) => blockMs % stepMs === 0) ?? RAW;
  const params: SqlParams = {
    from: Math.floor(query.from / blockMs) * blockMs,
    to: Math.ceil(query.to),
    blockMs,
    services: services.map(({ service }) => service),
    pairs: services.map(({ service, environment }) => `${service}\0${environment}`),
    instance: query.instance ?? '',
    shardCount: query.shards?.count ?? 1,
    shards: query.shards?.owned ?? [],
  };
  const [bytes, ends] = await Promise.all([
    store.queryBytes(seriesSql(source, query), 'Native', params, { signal: query.signal }),
    readEnds(store, query),
  ]);
  const table = decodeNative(bytes);
  const column = (name: string) => table.strings(name);
  const [service, environment, version, instance, lifetime, runtime] = [
    'service',
    'environment',
    'version',
    'instance',
    'lifetime',
    'runtime',
  ].map(column) as [string[], string[], string[], string[], string[], string[]];
  const startedAt = table.numbers('startedAt');
  const times = table.arrays('time');
  const arrays = (query.columns ?? BLOCK_COLUMNS).map((name) => [name, table.arrays(name)] as const);
  return times.map((time, row) => {
    const order = inOrder(time);
    const endedAt = ends.get(lifetime[row]!);
    return {
      service: service[row]!,
      environment: environment[row]!,
      version: version[row]!,
      instance: instance[row]!,
      lifetime: lifetime[row]!,
      runtime: runtime[row]! as Runtime,
      startedAt: startedAt[row]!,
      ...(endedAt === undefined ? {} : { endedAt }),
      blockMs,
      time: permuted(time, order),
      columns: {
        ...unread(query, time.length),
        ...Object.fromEntries(arrays.map(([name, values]) => [name, permuted(values[row]!, order)])),
      },
    };
  });
}
