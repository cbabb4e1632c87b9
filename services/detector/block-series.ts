/** Gathers the samples of one lifetime into base blocks as the store's rollups do, so that history from a file is judged as live data is. */
import { BLOCK_COLUMNS, type BlockColumn, type Series, type SeriesIdentity } from '../../shared/series.ts';
import type { HistoryRow } from './history-row.ts';

const INITIAL_BLOCKS = 64;
const FORGOTTEN_AT_ONCE = 48;

type Columns = Record<BlockColumn, Float64Array>;

/** What a history file can fill; all else stays unknown. */
const FILLED: readonly BlockColumn[] = [
  'rssMin',
  'anonMin',
  'workingSetMin',
  'swapMin',
  'heapUsedMin',
  'heapLiveLast',
  'heapCommittedLast',
  'memoryLimitLast',
  'heapLimitLast',
  'requestsLast',
  'requestRateMean',
];

export class BlockSeries {
  readonly #identity: SeriesIdentity;
  readonly #blockMs: number;
  #time = new Float64Array(INITIAL_BLOCKS).fill(Number.POSITIVE_INFINITY);
  #columns: Columns;
  #length = 0;
  #rates = 0;
  /** Time of the last sample; earlier ones are late. */
  lastTime = Number.NEGATIVE_INFINITY;
  /** The blocks so far, the last one open. It changes with them; behind the last block `time` is +Infinity. */
  series: Series;

  constructor(identity: SeriesIdentity, blockMs: number) {
    this.#identity = identity;
    this.#blockMs = blockMs;
    const unknown = new Float64Array(INITIAL_BLOCKS).fill(Number.NaN);
    this.#columns = Object.fromEntries(BLOCK_COLUMNS.map((name) => [name, FILLED.includes(name) ? unknown.slice() : unknown])) as Columns;
    this.series = this.#view();
  }

  add(row: HistoryRow): void {
    if (row.time <= this.lastTime) return;
    this.lastTime = row.time;
    const start = Math.floor(row.time / this.#blockMs) * this.#blockMs;
    if (this.#length === 0 || (this.#time[this.#length - 1] as number) < start) this.#open(start);
    const at = this.#length - 1;
    const columns = this.#columns;
    least(columns.rssMin, at, row.rss);
    least(columns.anonMin, at, row.anon);
    least(columns.workingSetMin, at, row.working_set);
    least(columns.swapMin, at, row.swap);
    least(columns.heapUsedMin, at, row.heap_used);
    latest(columns.heapLiveLast, at, row.heap_live);
    latest(columns.heapCommittedLast, at, row.heap_committed);
    latest(columns.memoryLimitLast, at, row.limit);
    latest(columns.heapLimitLast, at, row.heap_limit);
    latest(columns.requestsLast, at, row.requests);
    this.#mean(columns.requestRateMean, at, row.requests_per_second);
  }

  /** Forgets blocks that begin before a moment, once there are enough of them to be worth the shifting. */
  dropBefore(time: number): void {
    let count = 0;
    while (count < this.#length && (this.#time[count] as number) < time) count += 1;
    if (count < FORGOTTEN_AT_ONCE) return;
    const rest = this.#length - count;
    this.#time.copyWithin(0, count, this.#length);
    this.#time.fill(Number.POSITIVE_INFINITY, rest, this.#length);
    for (const name of FILLED) {
      this.#columns[name].copyWithin(0, count, this.#length);
      this.#columns[name].fill(Number.NaN, rest, this.#length);
    }
    this.#length = rest;
  }

  #open(start: number): void {
    if (this.#length === this.#time.length) this.#grow();
    this.#time[this.#length] = start;
    this.#length += 1;
    this.#rates = 0;
  }

  #mean(column: Float64Array, at: number, value: number): void {
    if (Number.isNaN(value)) return;
    this.#rates += 1;
    const before = this.#rates === 1 ? 0 : (column[at] as number);
    column[at] = before + (value - before) / this.#rates;
  }

  #grow(): void {
    const capacity = 2 * this.#time.length;
    const grown = (from: Float64Array, empty: number) => {
      const to = new Float64Array(capacity).fill(empty);
      to.set(from);
      return to;
    };
    this.#time = grown(this.#time, Number.POSITIVE_INFINITY);
    const unknown = new Float64Array(capacity).fill(Number.NaN);
    this.#columns = Object.fromEntries(
      BLOCK_COLUMNS.map((name) => [name, FILLED.includes(name) ? grown(this.#columns[name], Number.NaN) : unknown]),
    ) as Columns;
    this.series = this.#view();
  }

  #view(): Series {
    return { ...this.#identity, blockMs: this.#blockMs, time: this.#time, columns: this.#columns };
  }
}

function least(column: Float64Array, at: number, value: number): void {
  if (!(value >= (column[at] as number)) && !Number.isNaN(value)) column[at] = value;
}

function latest(column: Float64Array, at: number, value: number): void {
  if (!Number.isNaN(value)) column[at] = value;
}
