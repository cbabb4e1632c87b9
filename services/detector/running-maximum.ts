/** A maximum that only grows, asked also as of some blocks ago. Kept are the blocks at which it grew: few, whatever the age. */
export class RunningMaximum {
  #since: number[] = [];
  #values: number[] = [];
  readonly #initial: number;
  latest: number;

  constructor(initial: number) {
    this.#initial = initial;
    this.latest = initial;
  }

  /** Blocks are numbered upwards. */
  raise(block: number, value: number): void {
    if (!(value > this.latest)) return;
    this.latest = value;
    this.#since.push(block);
    this.#values.push(value);
  }

  copyFrom(other: RunningMaximum): void {
    this.#since = [...other.#since];
    this.#values = [...other.#values];
    this.latest = other.latest;
  }

  /** As it was with the block of that number; of blocks before those that are kept, as it was at the first of these. */
  at(block: number): number {
    for (let index = this.#since.length - 1; index >= 0; index -= 1)
      if ((this.#since[index] as number) <= block) return this.#values[index] as number;
    return this.#initial;
  }

  /** Nobody asks any more for blocks before that one. */
  forgetBefore(block: number): void {
    let count = 0;
    while (count + 1 < this.#since.length && (this.#since[count + 1] as number) <= block) count += 1;
    if (count === 0) return;
    this.#since.splice(0, count);
    this.#values.splice(0, count);
  }
}
