/** Reads lifetimes as blocks for the detector and the charts: from raw samples below a minute, from rollups above. */
import type { Runtime } from '../sample.ts';
import { BLOCK_COLUMNS, type BlockColumn, type Series, type SeriesIdentity } from '../series.ts';
import { decodeNative, type NativeTable } from './native-read.ts';
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
  readonly services?: readonly ServiceName[];
  /** Services whose names lie in [first, before); default: all. */
  readonly names?: NameRange;
  readonly instance?: string;
  /** Only services of these shards. Default: all. */
  readonly shards?: Shards;
  /** What is asked for; the rest is NaN. Default: all. */
  readonly columns?: readonly BlockColumn[];
  readonly signal?: AbortSignal;
}

interface ServiceName {
  readonly service: string;
  readonly environment: string;
}

export interface NameRange {
  readonly first: string;
  /** undefined = no end. */
  readonly before: string | undefined;
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
  /** Does a row stand for a block, or is a block made of several? */
  readonly isBlock: boolean;
  /** Is whoever has a row among the lifetimes before that row is written? */
  readonly namesComeFirst: boolean;
}

const RAW: Source = {
  table: 'raw_samples',
  stepMs: 1,
  isBlock: false,
  namesComeFirst: false,
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
  isBlock: false,
  // rollups.ts writes lifetimes before hours and after minutes.
  namesComeFirst: table === 'hour_rollups',
  time,
  samples: 'sum(samples)',
  lastTime: 'max(last_time)',
  min: (metric) => `min(${metric}_min)`,
  last: (metric) => `argMax(${metric}_last, ${time})`,
  max: (metric) => `max(${metric}_max)`,
});

const SOURCES = [rollup('hour_rollups', 'hour', 3_600_000), rollup('minute_rollups', 'minute', 60_000)];

/** What blocks of a width are made of. */
export const sourceOf = (blockMs: number): Source => SOURCES.find(({ stepMs }) => blockMs % stepMs === 0) ?? RAW;

/** As it is where blocks are as wide as the rollups: nothing is left to aggregate. */
export const rowByRow = (source: Source): Source => ({
  ...source,
  isBlock: true,
  samples: 'samples',
  lastTime: 'last_time',
  min: (metric) => `${metric}_min`,
  last: (metric) => `${metric}_last`,
  max: (metric) => `${metric}_max`,
});

/** What is measured, not counted: may be absent. */
export type MeasuredColumn = Exclude<BlockColumn, 'sampleCount' | 'timeLast'>;

const AGGREGATE: Readonly<Record<MeasuredColumn, (source: Source) => string>> = {
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
  requestRateMean: () => 'CAST(NULL AS Nullable(Float64))',
};

/** The aggregate over the rows of a block. */
export const aggregateOf = (column: MeasuredColumn, source: Source): string => AGGREGATE[column](source);

/** A source wider than a millisecond keeps time in seconds. */
export const blockNumberOf = ({ stepMs, time }: Source) =>
  stepMs === 1 ? `intDiv(toUnixTimestamp64Milli(${time}), {blockMs:Int64})` : `intDiv(toUnixTimestamp(${time}), {blockSeconds:UInt32})`;

/** From {from} on, before {to}. */
export const inTime = (column: string): string =>
  `${column} >= fromUnixTimestamp64Milli({from:Int64}) AND ${column} < fromUnixTimestamp64Milli({to:Int64})`;

export const mayBeAbsent = (column: BlockColumn): column is MeasuredColumn => column !== 'sampleCount' && column !== 'timeLast';

/** The last time as an offset within the block, so that it is a small number. */
const valueOf = (column: BlockColumn, source: Source): string =>
  column === 'sampleCount'
    ? `toUInt32(${source.samples})`
    : column === 'timeLast'
      ? `toUInt32(toUnixTimestamp64Milli(${source.lastTime}) - block * {blockMs:Int64})`
      : `toFloat64(${AGGREGATE[column](source)})`;

/**
 * One row per lifetime with an array per column, in the order of the table's key, so that nothing is sorted and no lifetime is held
 * longer than it is read (GROUP BY must name the columns of the table themselves: by an alias of a cast it would hold them all; one
 * thread, for merging the order of two costs a third more). The
 * engine leaves NULLs out of arrays, which spares most of the work and of the bytes, as most runtimes tell but few of the columns;
 * `absent` says with a bit per column where they were, once where they were the same in every block.
 */
function seriesSql(source: Source, query: SeriesQuery, columns: readonly BlockColumn[]): string {
  const { services, names, instance } = query;
  const rows = `
    FROM ${source.table} FINAL
    WHERE ${inTime(source.time)}
      ${services === undefined ? '' : `AND ${inServices(services)}`}
      ${names === undefined ? '' : `AND ${inNames(names)}`}
      ${instance === undefined ? '' : 'AND instance = {instance:String}'}
      ${query.shards === undefined ? '' : `AND ${OF_SHARDS}`}`;
  const blocks = source.isBlock
    ? rows
    : `FROM (
      SELECT
        service, instance, lifetime, ${blockNumberOf(source)} AS block, max(environment) AS environment_, max(version) AS version_,
        max(runtime) AS runtime_, min(process_started_at) AS process_started_at_
        ${columns.map((column) => `, ${valueOf(column, source)} AS ${column}_`).join('')}
      ${rows}
      GROUP BY service, instance, lifetime, block
    )`;
  const block = source.isBlock ? blockNumberOf(source) : 'block';
  const own = source.isBlock ? '' : '_';
  const value = (column: BlockColumn) => (source.isBlock ? valueOf(column, source) : `${column}_`);
  const absent = columns.filter(mayBeAbsent).map((column, bit) => `bitShiftLeft(toUInt32(isNull(${value(column)})), ${String(bit)})`);
  return `
    WITH ${block} AS block, ${absent.reduce((sum, bit) => `bitOr(${sum}, ${bit})`, 'toUInt32(0)')} AS mask
    SELECT
      CAST(service AS String) AS serviceName, CAST(max(environment${own}) AS String) AS environmentName,
      CAST(max(version${own}) AS String) AS versionName, instance, lifetime, CAST(max(runtime${own}) AS String) AS runtimeName,
      toFloat64(min(toUnixTimestamp64Milli(process_started_at${own}))) AS startedAt, groupArray(toUInt32(block - {firstBlock:Int64})) AS blocks,
      if(min(mask) = max(mask), [any(mask)], groupArray(mask)) AS absent
      ${columns.map((column) => `, groupArray(${value(column)}) AS ${column}`).join('')}
    ${blocks}
    GROUP BY service, instance, lifetime
    SETTINGS optimize_aggregation_in_order = 1, max_threads = 1`;
}

/** Of one service, as every chart asks for, without putting a pair together for every row. */
export const inServices = (services: readonly ServiceName[]): string =>
  services.length === 1
    ? 'service IN {services:Array(String)} AND environment IN {environments:Array(String)}'
    : "service IN {services:Array(String)} AND has({pairs:Array(String)}, concat(service, '\\0', environment))";

export const servicesParams = (services: readonly ServiceName[]) => ({
  services: services.map(({ service }) => service),
  environments: services.map(({ environment }) => environment),
  pairs: services.map(({ service, environment }) => `${service}\0${environment}`),
});

export const OF_SHARDS = 'CRC32(service) % {shardCount:UInt32} IN {shards:Array(UInt32)}';

export const inNames = ({ before }: NameRange) =>
  `service >= {first:String}${before === undefined ? '' : ' AND service < {before:String}'}`;

/** Blocks may arrive in the order the engine's threads finished them; undefined where they are in order. */
export function inOrder(time: Float64Array): Uint32Array | undefined {
  for (let at = 1; at < time.length; at++) {
    if (time[at]! < time[at - 1]!) return Uint32Array.from(time.keys()).sort((a, b) => time[a]! - time[b]!);
  }
  return undefined;
}

export function permuted(values: Float64Array, order: Uint32Array | undefined): Float64Array {
  if (order === undefined) return values;
  const ordered = new Float64Array(order.length);
  for (let at = 0; at < order.length; at++) ordered[at] = values[order[at]!]!;
  return ordered;
}

export const boundsOf = (names: NameRange | undefined) => ({ first: names?.first ?? '', before: names?.before ?? '' });

// Loops, as `map` of a typed array takes ten times as long.
function startsOf(blocks: Float64Array, from: number, blockMs: number): Float64Array {
  const time = new Float64Array(blocks.length);
  for (let at = 0; at < time.length; at++) time[at] = from + blocks[at]! * blockMs;
  return time;
}

function sumsOf(a: Float64Array, b: ArrayLike<number>): Float64Array {
  const sums = new Float64Array(a.length);
  for (let at = 0; at < sums.length; at++) sums[at] = a[at]! + b[at]!;
  return sums;
}

/** With NaN where the bit of the column is set in `absent`, which has one mask for all blocks or one for each. */
function withAbsent(values: Float64Array, absent: Float64Array, bit: number, unknown: Float64Array): Float64Array {
  if (values.length === unknown.length) return values;
  if (values.length === 0) return unknown;
  const all = new Float64Array(absent.length);
  let next = 0;
  for (let at = 0; at < all.length; at++) all[at] = (absent[at]! >>> bit) & 1 ? Number.NaN : values[next++]!;
  return all;
}

export async function readEnds(store: Store, query: SeriesQuery): Promise<ReadonlyMap<string, number>> {
  const rows = await store.query<{ lifetime: string; ended: number }>(
    `SELECT lifetime, toUnixTimestamp64Milli(max(ended_at)) AS ended FROM process_exits
    WHERE ${inTime('ended_at')}
      ${query.services === undefined ? '' : 'AND service IN {services:Array(String)}'}
      ${query.names === undefined ? '' : `AND ${inNames(query.names)}`}
    GROUP BY lifetime`,
    { from: query.from, to: query.to, services: query.services?.map(({ service }) => service) ?? [], ...boundsOf(query.names) },
    { signal: query.signal },
  );
  return new Map(rows.map(({ lifetime, ended }) => [lifetime, ended]));
}

/** One series per process lifetime that has a sample in the range, in the order of service, instance and lifetime. */
export async function readSeries(store: Store, query: SeriesQuery): Promise<Series[]> {
  const { blockMs, services = [], columns = BLOCK_COLUMNS } = query;
  const found = sourceOf(blockMs);
  const source = found.stepMs === blockMs ? rowByRow(found) : found;
  const from = Math.floor(query.from / blockMs) * blockMs;
  const params: SqlParams = {
    from,
    to: Math.ceil(query.to),
    blockMs,
    blockSeconds: Math.floor(blockMs / 1000),
    firstBlock: from / blockMs,
    ...servicesParams(services),
    instance: query.instance ?? '',
    shardCount: query.shards?.count ?? 1,
    shards: query.shards?.owned ?? [],
    ...boundsOf(query.names),
  };
  const [bytes, ends] = await Promise.all([
    store.queryBytes(seriesSql(source, query, columns), 'Native', params, { signal: query.signal }),
    readEnds(store, query),
  ]);
  return seriesOf(decodeNative(bytes), from, blockMs, columns, ends);
}

/** Who the rows of an answer are of. */
export function identitiesOf(table: NativeTable): SeriesIdentity[] {
  const [service, environment, version, instance, lifetime, runtime] = (
    ['serviceName', 'environmentName', 'versionName', 'instance', 'lifetime', 'runtimeName'] as const
  ).map((name) => table.strings(name)) as [string[], string[], string[], string[], string[], string[]];
  const startedAt = table.numbers('startedAt');
  return lifetime.map((name, row) => ({
    service: service[row]!,
    environment: environment[row]!,
    version: version[row]!,
    instance: instance[row]!,
    lifetime: name,
    runtime: runtime[row]! as Runtime,
    startedAt: startedAt[row]!,
  }));
}

/** `ends`: of lifetimes that were seen to end. */
function seriesOf(
  table: NativeTable,
  from: number,
  blockMs: number,
  columns: readonly BlockColumn[],
  ends: ReadonlyMap<string, number>,
): Series[] {
  const identities = identitiesOf(table);
  const absents = table.arrays('absent');
  const nullable: readonly BlockColumn[] = columns.filter(mayBeAbsent);
  const told = columns.map((name) => ({ name, bit: nullable.indexOf(name), values: table.arrays(name) }));
  // One array serves all lifetimes of a length.
  let unknown = new Float64Array(0);
  const series = table.arrays('blocks').map((blocks, row): Series => {
    if (unknown.length !== blocks.length) unknown = new Float64Array(blocks.length).fill(Number.NaN);
    const time = startsOf(blocks, from, blockMs);
    const order = inOrder(time);
    const all = Object.fromEntries(BLOCK_COLUMNS.map((name) => [name, unknown])) as Record<BlockColumn, Float64Array>;
    for (const { name, bit, values } of told) {
      if (name === 'timeLast') all[name] = permuted(sumsOf(time, values[row]!), order);
      else all[name] = permuted(withAbsent(values[row]!, absents[row]!, bit, unknown), order);
    }
    const identity = identities[row]!;
    const endedAt = ends.get(identity.lifetime);
    return {
      ...identity,
      ...(endedAt === undefined ? {} : { endedAt }),
      blockMs,
      time: permuted(time, order),
      columns: all,
    };
  });
  return series.sort(byKey);
}

export const byKey = (a: SeriesIdentity, b: SeriesIdentity): number =>
  compare(a.service, b.service) || compare(a.instance, b.instance) || compare(a.lifetime, b.lifetime);

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
