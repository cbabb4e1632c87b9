/**
 * The floor of a lifetime by its age, on ages that grow by the square root of two: small enough to keep of every lifetime, fine enough
 * to ask how much another version had grown at the same age (differential analysis: Matias, Andrzejak, Trivedi 2014). O(1) a sample.
 */

const PER_DOUBLING = 2;

export class AgeProfile {
  readonly #unitMs: number;
  readonly #floor: number[] = [];
  /** Ages that surely share an index with the last one that was added: a logarithm for each of them costs as much as all else. */
  #from = Number.NaN;
  #until = Number.NaN;
  #index = -1;

  /** `unitMs` is the youngest age kept. */
  constructor(unitMs: number) {
    this.#unitMs = unitMs;
  }

  add(ageMs: number, level: number): void {
    if (!(ageMs >= this.#from && ageMs < this.#until)) this.#turnTo(ageMs);
    const index = this.#index;
    if (index < 0) return;
    const floor = this.#floor[index];
    this.#floor[index] = floor === undefined ? level : Math.min(floor, level);
  }

  /** Mean slope between two ages, bytes per ms; undefined where the lifetime was not seen at both, or they are too near each other. */
  slope(fromAgeMs: number, toAgeMs: number): number | undefined {
    const from = Math.max(0, this.#indexOf(fromAgeMs));
    const to = this.#indexOf(toAgeMs);
    const [first, last] = [this.#floor[from], this.#floor[to]];
    if (to <= from || first === undefined || last === undefined) return undefined;
    return (last - first) / (this.#ageAt(to) - this.#ageAt(from));
  }

  #turnTo(ageMs: number): void {
    this.#index = this.#indexOf(ageMs);
    this.#from = ageMs;
    // Where rounding could tell either index the logarithm is asked.
    this.#until = this.#ageAt(this.#index + 1) * (1 - 1e-9);
  }

  #indexOf(ageMs: number): number {
    return Math.floor(PER_DOUBLING * Math.log2(ageMs / this.#unitMs));
  }

  /** The youngest of the ages that share an index: growth has its lowest level there. */
  #ageAt(index: number): number {
    return this.#unitMs * 2 ** (index / PER_DOUBLING);
  }
}
