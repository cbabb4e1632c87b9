/**
 * Does a level look like a collector's sawtooth: climbing slowly, falling at once? The squares of its falls outweigh those of its rises
 * then, while noise is even and bursts are the other way round. Two sums, forgotten slowly; O(1) a sample.
 */

/** Samples before a shape, or mere roughness, is told, and over which the past fades. */
const FEWEST = 60;
const FEWEST_ROUGH = 20;
const MEMORY = 1 / 2000;
/** Falls over rises, in squares; a tooth of n samples without noise has n. */
const MIN_RATIO = 2;
/** Teeth smaller than this share of the level matter to nobody. */
const MIN_SHARE = 0.004;
/** Sampled more slowly than it is collected, a sawtooth is mere roughness: steps of this share of the level. */
const ROUGH = 0.04;

export class Teeth {
  #last = Number.NaN;
  #rises = 0;
  #falls = 0;
  #samples = 0;

  add(level: number): void {
    const step = level - this.#last;
    this.#last = level;
    if (Number.isNaN(step)) return;
    this.#samples += 1;
    const weight = Math.max(1 / this.#samples, MEMORY);
    const square = (step / level) ** 2;
    this.#rises += weight * ((step > 0 ? square : 0) - this.#rises);
    this.#falls += weight * ((step < 0 ? square : 0) - this.#falls);
  }

  get seen(): boolean {
    if (this.#samples >= FEWEST_ROUGH && this.#rises + this.#falls > ROUGH ** 2) return true;
    return this.#samples >= FEWEST && this.#falls > MIN_RATIO * this.#rises && this.#falls > MIN_SHARE ** 2;
  }
}
