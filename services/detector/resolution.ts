/**
 * One lifetime at one block width: the last 64 closed blocks and what must be remembered of older ones.
 * Constant memory whatever the age; a wider block is a deeper floor. Columns that were never told share one of unknowns.
 */
import { RunningMaximum } from './running-maximum.ts';

const KEPT = 64;
const UNKNOWN: readonly number[] = Array.from({ length: 2 * KEPT }, () => Number.NaN);
const RISE_BLOCKS = 40;

/** What one base block says; NaN = unknown. */
export interface Reading {
  /** Start of the base block or time of the sample, ms UTC. */
  readonly time: number;
  readonly memory: number;
  readonly heapUsed: number;
  readonly heapLive: number;
  /** Most the heap ever needed: committed where known, else the highest use so far. */
  readonly heapHigh: number;
  /** Requests per second. */
  readonly load: number;
}

export class Resolution {
  readonly widthMs: number;
  /** Closed blocks, oldest first; `time` is the middle of a block. The other columns may be longer where they are unknown. */
  readonly time: number[] = [];
  readonly floor: number[] = [];
  heapUsed = UNKNOWN;
  heapLive = UNKNOWN;
  heapHigh = UNKNOWN;
  load = UNKNOWN;
  /** Middle of the first block ever closed; NaN before. */
  firstTime = Number.NaN;
  /** Its floor: the median of the first three. */
  firstFloor = Number.NaN;
  closed = 0;

  /** Highest level ever held (median of three floors); -Infinity before the third. */
  readonly #held = new RunningMaximum(Number.NEGATIVE_INFINITY);
  /** Largest rise that was followed by as large a fall within `RISE_BLOCKS` blocks, bytes. */
  readonly #excursion = new RunningMaximum(0);
  /** Largest rise, whether or not it came back. */
  readonly #rise = new RunningMaximum(0);
  /** Lowest and highest floor of the `RISE_BLOCKS` blocks before the last, and the numbers of these two. */
  #lowest = Number.POSITIVE_INFINITY;
  #highest = Number.NEGATIVE_INFINITY;
  #lowestAt = 0;
  #highestAt = 0;

  #open = Number.NaN;
  #openEnd = Number.NaN;
  #floor = Number.NaN;
  #heapUsed = Number.NaN;
  #heapLive = Number.NaN;
  #heapHigh = Number.NaN;
  #loadSum = 0;
  #loadCount = 0;

  constructor(widthMs: number) {
    this.widthMs = widthMs;
  }

  /** The three as of a kept block, given by its place in the columns; by default as of the last one. */
  held(index = this.time.length - 1): number {
    return this.#held.at(this.closed - this.time.length + index);
  }

  excursion(index = this.time.length - 1): number {
    return this.#excursion.at(this.closed - this.time.length + index);
  }

  rise(index = this.time.length - 1): number {
    return this.#rise.at(this.closed - this.time.length + index);
  }

  /** Adds a reading; readings before the open block are late and ignored. Returns whether a block was closed by it. */
  add(reading: Reading): boolean {
    const { time } = reading;
    let closed = false;
    if (!(time < this.#openEnd && time >= this.#openEnd - this.widthMs)) {
      const block = Math.floor(time / this.widthMs);
      if (block < this.#open) return false;
      closed = this.#close();
      this.#open = block;
      this.#openEnd = (block + 1) * this.widthMs;
    }
    const { memory, heapUsed, heapLive, heapHigh, load } = reading;
    this.#floor = lower(this.#floor, memory);
    this.#heapUsed = lower(this.#heapUsed, heapUsed);
    if (!Number.isNaN(heapLive)) this.#heapLive = heapLive;
    if (!Number.isNaN(heapHigh)) this.#heapHigh = heapHigh;
    if (!Number.isNaN(load)) {
      this.#loadSum += load;
      this.#loadCount += 1;
    }
    return closed;
  }

  /** Closes the open block once its end has passed. */
  advance(at: number): boolean {
    return this.#openEnd <= at && this.#close();
  }

  #close(): boolean {
    const had = !Number.isNaN(this.#floor);
    if (had) {
      const middle = (this.#open + 0.5) * this.widthMs;
      const before = this.time.length;
      if (before > 0 && (this.time[before - 1] as number) >= middle) return this.#reset(false);
      this.time.push(middle);
      this.floor.push(this.#floor);
      this.heapUsed = appended(this.heapUsed, before, this.#heapUsed);
      this.heapLive = appended(this.heapLive, before, this.#heapLive);
      this.heapHigh = appended(this.heapHigh, before, this.#heapHigh);
      this.load = appended(this.load, before, this.#loadCount > 0 ? this.#loadSum / this.#loadCount : Number.NaN);
      if (this.closed === 0) this.firstTime = middle;
      this.closed += 1;
      this.#hold();
      // Trimmed by halves, so that the cost of shifting is spread over many blocks.
      if (this.time.length >= KEPT * 2) this.#forget(KEPT);
    }
    return this.#reset(had);
  }

  #reset(closed: boolean): boolean {
    this.#floor = Number.NaN;
    this.#heapUsed = Number.NaN;
    this.#heapLive = Number.NaN;
    this.#heapHigh = Number.NaN;
    this.#loadSum = 0;
    this.#loadCount = 0;
    return closed;
  }

  #hold(): void {
    const { floor } = this;
    const last = floor.length - 1;
    if (last > 0) this.#slide(last);
    if (last < 2) return;
    const block = this.closed - 1;
    if (block === 2) this.firstFloor = middleOf(floor[0] as number, floor[1] as number, floor[2] as number);
    const level = middleOf(floor[last - 2] as number, floor[last - 1] as number, floor[last] as number);
    this.#held.raise(block, level);
    this.#rise.raise(block, level - this.#lowest);
    // Neither rise nor fall can be larger than from the lowest or to the level.
    if (this.#highest - Math.max(this.#lowest, level) > this.#excursion.latest)
      this.#excursion.raise(block, this.#largestReturn(last, level));
  }

  /** Takes the last block but one in among those before the last, and leaves out what has become too old. */
  #slide(last: number): void {
    const { floor } = this;
    const block = this.closed - 2;
    const value = floor[last - 1] as number;
    if (value <= this.#lowest) [this.#lowest, this.#lowestAt] = [value, block];
    if (value >= this.#highest) [this.#highest, this.#highestAt] = [value, block];
    const oldest = block + 1 - RISE_BLOCKS;
    if (this.#lowestAt >= oldest && this.#highestAt >= oldest) return;
    this.#lowest = Number.POSITIVE_INFINITY;
    this.#highest = Number.NEGATIVE_INFINITY;
    for (let index = Math.max(0, last - RISE_BLOCKS); index < last; index += 1) {
      const one = floor[index] as number;
      const number = block - (last - 1 - index);
      if (one <= this.#lowest) [this.#lowest, this.#lowestAt] = [one, number];
      if (one >= this.#highest) [this.#highest, this.#highestAt] = [one, number];
    }
  }

  #largestReturn(last: number, level: number): number {
    const { floor } = this;
    let lowest = Number.POSITIVE_INFINITY;
    let largest = 0;
    for (let index = Math.max(0, last - RISE_BLOCKS); index < last; index += 1) {
      const peak = floor[index] as number;
      largest = Math.max(largest, Math.min(peak - lowest, peak - level));
      if (peak < lowest) lowest = peak;
    }
    return largest;
  }

  #forget(count: number): void {
    for (const column of [this.time, this.floor]) column.splice(0, count);
    for (const column of [this.heapUsed, this.heapLive, this.heapHigh, this.load])
      if (column !== UNKNOWN) (column as number[]).splice(0, count);
    const oldest = this.closed - this.time.length;
    for (const maximum of [this.#held, this.#excursion, this.#rise]) maximum.forgetBefore(oldest);
  }
}

/** The column with one value more; it becomes one of its own when something is known for the first time. */
function appended(column: readonly number[], length: number, value: number): readonly number[] {
  if (column !== UNKNOWN) (column as number[]).push(value);
  else if (!Number.isNaN(value)) return [...UNKNOWN.slice(0, length), value];
  return column;
}

function lower(a: number, b: number): number {
  return a < b || Number.isNaN(b) ? a : b;
}

/** Median of three: a level that was held, not a spike. */
export function middleOf(a: number, b: number, c: number): number {
  return a > b ? (b > c ? b : Math.min(a, c)) : a > c ? a : Math.min(b, c);
}
