/**
 * One lifetime at all block widths. A reading goes to the finest; what closes there is handed on as one reading to the widths that it
 * divides, so that a lifetime of minutes costs three additions a minute rather than eleven. Lowest of lowest, last of last, sum of sums:
 * a wide block is as if it had been made of the readings themselves.
 *
 * Readings that are wide themselves, as hours are, make the same blocks at every width that divides theirs. They are kept once, in the
 * widest of these, until somebody asks for a finer one or readings become finer: to keep hours six times over was half of what a start cost.
 */
import { Handed, newReading, Resolution, type Reading } from './resolution.ts';

/** By level, for all lifetimes: what closes is handed on before anything else closes at that level. */
const closedReadings: Reading[] = [];

export class Cascade {
  readonly #widthsMs: readonly number[];
  readonly #levels: readonly Resolution[];
  #finest = 0;
  /** The level that speaks for those from the finest to itself; the finest, where each speaks for itself. */
  #speaker = 0;
  #ways: Ways;
  #readingMs = Number.NaN;
  #lastTime = Number.NEGATIVE_INFINITY;

  constructor(widthsMs: readonly number[]) {
    this.#widthsMs = widthsMs;
    this.#levels = widthsMs.map((width, index) => new Resolution(width, (closedReadings[index] ??= newReading())));
    this.#ways = waysOf(widthsMs, 0, 0);
  }

  /** Levels below this one are finer than the sampling and get nothing more. */
  get finest(): number {
    return this.#finest;
  }

  get levels(): readonly Resolution[] {
    this.#part();
    return this.#levels;
  }

  /** One of the levels. A wide one costs nothing, where finer ones are kept as one with others. */
  level(index: number): Resolution {
    if (index < this.#speaker) this.#part();
    return this.#levels[index] as Resolution;
  }

  /**
   * `widthMs`: of what the reading stands for; it begins at a multiple. Returns the levels that have a block more, a bit each. A wide
   * block may close at the next `advance` only.
   */
  add(reading: Reading, widthMs: number): number {
    if (widthMs !== this.#readingMs) this.#expect(widthMs);
    this.#lastTime = reading.time;
    let grown = 0;
    for (const index of this.#ways.first) grown |= this.#give(index, reading);
    return grown;
  }

  /** Closes the blocks that ended by a moment; by default those before the block of the last reading. */
  advance(at = this.#lastTime): number {
    // Some of the finer blocks are over then, and some are not.
    if (this.#speaker > this.#finest && (this.#levels[this.#speaker] as Resolution).isUnderWay(at)) this.#part();
    let grown = 0;
    for (let index = this.#speaker; index < this.#levels.length; index += 1) {
      const handed = (this.#levels[index] as Resolution).advance(at);
      if (handed !== Handed.nothing) grown |= this.#handOn(index, handed);
    }
    return grown;
  }

  /** Nothing more for the levels below; what they have not handed on they do now. */
  leaveOut(below: number): number {
    let grown = 0;
    if (this.#speaker > this.#finest && below <= this.#speaker) this.#copyTo(below);
    else {
      this.#part();
      for (let index = this.#finest; index < below; index += 1)
        if ((this.#levels[index] as Resolution).handOnOpen()) grown |= this.#handOn(index, Handed.on);
      this.#speaker = below;
    }
    this.#finest = below;
    this.#ways = waysOf(this.#widthsMs, this.#finest, this.#speaker);
    return grown;
  }

  #expect(widthMs: number): void {
    const isFirst = Number.isNaN(this.#readingMs);
    this.#readingMs = widthMs;
    if (!isFirst) {
      this.#part();
      return;
    }
    const wider = this.#widthsMs.findIndex((width) => widthMs % width !== 0);
    this.#speaker = Math.max(this.#finest, (wider < 0 ? this.#widthsMs.length : wider) - 1);
    this.#ways = waysOf(this.#widthsMs, this.#finest, this.#speaker);
  }

  /** From now on each level speaks for itself. */
  #part(): void {
    if (this.#speaker === this.#finest) return;
    const speaker = this.#levels[this.#speaker] as Resolution;
    this.#copyTo(this.#speaker);
    const until = this.#speaker;
    this.#speaker = this.#finest;
    this.#ways = waysOf(this.#widthsMs, this.#finest, this.#finest);
    if (!speaker.handOnOpen()) return;
    for (const index of this.#ways.first) if (index <= until) this.#give(index, speaker.closedReading);
  }

  /** Levels from the finest to that one. */
  #copyTo(end: number): void {
    for (let index = this.#finest; index < end; index += 1)
      (this.#levels[index] as Resolution).copyFrom(this.#levels[this.#speaker] as Resolution);
  }

  #give(index: number, reading: Reading): number {
    const handed = (this.#levels[index] as Resolution).add(reading);
    return handed === Handed.nothing ? 0 : this.#handOn(index, handed);
  }

  #handOn(index: number, handed: Handed): number {
    let grown = handed === Handed.onAndKept ? (this.#ways.bits[index] as number) : 0;
    const { closedReading } = this.#levels[index] as Resolution;
    for (const heir of this.#ways.heirs[index] as readonly number[]) grown |= this.#give(heir, closedReading);
    return grown;
  }
}

/** Who gives to whom. */
interface Ways {
  /** Levels that are given the readings themselves. */
  readonly first: readonly number[];
  /** To which levels each one hands on. */
  readonly heirs: readonly (readonly number[])[];
  /** For which levels each one speaks. */
  readonly bits: readonly number[];
}

const known = new WeakMap<readonly number[], Map<number, Ways>>();

/** Worked out once for all lifetimes of a policy. */
function waysOf(widthsMs: readonly number[], finest: number, speaker: number): Ways {
  const key = finest * widthsMs.length + speaker;
  let ofWidths = known.get(widthsMs);
  if (ofWidths === undefined) known.set(widthsMs, (ofWidths = new Map<number, Ways>()));
  let ways = ofWidths.get(key);
  if (ways === undefined) ofWidths.set(key, (ways = newWays(widthsMs, finest, speaker)));
  return ways;
}

/** Each width is given to by the widest of the finer ones that divides it, or by who speaks for that one. */
function newWays(widthsMs: readonly number[], finest: number, speaker: number): Ways {
  const indices = [...widthsMs.keys()];
  const givers = widthsMs.map((width, index) => {
    const giver = widthsMs.findLastIndex((finer, below) => below < index && width % finer === 0);
    return index <= speaker || giver < finest ? undefined : Math.max(giver, speaker);
  });
  const all = (from: number, to: number) => indices.slice(from, to + 1).reduce((bits, index) => bits | (1 << index), 0);
  return {
    first: indices.filter((index) => index >= speaker && givers[index] === undefined),
    heirs: indices.map((index) => indices.filter((heir) => givers[heir] === index)),
    bits: indices.map((index) => (index === speaker ? all(finest, speaker) : 1 << index)),
  };
}
