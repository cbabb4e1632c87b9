/**
 * The floor of a lifetime by its age, on ages that grow by the square root of two: small enough to keep of every lifetime, fine enough
 * to ask how much another version had grown at the same age (differential analysis: Matias, Andrzejak, Trivedi 2014). O(1) a sample.
 */

const PER_DOUBLING = 2;

export class AgeProfile {
  readonly #unitMs: number;
  readonly #floor: number[] = [];

  /** `unitMs` is the youngest age kept. */
  constructor(unitMs: number) {
    this.#unitMs = unitMs;
  }

  add(ageMs: number, level: number): void {
    const index = this.#indexOf(ageMs);
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

  #indexOf(ageMs: number): number {
    return Math.floor(PER_DOUBLING * Math.log2(ageMs / this.#unitMs));
  }

  /** The youngest of the ages that share an index: growth has its lowest level there. */
  #ageAt(index: number): number {
    return this.#unitMs * 2 ** (index / PER_DOUBLING);
  }
}
