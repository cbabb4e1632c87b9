/**
 * One lifetime at one block width: the last 64 closed blocks and what must be remembered of older ones.
 * Constant memory whatever the age; a wider block is a deeper floor.
 */

const KEPT = 64;
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
  /** Closed blocks, oldest first; `time` is the middle of a block. */
  readonly time: number[] = [];
  readonly floor: number[] = [];
  readonly heapUsed: number[] = [];
  readonly heapLive: number[] = [];
  readonly heapHigh: number[] = [];
  readonly load: number[] = [];
  /** Highest level ever held (median of three floors) up to and with each kept block; -Infinity before the third. */
  readonly held: number[] = [];
  /** Largest rise that was followed by as large a fall within `RISE_BLOCKS` blocks, up to and with each kept block, bytes. */
  readonly excursion: number[] = [];
  /** Largest rise, whether or not it came back. */
  readonly rise: number[] = [];
  /** Middle of the first block ever closed; NaN before. */
  firstTime = Number.NaN;
  /** Its floor: the median of the first three. */
  firstFloor = Number.NaN;
  closed = 0;

  #open = Number.NaN;
  #floor = Number.NaN;
  #heapUsed = Number.NaN;
  #heapLive = Number.NaN;
  #heapHigh = Number.NaN;
  #loadSum = 0;
  #loadCount = 0;

  constructor(widthMs: number) {
    this.widthMs = widthMs;
  }

  /** Adds a reading; readings before the open block are late and ignored. Returns whether a block was closed by it. */
  add(reading: Reading): boolean {
    const block = Math.floor(reading.time / this.widthMs);
    let closed = false;
    if (block !== this.#open) {
      if (block < this.#open) return false;
      closed = this.#close();
      this.#open = block;
    }
    this.#floor = lower(this.#floor, reading.memory);
    this.#heapUsed = lower(this.#heapUsed, reading.heapUsed);
    if (!Number.isNaN(reading.heapLive)) this.#heapLive = reading.heapLive;
    if (!Number.isNaN(reading.heapHigh)) this.#heapHigh = reading.heapHigh;
    if (!Number.isNaN(reading.load)) {
      this.#loadSum += reading.load;
      this.#loadCount += 1;
    }
    return closed;
  }

  /** Closes the open block once its end has passed. */
  advance(at: number): boolean {
    if (Number.isNaN(this.#open) || (this.#open + 1) * this.widthMs > at) return false;
    return this.#close();
  }

  #close(): boolean {
    const had = !Number.isNaN(this.#floor);
    if (had) {
      const middle = (this.#open + 0.5) * this.widthMs;
      if (this.time.length > 0 && (this.time.at(-1) as number) >= middle) return this.#reset(false);
      this.time.push(middle);
      this.floor.push(this.#floor);
      this.heapUsed.push(this.#heapUsed);
      this.heapLive.push(this.#heapLive);
      this.heapHigh.push(this.#heapHigh);
      this.load.push(this.#loadCount > 0 ? this.#loadSum / this.#loadCount : Number.NaN);
      this.closed += 1;
      if (Number.isNaN(this.firstTime)) this.firstTime = middle;
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
    const { floor, held } = this;
    const last = floor.length - 1;
    const before = held.at(-1) ?? Number.NEGATIVE_INFINITY;
    const riseBefore = this.rise.at(-1) ?? 0;
    if (last < 2) {
      held.push(before);
      this.excursion.push(this.excursion.at(-1) ?? 0);
      this.rise.push(riseBefore);
      return;
    }
    if (this.closed === 3) this.firstFloor = middleOf(floor[0] as number, floor[1] as number, floor[2] as number);
    const level = middleOf(floor[last - 2] as number, floor[last - 1] as number, floor[last] as number);
    held.push(Math.max(before, level));
    let lowest = Number.POSITIVE_INFINITY;
    let excursion = this.excursion.at(-1) as number;
    for (let index = Math.max(0, last - RISE_BLOCKS); index < last; index += 1) {
      const peak = floor[index] as number;
      excursion = Math.max(excursion, Math.min(peak - lowest, peak - level));
      if (peak < lowest) lowest = peak;
    }
    this.excursion.push(excursion);
    this.rise.push(Math.max(riseBefore, level - lowest));
  }

  #forget(count: number): void {
    for (const column of [
      this.time,
      this.floor,
      this.heapUsed,
      this.heapLive,
      this.heapHigh,
      this.load,
      this.held,
      this.excursion,
      this.rise,
    ])
      column.splice(0, count);
  }
}

function lower(a: number, b: number): number {
  return a < b || Number.isNaN(b) ? a : b;
}

/** Median of three: a level that was held, not a spike. */
export function middleOf(a: number, b: number, c: number): number {
  return a > b ? (b > c ? b : Math.min(a, c)) : a > c ? a : Math.min(b, c);
}
