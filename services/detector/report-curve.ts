/**
 * The curve of one instance for a picture, in constant memory: lowest and highest value of equal buckets, whose width doubles
 * whenever the history outgrows them. Pure.
 */

const BUCKETS = 256;
const FIRST_WIDTH_MS = 15_000;
/** A bucket whose values differ by less than this share of the whole range is one point. */
const FLAT_SHARE = 0.01;

export interface CurvePoints {
  readonly time: number[];
  readonly bytes: number[];
}

export class ReportCurve {
  readonly #low = new Float32Array(BUCKETS).fill(Number.NaN);
  readonly #high = new Float32Array(BUCKETS).fill(Number.NaN);
  /** Number of the first bucket since the epoch, in widths. */
  #first = Number.NaN;
  widthMs = FIRST_WIDTH_MS;

  /** In order of time. */
  add(time: number, bytes: number): void {
    if (!(bytes > 0)) return;
    if (Number.isNaN(this.#first)) this.#first = Math.floor(time / this.widthMs);
    let bucket = Math.floor(time / this.widthMs) - this.#first;
    while (bucket >= BUCKETS) {
      this.#double();
      bucket = Math.floor(time / this.widthMs) - this.#first;
    }
    if (!(bytes >= (this.#low[bucket] as number))) this.#low[bucket] = bytes;
    if (!(bytes <= (this.#high[bucket] as number))) this.#high[bucket] = bytes;
  }

  #double(): void {
    const first = Math.floor(this.#first / 2);
    for (const [column, best] of [
      [this.#low, Math.min],
      [this.#high, Math.max],
    ] as const) {
      const wider = new Float32Array(BUCKETS).fill(Number.NaN);
      for (let bucket = 0; bucket < BUCKETS; bucket += 1) {
        const value = column[bucket] as number;
        const into = Math.floor((this.#first + bucket) / 2) - first;
        const held = wider[into] as number;
        if (!Number.isNaN(value)) wider[into] = Number.isNaN(held) ? value : best(held, value);
      }
      column.set(wider);
    }
    this.#first = first;
    this.widthMs *= 2;
  }

  /** One point a bucket where it is flat, else its lowest and its highest. */
  points(): CurvePoints {
    const points: CurvePoints = { time: [], bytes: [] };
    const flat = FLAT_SHARE * this.#span();
    for (let bucket = 0; bucket < BUCKETS; bucket += 1) {
      const [low, high] = [this.#low[bucket] as number, this.#high[bucket] as number];
      if (Number.isNaN(low)) continue;
      const start = (this.#first + bucket) * this.widthMs;
      const values = high - low <= flat ? [(low + high) / 2] : [low, high];
      for (const [index, value] of values.entries()) {
        points.time.push(start + ((index + 0.5) * this.widthMs) / values.length);
        points.bytes.push(value);
      }
    }
    return points;
  }

  #span(): number {
    let [low, high] = [Number.POSITIVE_INFINITY, 0];
    for (let bucket = 0; bucket < BUCKETS; bucket += 1) {
      if (Number.isNaN(this.#low[bucket])) continue;
      low = Math.min(low, this.#low[bucket] as number);
      high = Math.max(high, this.#high[bucket] as number);
    }
    return Math.max(0, high - low);
  }
}
