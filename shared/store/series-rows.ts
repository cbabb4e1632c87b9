/**
 * Series of many lifetimes out of rollups as wide as the blocks asked for: plain rows of numbers, cut into lifetimes here. To gather
 * arrays in the engine (series.ts) took it longer than all else together; a row that says whose it is with one number, and of each
 * column that anybody told a number, costs little more than to read it.
 */
import { BLOCK_COLUMNS, type BlockColumn, type Series, type SeriesIdentity } from '../series.ts';
import { decodeNative, NumberColumns, type NativeTable } from './native-read.ts';
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
  type MeasuredColumn,
  type SeriesQuery,
} from './series.ts';
import type { Store } from './store.ts';

type RowsQuery = Omit<SeriesQuery, 'services' | 'instance'>;

/** Whose a row is, and of whom a lifetime has the rows, as a number. */
interface Key {
  readonly ofRow: string;
  readonly ofLifetime: string;
}

const NAMES = 'toFloat64(wyHash64(service, instance, lifetime))';

/** Wide enough that no two of a fleet share one. A process that is named anew while it runs keeps its lifetime. */
const KEY: Key = { ofRow: NAMES, ofLifetime: NAMES };

/**
 * Enough where no lifetime has two names, and of a batch mostly none share one. To read the names of every row is a fifth of what the
 * query costs where parts are merged.
 */
const LIFETIME_KEY: Key = { ofRow: 'lifetime_hash', ofLifetime: 'toUInt32(wyHash64(lifetime))' };

type Source = ReturnType<typeof sourceOf>;

/** Columns of rollups that any row of a query fills. */
export type ToldColumns = ReadonlySet<string>;

/**
 * Arrays that one batch after the other is read into. New ones for each would make the collector look through all that is kept of a
 * fleet for every 64 MB of them, which is every batch.
 */
export class BatchArrays {
  readonly numbers = new NumberColumns();
  #unknown = new Float64Array(0);

  /** Nothing but NaN. */
  unknown(length: number): Float64Array {
    if (this.#unknown.length < length) this.#unknown = new Float64Array(2 * length).fill(Number.NaN);
    return this.#unknown.subarray(0, length);
  }
}

/** What batches of a fleet have in common. Whatever is left out is asked for. */
interface Shared {
  /** May be of a wider range. */
  readonly told?: ToldColumns | undefined;
  /** May be of more services. */
  readonly ends?: ReadonlyMap<string, number>;
  /** What was read into them before is gone then. */
  readonly arrays?: BatchArrays;
}

/**
 * One service after the other, in the order of their names. undefined where it cannot be told in this way: no rollups of that width, or
 * who the rows are of cannot be told.
 */
export async function readSeriesByRows(
  store: Store,
  query: RowsQuery,
  { told, ends, arrays = new BatchArrays() }: Shared = {},
): Promise<Iterable<Series[]> | undefined> {
  const rows = rowsOf(store, query);
  if (rows === undefined) return undefined;
  const selected = selectedOf(query, rows.source, told ?? (await readTold(rows, query)));
  const found = await readOwned(rows, query, selected, arrays);
  return found === undefined ? undefined : seriesOf(found, [...selected.keys()], query, ends ?? (await readEnds(store, query)), arrays);
}

/** By the shortest key that tells lifetimes apart. */
async function readOwned(rows: Rows, query: RowsQuery, selected: Selected, arrays: BatchArrays): Promise<Owned | undefined> {
  for (const key of rows.source.namesComeFirst ? [LIFETIME_KEY, KEY] : [KEY]) {
    await readNumbers(rows, key, selected, arrays.numbers);
    const runs = runsOf(arrays.numbers.numbers('key'), arrays.numbers.numbers('time'));
    const identities = await readIdentities(rows, query, key, runs);
    if (identities !== undefined) return { runs, identities };
  }
  return undefined;
}

/** As `readSeriesByRows` wants it. To ask a fleet once is a tenth of a read less than to ask each batch. */
export async function readToldColumns(store: Store, query: RowsQuery): Promise<ToldColumns | undefined> {
  const rows = rowsOf(store, query);
  return rows === undefined ? undefined : readTold(rows, query);
}

const startOf = ({ from, blockMs }: RowsQuery) => Math.floor(from / blockMs) * blockMs;

function rowsOf(store: Store, query: RowsQuery): Rows | undefined {
  const found = sourceOf(query.blockMs);
  if (found.stepMs !== query.blockMs) return undefined;
  const from = startOf(query);
  return {
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
    signal: query.signal,
  };
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

/** To count reads only which values are there, not the values. */
async function readTold({ store, source, where, params, signal }: Rows, { columns = BLOCK_COLUMNS }: RowsQuery): Promise<ToldColumns> {
  const names = [...new Set(columns.filter(mayBeAbsent).flatMap((column) => storedColumnsOf(column, source)))];
  const [counts = {}] = await store.query<Record<string, number>>(
    `SELECT ${['count() AS rows', ...names.map((name) => `count(${name}) AS ${name}_count`)].join(', ')} FROM ${source.table} WHERE ${where}`,
    params,
    { signal },
  );
  return new Set(names.filter((name) => (counts[`${name}_count`] ?? 0) > 0));
}

/** What is to be selected of each column that is told. */
type Selected = ReadonlyMap<BlockColumn, string>;

function selectedOf({ columns = BLOCK_COLUMNS }: RowsQuery, source: Source, told: ToldColumns): Selected {
  const toldSource = over(source, (name) => (told.has(name) ? name : 'NULL'));
  const selected = new Map<BlockColumn, string>();
  for (const column of columns.filter(mayBeAbsent))
    if (storedColumnsOf(column, source).some((name) => told.has(name)))
      selected.set(column, `toFloat64(${aggregateOf(column, toldSource)})`);
  if (columns.includes('sampleCount')) selected.set('sampleCount', source.samples);
  if (columns.includes('timeLast')) selected.set('timeLast', `toFloat64(toUnixTimestamp64Milli(${source.lastTime}))`);
  return selected;
}

/** Where the engine left its order, rows of a lifetime are apart; one thread keeps it for the most part. */
async function readNumbers(
  { store, source, where, params, signal }: Rows,
  key: Key,
  selected: Selected,
  into: NumberColumns,
): Promise<void> {
  into.clear();
  await store.queryBlocks(
    `SELECT ${key.ofRow} AS key, ${source.time} AS time ${[...selected].map(([column, value]) => `, ${value} AS ${column}`).join('')}
    FROM ${source.table} FINAL WHERE ${where} SETTINGS max_threads = 1, max_block_size = 32768, preferred_block_size_bytes = 100000000`,
    (piece) => into.add(piece),
    params,
    { signal },
  );
}

/** First row and row after the last of rows one after the other, of one lifetime and of later and later moments. */
type Stretch = readonly [from: number, to: number];

/** By lifetime. */
type Runs = ReadonlyMap<number, readonly Stretch[]>;

function runsOf(keys: Float64Array, time: Float64Array): Runs {
  const runs = new Map<number, [number, number][]>();
  for (let from = 0; from < keys.length;) {
    const key = keys[from]!;
    let to = from + 1;
    while (to < keys.length && keys[to] === key && time[to]! > time[to - 1]!) to += 1;
    const known = runs.get(key);
    if (known === undefined) runs.set(key, [[from, to]]);
    else known.push([from, to]);
    from = to;
  }
  return runs;
}

/**
 * From the table of lifetimes; of those that it does not know yet, as it is written after minutes are, from the rollups. undefined where
 * the key does not tell them apart.
 */
async function readIdentities(
  { store, source, where, params, signal }: Rows,
  { names }: RowsQuery,
  key: Key,
  runs: Runs,
): Promise<ReadonlyMap<number, SeriesIdentity> | undefined> {
  const identities = new Map<number, SeriesIdentity>();
  const readFrom = async (table: string, startedAt: string, rows: string, more: SqlParams = {}) => {
    const bytes = await store.queryBytes(
      `SELECT
        CAST(service AS String) AS serviceName, CAST(max(environment) AS String) AS environmentName, CAST(max(version) AS String) AS versionName, instance,
        lifetime, CAST(max(runtime) AS String) AS runtimeName, toFloat64(toUnixTimestamp64Milli(min(${startedAt}))) AS startedAt, toFloat64(${key.ofLifetime}) AS key
      FROM ${table} WHERE ${rows} GROUP BY service, instance, lifetime SETTINGS optimize_aggregation_in_order = 1`,
      'Native',
      { ...params, ...more },
      { signal },
    );
    return addIdentities(decodeNative(bytes), identities);
  };
  const inRange = `last_seen >= toDateTime({fromSeconds:UInt32}, 'UTC') ${names === undefined ? '' : `AND ${inNames(names)}`}`;
  if (!(await readFrom('lifetimes', 'started_at', inRange))) return undefined;
  const unknown = [...runs.keys()].filter((one) => !identities.has(one));
  if (unknown.length === 0) return identities;
  if (key !== KEY) return undefined;
  const isUnknown = `${NAMES} IN {unknown:Array(Float64)}`;
  const areAlone = await readFrom(source.table, 'process_started_at', `${where} AND ${isUnknown}`, { unknown });
  return areAlone && unknown.every((one) => identities.has(one)) ? identities : undefined;
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

/** Whose the rows are. */
interface Owned {
  readonly runs: Runs;
  readonly identities: ReadonlyMap<number, SeriesIdentity>;
}

type Columns = Record<BlockColumn, Float64Array>;

/**
 * `ends`: of lifetimes that were seen to end. A service is put together when it is asked for, so that of those before nothing is left
 * that the collector would have to move.
 */
function* seriesOf(
  { runs, identities }: Owned,
  told: readonly BlockColumn[],
  { blockMs }: RowsQuery,
  ends: ReadonlyMap<string, number>,
  arrays: BatchArrays,
): Generator<Series[]> {
  const time = arrays.numbers.numbers('time');
  const columns = told.map((name) => ({ name, values: arrays.numbers.numbers(name) }));
  // One set of unknowns serves all lifetimes of a length.
  let nothing = nothingOf(arrays.unknown(0));
  let service: Series[] = [];
  for (const [key, identity] of [...identities].sort(([, a], [, b]) => byKey(a, b))) {
    const stretches = runs.get(key);
    if (stretches === undefined) continue;
    if (service.length > 0 && service[0]!.service !== identity.service) {
      yield service;
      service = [];
    }
    const lifeTime = joined(time, stretches);
    if (nothing.rssMin.length !== lifeTime.length) nothing = nothingOf(arrays.unknown(lifeTime.length));
    const order = stretches.length === 1 ? undefined : inOrder(lifeTime);
    const own: Columns = { ...nothing };
    for (const { name, values } of columns) own[name] = permuted(joined(values, stretches), order);
    const endedAt = ends.get(identity.lifetime);
    service.push({
      ...identity,
      ...(endedAt === undefined ? {} : { endedAt }),
      blockMs,
      time: permuted(lifeTime, order),
      columns: own,
    });
  }
  if (service.length > 0) yield service;
}

function nothingOf(unknown: Float64Array): Columns {
  return Object.fromEntries(BLOCK_COLUMNS.map((name) => [name, unknown])) as Columns;
}

/** A view where the rows of a lifetime came one after the other. */
function joined(values: Float64Array, stretches: readonly Stretch[]) {
  if (stretches.length === 1) return values.subarray(...stretches[0]!);
  const all = new Float64Array(stretches.reduce((sum, [begin, end]) => sum + end - begin, 0));
  let filled = 0;
  for (const [begin, end] of stretches) {
    all.set(values.subarray(begin, end), filled);
    filled += end - begin;
  }
  return all;
}
