/** One row of a history: the columns it may have, and how a cell of text becomes a value. */

type TextColumn = 'service' | 'environment' | 'version' | 'instance' | 'runtime';
export type NumberColumn =
  | 'rss'
  | 'anon'
  | 'working_set'
  | 'swap'
  | 'heap_used'
  | 'heap_live'
  | 'heap_committed'
  | 'heap_limit'
  | 'limit'
  | 'requests'
  | 'requests_per_second';
export type RowColumn = TextColumn | NumberColumn | 'time';

/** Columns of numbers in the order the sorter stores them. */
export const NUMBER_COLUMNS: readonly NumberColumn[] = [
  'rss',
  'anon',
  'working_set',
  'swap',
  'heap_used',
  'heap_live',
  'heap_committed',
  'heap_limit',
  'limit',
  'requests',
  'requests_per_second',
];
export const TEXT_COLUMNS: readonly TextColumn[] = ['service', 'environment', 'version', 'instance', 'runtime'];
const TEXT = new Set<RowColumn>(TEXT_COLUMNS);
/** One of these must be there: without memory nothing can be judged. */
export const MEMORY_COLUMNS: readonly NumberColumn[] = ['anon', 'rss', 'working_set', 'heap_live', 'heap_used'];

const ALIASES: Readonly<Record<string, RowColumn>> = { memory_limit: 'limit', timestamp: 'time', cgroup_anon: 'anon' };
const BY_NAME = new Map<string, RowColumn>([
  ...(['time', ...TEXT_COLUMNS, ...NUMBER_COLUMNS] as const).map((name) => [name, name] as const),
  ...Object.entries(ALIASES),
]);

/** Names of columns in files → ours, beside the names that need no telling. Lower case. */
export type ColumnMap = ReadonlyMap<string, RowColumn>;

export function rowColumnOf(name: string, map?: ColumnMap): RowColumn | undefined {
  const clean = name.trim().toLowerCase();
  const mapped = map?.get(clean);
  if (mapped !== undefined) return mapped;
  const own = BY_NAME.get(clean);
  // Where somebody says which column is the memory, another one of that name is not.
  return own !== undefined && [...(map?.values() ?? [])].includes(own) ? undefined : own;
}

/** Reused for every row: copy what must live longer. */
export class HistoryRow {
  /** ms UTC; NaN while unreadable. */
  time = Number.NaN;
  service = '';
  environment = '';
  version = '';
  instance = '';
  runtime = '';
  rss = Number.NaN;
  anon = Number.NaN;
  working_set = Number.NaN;
  swap = Number.NaN;
  heap_used = Number.NaN;
  heap_live = Number.NaN;
  heap_committed = Number.NaN;
  heap_limit = Number.NaN;
  limit = Number.NaN;
  requests = Number.NaN;
  requests_per_second = Number.NaN;

  reset(): void {
    this.service = this.environment = this.version = this.instance = this.runtime = '';
    this.time = Number.NaN;
    for (const column of NUMBER_COLUMNS) this[column] = Number.NaN;
  }
}

export const newRow = (): HistoryRow => new HistoryRow();

/** Columns are written through functions of their own: a property whose name changes from call to call is slow. */
export const SET_NUMBER: Readonly<Record<NumberColumn, (row: HistoryRow, value: number) => void>> = {
  rss: (row, value) => (row.rss = value),
  anon: (row, value) => (row.anon = value),
  working_set: (row, value) => (row.working_set = value),
  swap: (row, value) => (row.swap = value),
  heap_used: (row, value) => (row.heap_used = value),
  heap_live: (row, value) => (row.heap_live = value),
  heap_committed: (row, value) => (row.heap_committed = value),
  heap_limit: (row, value) => (row.heap_limit = value),
  limit: (row, value) => (row.limit = value >= UNLIMITED ? 0 : value),
  requests: (row, value) => (row.requests = value),
  requests_per_second: (row, value) => (row.requests_per_second = value),
};

export const SET_TEXT: Readonly<Record<TextColumn, (row: HistoryRow, value: string) => void>> = {
  service: (row, value) => (row.service = value),
  environment: (row, value) => (row.environment = value),
  version: (row, value) => (row.version = value),
  instance: (row, value) => (row.instance = value),
  runtime: (row, value) => (row.runtime = value.toLowerCase()),
};

export function isText(column: RowColumn): column is TextColumn {
  return TEXT.has(column);
}

/** A cgroup without a limit reports the largest number of pages there is. */
const UNLIMITED = 2 ** 60;
const EARLIEST = Date.UTC(1990, 0);
const LATEST = Date.UTC(2100, 0);

/** Why a time says nothing; undefined if it is fine. */
export function timeProblem(time: number): string | undefined {
  if (Number.isNaN(time)) return 'is neither epoch seconds, milliseconds nor ISO 8601';
  if (time < EARLIEST || time > LATEST) return 'lies before 1990 or after 2100';
  return undefined;
}

/** What exporters write where there is no value. */
const ABSENT = /^(nan|null|none|nil|n\/a|na|undefined|-|[+-]?inf(inity)?)?$/i;
const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;

/** NaN = absent; undefined = not a number at all. Negative or infinite bytes are no measurement. */
export function cellNumber(cell: string): number | undefined {
  const text = cell.trim();
  if (ABSENT.test(text)) return Number.NaN;
  if (!NUMBER.test(text)) return undefined;
  const value = Number(text);
  return value >= 0 && value < Number.POSITIVE_INFINITY ? value : Number.NaN;
}

/** Seconds, milliseconds, microseconds or nanoseconds are told apart by size: their ranges from 1990 to 2100 do not meet. */
export function epochTime(value: number): number {
  if (value < 1e11) return Math.round(value * 1000);
  if (value < 1e14) return Math.round(value);
  return Math.round(value < 1e17 ? value / 1e3 : value / 1e6);
}

const ISO = /^(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?\s*(Z|UTC|[+-]\d\d(?::?\d\d)?)?)?$/i;

/** NaN = unreadable. Dates of other orders are not guessed at: 03/04 is two days. A time without a zone is UTC. */
export function cellTime(cell: string): number {
  const text = cell.trim();
  if (NUMBER.test(text)) return epochTime(Number(text));
  const match = ISO.exec(text);
  if (match === null) return Number.NaN;
  const [, year, month, day, hour = '0', minute = '0', second = '0', fraction = '', zone = 'Z'] = match;
  const at = Date.UTC(Number(year), Number(month) - 1, Number(day), Number(hour), Number(minute), Number(second));
  const date = new Date(at);
  // 31 February or 25 o'clock would be taken for another moment.
  const isReal =
    date.getUTCMonth() + 1 === Number(month) &&
    date.getUTCDate() === Number(day) &&
    Number(hour) < 24 &&
    Number(minute) < 60 &&
    Number(second) < 60;
  return isReal ? at + Math.floor(Number(fraction.padEnd(3, '0').slice(0, 3))) - zoneMs(zone) : Number.NaN;
}

function zoneMs(zone: string): number {
  const match = /^([+-])(\d\d):?(\d\d)?$/.exec(zone);
  if (match === null) return 0;
  const minutes = Number(match[2]) * 60 + Number(match[3] ?? '0');
  return (match[1] === '-' ? -1 : 1) * minutes * 60_000;
}
