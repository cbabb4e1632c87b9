/**
 * One lifetime at one block width: the last 64 closed blocks and what must be remembered of older ones.
 * Constant memory whatever the age; a wider block is a deeper floor. Columns that were never told share one of unknowns.
 */
import { RunningMaximum } from './running-maximum.ts';

const KEPT = 64;
const UNKNOWN: readonly number[] = Array.from({ length: 2 * KEPT }, () => Number.NaN);
const RISE_BLOCKS = 40;

/** What one base block says, or the closed block of a finer resolution; NaN = unknown. Written over by the next one. */
export interface Reading {
  /** Start of the block or time of the sample, ms UTC. */
  time: number;
  memory: number;
  heapUsed: number;
  heapLive: number;
  /** Most the heap ever needed: committed where known, else the highest use so far. */
  heapHigh: number;
  /** Sum of the requests per second told, and how many of them there are. */
  loadSum: number;
  loadCount: number;
}

export const newReading = (): Reading => ({
  time: Number.NaN,
  memory: Number.NaN,
  heapUsed: Number.NaN,
  heapLive: Number.NaN,
  heapHigh: Number.NaN,
  loadSum: 0,
  loadCount: 0,
});

function copyReading(from: Reading, to: Reading): void {
  to.time = from.time;
  to.memory = from.memory;
  to.heapUsed = from.heapUsed;
  to.heapLive = from.heapLive;
  to.heapHigh = from.heapHigh;
  to.loadSum = from.loadSum;
  to.loadCount = from.loadCount;
}

/** Did a block close, so that `closedReading` is there to be handed on, and is it one of the kept? */
export const Handed = { nothing: 0, on: 1, onAndKept: 2 } as const;
export type Handed = (typeof Handed)[keyof typeof Handed];

export class Resolution {
  readonly widthMs: number;
  /** Closed blocks, oldest first; `time` is the middle of a block. The other columns may be longer where they are unknown. */
  time: number[] = [];
  floor: number[] = [];
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

  /** What the block that closed last says, for wider ones. */
  readonly closedReading: Reading;
  /** What the open block says so far. */
  readonly #soFar = newReading();
  #isEmpty = true;
  /** Number and end of the open block; of the last one where none is. */
  #open = Number.NaN;
  #openEnd = Number.NaN;

  /** Others may write over the same `closedReading`, if it is handed on at once. */
  constructor(widthMs: number, closedReading = newReading()) {
    this.widthMs = widthMs;
    this.closedReading = closedReading;
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

  /** Begins with what a wider one of the same knew at one of its blocks. */
  inherit(wider: Resolution, index: number): void {
    this.#held.raise(0, wider.held(index));
    this.#excursion.raise(0, wider.excursion(index));
    this.#rise.raise(0, wider.rise(index));
  }

  /** Adds a reading; readings before the open block are late and ignored. */
  add(reading: Reading): Handed {
    const { time } = reading;
    let handed: Handed = Handed.nothing;
    if (!(time < this.#openEnd && time >= this.#openEnd - this.widthMs)) {
      const block = Math.floor(time / this.widthMs);
      if (block < this.#open) return Handed.nothing;
      handed = this.#close();
      this.#open = block;
      this.#openEnd = (block + 1) * this.widthMs;
    }
    const soFar = this.#soFar;
    if (this.#isEmpty) soFar.time = this.#open * this.widthMs;
    const { memory, heapUsed, heapLive, heapHigh } = reading;
    soFar.memory = lower(soFar.memory, memory);
    soFar.heapUsed = lower(soFar.heapUsed, heapUsed);
    if (!Number.isNaN(heapLive)) soFar.heapLive = heapLive;
    if (!Number.isNaN(heapHigh)) soFar.heapHigh = heapHigh;
    soFar.loadSum += reading.loadSum;
    soFar.loadCount += reading.loadCount;
    this.#isEmpty = false;
    return handed;
  }

  /** Closes the open block once its end has passed. */
  advance(at: number): Handed {
    return this.#openEnd <= at ? this.#close() : Handed.nothing;
  }

  /** Has the open block begun before a moment that it does not end by? */
  isUnderWay(at: number): boolean {
    return !this.#isEmpty && at < this.#openEnd && at > this.#openEnd - this.widthMs;
  }

  /** Keeps what it would keep had it been given what a wider one was, where each reading made a block of its own at both. */
  copyFrom(wider: Resolution): void {
    const earlier = (wider.widthMs - this.widthMs) / 2;
    this.time = wider.time.map((middle) => middle - earlier);
    this.floor = [...wider.floor];
    this.heapUsed = copied(wider.heapUsed);
    this.heapLive = copied(wider.heapLive);
    this.heapHigh = copied(wider.heapHigh);
    this.load = copied(wider.load);
    this.firstTime = wider.firstTime - earlier;
    this.firstFloor = wider.firstFloor;
    this.closed = wider.closed;
    this.#held.copyFrom(wider.#held);
    this.#excursion.copyFrom(wider.#excursion);
    this.#rise.copyFrom(wider.#rise);
    this.#lowest = wider.#lowest;
    this.#highest = wider.#highest;
    this.#lowestAt = wider.#lowestAt;
    this.#highestAt = wider.#highestAt;
    const begin = wider.#openEnd - wider.widthMs;
    this.#open = begin / this.widthMs;
    this.#openEnd = begin + this.widthMs;
  }

  /** Hands on what the open block says so far and forgets it; false where it says nothing. */
  handOnOpen(): boolean {
    if (this.#isEmpty) return false;
    this.#handOn();
    return true;
  }

  #close(): Handed {
    if (this.#isEmpty) return Handed.nothing;
    const isKept = this.#keep();
    this.#handOn();
    return isKept ? Handed.onAndKept : Handed.on;
  }

  #keep(): boolean {
    const { memory, heapUsed, heapLive, heapHigh, loadSum, loadCount } = this.#soFar;
    if (Number.isNaN(memory)) return false;
    const middle = (this.#open + 0.5) * this.widthMs;
    const before = this.time.length;
    if (before > 0 && (this.time[before - 1] as number) >= middle) return false;
    this.time.push(middle);
    this.floor.push(memory);
    this.heapUsed = appended(this.heapUsed, before, heapUsed);
    this.heapLive = appended(this.heapLive, before, heapLive);
    this.heapHigh = appended(this.heapHigh, before, heapHigh);
    this.load = appended(this.load, before, loadCount > 0 ? loadSum / loadCount : Number.NaN);
    if (Number.isNaN(this.firstTime)) this.firstTime = middle;
    this.closed += 1;
    this.#hold();
    // Trimmed by halves, so that the cost of shifting is spread over many blocks.
    if (this.time.length >= KEPT * 2) this.#forget(KEPT);
    return true;
  }

  #handOn(): void {
    const soFar = this.#soFar;
    copyReading(soFar, this.closedReading);
    soFar.memory = soFar.heapUsed = soFar.heapLive = soFar.heapHigh = Number.NaN;
    soFar.loadSum = soFar.loadCount = 0;
    this.#isEmpty = true;
  }

  #hold(): void {
    const { floor } = this;
    const last = floor.length - 1;
    if (last > 0) this.#slide(last);
    if (last < 2) return;
    const block = this.closed - 1;
    if (Number.isNaN(this.firstFloor)) this.firstFloor = middleOf(floor[0] as number, floor[1] as number, floor[2] as number);
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
    if (value <= this.#lowest) {
      this.#lowest = value;
      this.#lowestAt = block;
    }
    if (value >= this.#highest) {
      this.#highest = value;
      this.#highestAt = block;
    }
    const oldest = block + 1 - RISE_BLOCKS;
    if (this.#lowestAt < oldest || this.#highestAt < oldest) this.#slideAnew(last);
  }

  #slideAnew(last: number): void {
    const { floor } = this;
    const first = Math.max(0, last - RISE_BLOCKS);
    let lowest = first;
    let highest = first;
    for (let index = first + 1; index < last; index += 1) {
      const one = floor[index] as number;
      if (one <= (floor[lowest] as number)) lowest = index;
      if (one >= (floor[highest] as number)) highest = index;
    }
    const before = this.closed - 1 - last;
    this.#lowest = floor[lowest] as number;
    this.#highest = floor[highest] as number;
    this.#lowestAt = before + lowest;
    this.#highestAt = before + highest;
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
    for (const column of [this.time, this.floor, this.heapUsed, this.heapLive, this.heapHigh, this.load])
      if (column !== UNKNOWN) shift(column as number[], count);
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

/** Within the memory it has, which `splice` gives up. */
function shift(column: number[], count: number): void {
  for (let index = count; index < column.length; index += 1) column[index - count] = column[index] as number;
  column.length -= count;
}

const copied = (column: readonly number[]): readonly number[] => (column === UNKNOWN ? column : [...column]);

function lower(a: number, b: number): number {
  return a < b || Number.isNaN(b) ? a : b;
}

/** Median of three: a level that was held, not a spike. */
export function middleOf(a: number, b: number, c: number): number {
  return Math.max(Math.min(a, b), Math.min(Math.max(a, b), c));
}
