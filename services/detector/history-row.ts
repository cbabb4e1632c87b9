/** One row of a history file: the columns it may have, and how a cell of text becomes a value. */

/** Columns read, by their names in files. */
const COLUMNS = [
  'time',
  'service',
  'environment',
  'version',
  'instance',
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
] as const;

export type RowColumn = (typeof COLUMNS)[number];

const ALIASES: Readonly<Record<string, RowColumn>> = { memory_limit: 'limit', timestamp: 'time', cgroup_anon: 'anon' };
const BY_NAME = new Map<string, RowColumn>([...COLUMNS.map((name) => [name, name] as const), ...Object.entries(ALIASES)]);

export function rowColumnOf(name: string): RowColumn | undefined {
  return BY_NAME.get(name.trim().toLowerCase());
}

const TEXT = new Set<RowColumn>(['service', 'environment', 'version', 'instance']);
const NUMBERS = COLUMNS.filter((column) => column !== 'time' && !TEXT.has(column)) as NumberColumn[];

type TextColumn = 'service' | 'environment' | 'version' | 'instance';
type NumberColumn = Exclude<RowColumn, TextColumn | 'time'>;

export interface HistoryRow extends Record<TextColumn, string>, Record<NumberColumn, number> {
  /** ms UTC; NaN while unreadable. */
  time: number;
  reset(): void;
  /** Why the row says nothing; undefined if it is fine. */
  problem(): string | undefined;
}

export function newRow(): HistoryRow {
  const row = {
    service: '',
    environment: '',
    version: '',
    instance: '',
    time: Number.NaN,
    ...(Object.fromEntries(NUMBERS.map((column) => [column, Number.NaN])) as Record<NumberColumn, number>),
    reset() {
      row.service = row.environment = row.version = row.instance = '';
      row.time = Number.NaN;
      for (const column of NUMBERS) row[column] = Number.NaN;
    },
    problem() {
      if (Number.isNaN(row.time)) return 'column "time" is neither epoch seconds, milliseconds nor ISO 8601';
      if (row.time < EARLIEST || row.time > LATEST) return 'column "time" lies before 1990 or after 2100';
      return undefined;
    },
  };
  return row;
}

const EARLIEST = Date.UTC(1990, 0);
const LATEST = Date.UTC(2100, 0);

export function setCell(row: HistoryRow, column: RowColumn, cell: string): void {
  if (cell === '') return;
  if (column === 'time') row.time = cellTime(cell);
  else if (isText(column)) row[column] = cell;
  else {
    const value = Number(cell);
    // Negative or infinite bytes are no measurement; absent is absent.
    row[column] = value >= 0 && value < Number.POSITIVE_INFINITY ? value : Number.NaN;
  }
}

function isText(column: RowColumn): column is TextColumn {
  return TEXT.has(column);
}

/** Seconds, milliseconds, microseconds or nanoseconds are told apart by size: their ranges from 1990 to 2100 do not meet. */
export function cellTime(cell: string): number {
  const value = Number(cell);
  if (!Number.isNaN(value)) {
    if (value < 1e11) return Math.round(value * 1000);
    if (value < 1e14) return value;
    return Math.round(value < 1e17 ? value / 1e3 : value / 1e6);
  }
  const text = cell.trim().replace(' ', 'T');
  // A time without a zone is UTC, whatever the zone of the machine that reads it.
  return Date.parse(/(Z|[+-]\d\d:?\d\d)$/i.test(text) || !text.includes('T') ? text : `${text}Z`);
}
