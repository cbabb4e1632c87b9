/**
 * Triage of one lifetime: could any window of any resolution pass the first gates of growth.ts? Floors alone decide that, so this
 * needs no other signal and O(1) memory: 43 floors a width, 2 kB. It may cry wolf, never sleep through a leak: whatever is uncertain
 * (what earlier lifetimes taught, how long the warm-up counts) is taken the suspicious way. O(widths) a floor, O(widths · 43) a question.
 */
import type { Policy } from './policy.ts';
import { middleOf } from './resolution.ts';

/** The longest window and what its first middle of three reaches back. */
const KEPT = 43;
/** As in lifetime.ts. */
const WINDOWS = [10, 14, 20, 28, 40];
/** Floors are held in single precision. */
const ROUNDING = 1e-6;
/** The least part of the warm-up that is cut, see Lifetime.warmAt. */
const WARM_UP_SHARE = 0.4;

export class Sentry {
  readonly #policy: Policy;
  /** Per width: the last closed floors, a ring. */
  readonly #floors: Float32Array;
  /** Per width: the floor of the open block, and the highest level held before the kept ones. */
  readonly #open: Float32Array;
  readonly #held: Float32Array;
  /** Per width: number of the open block, and how many were closed. */
  readonly #block: Int32Array;
  readonly #closed: Int32Array;
  #firstTime = Number.NaN;

  constructor(policy: Policy) {
    const widths = policy.levelMs.length;
    this.#policy = policy;
    this.#floors = new Float32Array(widths * KEPT);
    this.#open = new Float32Array(widths);
    this.#held = new Float32Array(widths).fill(Number.NEGATIVE_INFINITY);
    this.#block = new Int32Array(widths).fill(-1);
    this.#closed = new Int32Array(widths);
  }

  /** Adds the floor of a block that is `spanMs` wide; widths below that are told nothing by it. */
  add(time: number, floorBytes: number, spanMs: number): void {
    if (!(floorBytes > 0)) return;
    if (Number.isNaN(this.#firstTime)) this.#firstTime = time;
    if (time < this.#firstTime + WARM_UP_SHARE * this.#policy.warmUpMs) return;
    const { levelMs } = this.#policy;
    for (let index = levelMs.length - 1; index >= 0 && (levelMs[index] as number) >= spanMs; index -= 1) {
      const block = Math.floor(time / (levelMs[index] as number));
      if (block > (this.#block[index] as number)) {
        this.#close(index);
        this.#block[index] = block;
        this.#open[index] = floorBytes;
      } else if (block === this.#block[index] && floorBytes < (this.#open[index] as number)) this.#open[index] = floorBytes;
    }
  }

  /** Closes the blocks that ended by a moment; asks whether this lifetime has to be looked at. */
  isSuspicious(at: number): boolean {
    const { levelMs } = this.#policy;
    let suspicious = false;
    for (let index = 0; index < levelMs.length; index += 1) {
      const block = this.#block[index] as number;
      if (block >= 0 && (this.#open[index] as number) > 0 && (block + 1) * (levelMs[index] as number) <= at) this.#close(index);
      suspicious ||= this.#isSuspicious(index);
    }
    return suspicious;
  }

  #close(index: number): void {
    const floor = this.#open[index] as number;
    if (!(floor > 0)) return;
    const closed = this.#closed[index] as number;
    // What leaves the ring is older than any window: of it only the highest level held is kept.
    if (closed >= KEPT && this.#isWarm(index, closed - KEPT)) {
      const level = this.#level(index, closed - KEPT + 2);
      if (level > (this.#held[index] as number)) this.#held[index] = level;
    }
    this.#floors[index * KEPT + (closed % KEPT)] = floor;
    this.#closed[index] = closed + 1;
    this.#open[index] = 0;
  }

  /** Blocks within the longest possible warm-up hold no level: an earlier lifetime may or may not have shortened it. */
  #isWarm(index: number, block: number): boolean {
    return block > this.#policy.warmUpMs / (this.#policy.levelMs[index] as number);
  }

  /** Middle of three floors up to the n-th ever closed. */
  #level(index: number, last: number): number {
    const floors = this.#floors;
    const start = index * KEPT;
    return middleOf(
      floors[start + (last % KEPT)] as number,
      floors[start + ((last - 1) % KEPT)] as number,
      floors[start + ((last - 2) % KEPT)] as number,
    );
  }

  #isSuspicious(index: number): boolean {
    const closed = this.#closed[index] as number;
    if (closed < (WINDOWS[0] as number)) return false;
    const recent = this.#level(index, closed - 1) * (1 + ROUNDING);
    let held = this.#held[index] as number;
    if (recent <= held) return false;
    // The oldest level that is kept whole, then forward: what was held before each window, longest window first.
    let next = Math.max(2, closed - KEPT + 2);
    for (let position = WINDOWS.length - 1; position >= 0; position -= 1) {
      const from = closed - (WINDOWS[position] as number);
      if (from < 0) continue;
      for (; next < from; next += 1) if (this.#isWarm(index, next - 2)) held = Math.max(held, this.#level(index, next));
      if (recent <= held) return false;
      const started = this.#level(index, from + 2);
      if (recent - started >= 0.5 * this.#policy.minGrowthShare * started) return true;
    }
    return false;
  }
}
