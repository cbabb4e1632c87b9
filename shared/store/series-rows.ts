/**
 * Series of many lifetimes out of rollups as wide as the blocks asked for: plain rows of numbers, cut into lifetimes here. To gather
 * arrays in the engine (series.ts) took it longer than all else together; a row that says whose it is with one number, and of each
 * column that anybody told a number, costs little more than to read it.
 */
import { BLOCK_COLUMNS, type BlockColumn, type Series, type SeriesIdentity } from '../series.ts';
import { decodeNative, decodeNumbers, type NativeTable, type NumberTable } from './native-read.ts';
import type { SqlParams } from './parameters.ts';
import {
  aggregateOf,
  boundsOf,
  byKey,
  identitiesOf,
  inNames,
  inOrder,
  mayBeAbsent,
  OF_SHARDS,
  permuted,
  readEnds,
  rowByRow,
  sourceOf,
  sumsOf,
  type MeasuredColumn,
  type SeriesQuery,
} from './series.ts';
import type { Store } from './store.ts';

type RowsQuery = Omit<SeriesQuery, 'services' | 'instance'>;

/**
 * Whose a row is; wide enough that no two of a fleet share one. A process that is named anew while it runs keeps its lifetime. To put
 * rows together the engine reads these columns anyway.
 */
const KEY = 'toFloat64(wyHash64(service, instance, lifetime))';

type Source = ReturnType<typeof sourceOf>;

/** undefined where it cannot be told in this way: no rollups of that width, or who the rows are of cannot be told. */
export async function readSeriesByRows(store: Store, query: RowsQuery): Promise<Series[] | undefined> {
  const { blockMs, columns = BLOCK_COLUMNS, signal } = query;
  const found = sourceOf(blockMs);
  if (found.stepMs !== blockMs) return undefined;
  const from = Math.floor(query.from / blockMs) * blockMs;
  const rows: Rows = {
    store,
    source: rowByRow(found),
    where: `${found.time} >= toDateTime({fromSeconds:UInt32}, 'UTC') AND ${found.time} < toDateTime({toSeconds:UInt32}, 'UTC')
      ${query.names === undefined ? '' : `AND ${inNames(query.names)}`} ${query.shards === undefined ? '' : `AND ${OF_SHARDS}`}`,
    params: {
      from,
      fromSeconds: from / 1000,
      toSeconds: Math.ceil(query.to / 1000),
      shardCount: query.shards?.count ?? 1,
      shards: query.shards?.owned ?? [],
      ...boundsOf(query.names),
    },
    signal,
  };
  const told = await toldColumns(rows, columns);
  const [table, ends] = await Promise.all([readNumbers(rows, told), readEnds(store, query)]);
  const runs = runsOf(table.numbers('key'));
  const identities = await readIdentities(rows, query, runs);
  return identities === undefined ? undefined : seriesOf(table, [...told.keys()], { from, blockMs, runs, identities, ends });
}

interface Rows {
  readonly store: Store;
  readonly source: Source;
  readonly where: string;
  readonly params: SqlParams;
  readonly signal: AbortSignal | undefined;
}

/** A source whose columns pass through `one`. */
const over = (source: Source, one: (column: string) => string): Source => ({
  ...source,
  min: (metric) => one(source.min(metric)),
  last: (metric) => one(source.last(metric)),
  max: (metric) => one(source.max(metric)),
});

function storedColumnsOf(column: MeasuredColumn, source: Source): string[] {
  const stored: string[] = [];
  aggregateOf(
    column,
    over(source, (name) => {
      stored.push(name);
      return name;
    }),
  );
  return stored;
}

/** What is to be selected of each column that is told by any row. To count reads only which values are there, not the values. */
async function toldColumns({ store, source, where, params, signal }: Rows, columns: readonly BlockColumn[]) {
  const measured = columns.filter(mayBeAbsent).map((column) => ({ column, stored: storedColumnsOf(column, source) }));
  const names = [...new Set(measured.flatMap(({ stored }) => stored))];
  const [counts = {}] = await store.query<Record<string, number>>(
    `SELECT ${['count() AS rows', ...names.map((name) => `count(${name}) AS ${name}_count`)].join(', ')} FROM ${source.table} WHERE ${where}`,
    params,
    { signal },
  );
  const isTold = (name: string) => (counts[`${name}_count`] ?? 0) > 0;
  const toldSource = over(source, (name) => (isTold(name) ? name : 'NULL'));
  const told = new Map<BlockColumn, string>();
  for (const { column, stored } of measured)
    if (stored.some(isTold)) told.set(column, `ifNull(toFloat64(${aggregateOf(column, toldSource)}), nan)`);
  if (columns.includes('sampleCount')) told.set('sampleCount', source.samples);
  if (columns.includes('timeLast')) told.set('timeLast', `toUInt32(toUnixTimestamp64Milli(${source.lastTime}) - 1000 * toInt64(begun))`);
  return told;
}

/** Where the engine left its order, rows of a lifetime are apart; one thread keeps it for the most part. */
async function readNumbers({ store, source, where, params, signal }: Rows, told: ReadonlyMap<BlockColumn, string>): Promise<NumberTable> {
  const bytes = await store.queryBytes(
    `WITH toUnixTimestamp(${source.time}) AS begun
    SELECT ${KEY} AS key, toUInt32(begun - {fromSeconds:UInt32}) AS sinceFrom
      ${[...told].map(([column, value]) => `, ${value} AS ${column}`).join('')}
    FROM ${source.table} FINAL WHERE ${where} SETTINGS max_threads = 1, max_block_size = 262144, preferred_block_size_bytes = 100000000`,
    'Native',
    params,
    { signal },
  );
  return decodeNumbers(bytes);
}

/** First row and row after the last of each stretch of rows that belong to one lifetime. */
type Stretch = readonly [from: number, to: number];

/** By lifetime. */
type Runs = ReadonlyMap<number, readonly Stretch[]>;

function runsOf(keys: ArrayLike<number>): Runs {
  const runs = new Map<number, [number, number][]>();
  for (let from = 0; from < keys.length;) {
    const key = keys[from] as number;
    let to = from + 1;
    while (to < keys.length && keys[to] === key) to += 1;
    const known = runs.get(key);
    if (known === undefined) runs.set(key, [[from, to]]);
    else known.push([from, to]);
    from = to;
  }
  return runs;
}

/** From the table of lifetimes; of those that it does not know yet, as it is written after the rollups are, from these. */
async function readIdentities(
  { store, source, where, params, signal }: Rows,
  { names }: RowsQuery,
  runs: Runs,
): Promise<ReadonlyMap<number, SeriesIdentity> | undefined> {
  const identities = new Map<number, SeriesIdentity>();
  const readFrom = async (table: string, startedAt: string, rows: string, more: SqlParams = {}) => {
    const bytes = await store.queryBytes(
      `SELECT
        CAST(service AS String) AS serviceName, CAST(max(environment) AS String) AS environmentName, CAST(max(version) AS String) AS versionName, instance,
        lifetime, CAST(max(runtime) AS String) AS runtimeName, toFloat64(toUnixTimestamp64Milli(min(${startedAt}))) AS startedAt, ${KEY} AS key
      FROM ${table} WHERE ${rows} GROUP BY service, instance, lifetime`,
      'Native',
      { ...params, ...more },
      { signal },
    );
    return addIdentities(decodeNative(bytes), identities);
  };
  const inRange = `last_seen >= toDateTime({fromSeconds:UInt32}, 'UTC') ${names === undefined ? '' : `AND ${inNames(names)}`}`;
  if (!(await readFrom('lifetimes', 'started_at', inRange))) return undefined;
  const unknown = [...runs.keys()].filter((key) => !identities.has(key));
  if (unknown.length === 0) return identities;
  const isUnknown = `${KEY} IN {unknown:Array(Float64)}`;
  const areAlone = await readFrom(source.table, 'process_started_at', `${where} AND ${isUnknown}`, { unknown });
  return areAlone && unknown.every((key) => identities.has(key)) ? identities : undefined;
}

/** False where two lifetimes come to the same key. */
function addIdentities(table: NativeTable, identities: Map<number, SeriesIdentity>): boolean {
  const keys = table.numbers('key');
  return identitiesOf(table).every((identity, row) => {
    const key = keys[row]!;
    if (identities.has(key)) return false;
    identities.set(key, identity);
    return true;
  });
}

interface Known {
  readonly from: number;
  readonly blockMs: number;
  readonly runs: Runs;
  readonly identities: ReadonlyMap<number, SeriesIdentity>;
  /** Of lifetimes that were seen to end. */
  readonly ends: ReadonlyMap<string, number>;
}

type Columns = Record<BlockColumn, Float64Array>;

function seriesOf(table: NumberTable, told: readonly BlockColumn[], { from, blockMs, runs, identities, ends }: Known): Series[] {
  const time = timesOf(table.numbers('sinceFrom'), from);
  const columns = told.map((name) => ({
    name,
    values: name === 'timeLast' ? sumsOf(time, table.numbers(name)) : asFloats(table.numbers(name)),
  }));
  // One set of unknowns serves all lifetimes of a length.
  let nothing = nothingOf(0);
  const series: Series[] = [];
  for (const [key, stretches] of runs) {
    const identity = identities.get(key)!;
    const lifeTime = joined(time, stretches);
    if (nothing.rssMin.length !== lifeTime.length) nothing = nothingOf(lifeTime.length);
    const order = inOrder(lifeTime);
    const own: Columns = { ...nothing };
    for (const { name, values } of columns) own[name] = permuted(joined(values, stretches), order);
    const endedAt = ends.get(identity.lifetime);
    series.push({
      ...identity,
      ...(endedAt === undefined ? {} : { endedAt }),
      blockMs,
      time: permuted(lifeTime, order),
      columns: own,
    });
  }
  return series.sort(byKey);
}

function nothingOf(length: number): Columns {
  const unknown = new Float64Array(length).fill(Number.NaN);
  return Object.fromEntries(BLOCK_COLUMNS.map((name) => [name, unknown])) as Columns;
}

/** A view where the rows of a lifetime came one after the other. */
function joined(values: Float64Array, stretches: readonly Stretch[]) {
  const [[from, to] = [0, 0], ...others] = stretches;
  if (others.length === 0) return values.subarray(from, to);
  const all = new Float64Array(stretches.reduce((sum, [begin, end]) => sum + end - begin, 0));
  let filled = 0;
  for (const [begin, end] of stretches) {
    all.set(values.subarray(begin, end), filled);
    filled += end - begin;
  }
  return all;
}

// Loops, as `map` and `from` of a typed array take ten times as long.
function timesOf(sinceFrom: ArrayLike<number>, from: number): Float64Array {
  const time = new Float64Array(sinceFrom.length);
  for (let at = 0; at < time.length; at++) time[at] = from + sinceFrom[at]! * 1000;
  return time;
}

const asFloats = (values: Float64Array | Uint32Array): Float64Array => (values instanceof Float64Array ? values : new Float64Array(values));
