/**
 * One lifetime at all block widths. A reading goes to the finest; what closes there is handed on as one reading to the widths that it
 * divides, so that a lifetime of minutes costs three additions a minute rather than eleven. Lowest of lowest, last of last, sum of sums:
 * a wide block is as if it had been made of the readings themselves.
 */
import { Handed, Resolution, type Reading } from './resolution.ts';

export class Cascade {
  readonly levels: readonly Resolution[];
  /** To which levels each one hands on. */
  readonly #heirs: readonly (readonly number[])[];
  /** Levels that are given the readings themselves. */
  #first: readonly number[];
  #finest = 0;
  #lastTime = Number.NEGATIVE_INFINITY;

  constructor(widthsMs: readonly number[]) {
    this.levels = widthsMs.map((width) => new Resolution(width));
    this.#heirs = heirsOf(widthsMs);
    this.#first = this.#withoutGiver();
  }

  /** Levels below this one are finer than the sampling and get nothing more. */
  get finest(): number {
    return this.#finest;
  }

  /** Returns the levels that have a block more, a bit each. A wide block may close at the next `advance` only. */
  add(reading: Reading): number {
    this.#lastTime = reading.time;
    let grown = 0;
    for (const index of this.#first) grown |= this.#give(index, reading);
    return grown;
  }

  /** Closes the blocks that ended by a moment; by default those before the block of the last reading. */
  advance(at = this.#lastTime): number {
    let grown = 0;
    for (let index = this.#finest; index < this.levels.length; index += 1) {
      const handed = (this.levels[index] as Resolution).advance(at);
      if (handed !== Handed.nothing) grown |= this.#handOn(index, handed);
    }
    return grown;
  }

  /** Nothing more for the levels below; what they have not handed on they do now. */
  leaveOut(below: number): number {
    let grown = 0;
    for (; this.#finest < below; this.#finest += 1) {
      if ((this.levels[this.#finest] as Resolution).handOnOpen()) grown |= this.#handOn(this.#finest, Handed.on);
    }
    this.#first = this.#withoutGiver();
    return grown;
  }

  #give(index: number, reading: Reading): number {
    const handed = (this.levels[index] as Resolution).add(reading);
    return handed === Handed.nothing ? 0 : this.#handOn(index, handed);
  }

  #handOn(index: number, handed: Handed): number {
    let grown = handed === Handed.onAndKept ? 1 << index : 0;
    const { closedReading } = this.levels[index] as Resolution;
    for (const heir of this.#heirs[index] as readonly number[]) grown |= this.#give(heir, closedReading);
    return grown;
  }

  #withoutGiver(): number[] {
    const given = new Set(this.#heirs.slice(this.#finest).flat());
    return [...this.levels.keys()].filter((index) => index >= this.#finest && !given.has(index));
  }
}

const known = new WeakMap<readonly number[], readonly (readonly number[])[]>();

/** Each width is given to by the widest of the finer ones that divides it. Worked out once for all lifetimes of a policy. */
function heirsOf(widthsMs: readonly number[]): readonly (readonly number[])[] {
  let heirs = known.get(widthsMs);
  if (heirs === undefined) {
    const giver = widthsMs.map((width, index) => widthsMs.findLastIndex((finer, below) => below < index && width % finer === 0));
    heirs = widthsMs.map((_, index) => giver.flatMap((one, heir) => (one === index ? [heir] : [])));
    known.set(widthsMs, heirs);
  }
  return heirs;
}
