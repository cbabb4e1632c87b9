/**
 * Names the moments of looks. A sample is named by its process and its time, so no moment may be given twice, also when the
 * wall clock is set back and comes past the same milliseconds again.
 */

/** A day at an interval of 10 s: as far back as a clock may be set without a moment being given again. */
const REMEMBERED = 8_640;

export class LookTimes {
  readonly #given = new Set<number>();

  /** `now`, or the first millisecond after it that was not given. */
  next(now: number): number {
    let time = now;
    while (this.#given.has(time)) time++;
    this.#given.add(time);
    if (this.#given.size > REMEMBERED) {
      for (const oldest of this.#given) {
        this.#given.delete(oldest);
        break;
      }
    }
    return time;
  }
}
