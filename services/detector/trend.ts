/**
 * Robust straight line through few points: Theil (1950) and Sen (1968) slope, its standard error from the
 * median absolute deviation of the residuals and an effective sample size for first-order autocorrelation
 * (Bayley and Hammersley 1946). O(n²) with n <= 64. Units are the caller's.
 */

export interface Trend {
  readonly slope: number;
  /** Value of the line at the first and at the last point. */
  readonly first: number;
  readonly last: number;
  readonly standardError: number;
  /** Robust standard deviation of the residuals. */
  readonly noise: number;
  readonly effectiveSize: number;
}

const MAX_POINTS = 64;
const slopes = new Float64Array((MAX_POINTS * (MAX_POINTS - 1)) / 2);
const scratch = new Float64Array(MAX_POINTS);
const residuals = new Float64Array(MAX_POINTS);

/** The k-th smallest of the first `length` values; reorders them (Hoare 1961, O(n) on average). */
export function select(values: Float64Array, length: number, k: number): number {
  let low = 0;
  let high = length - 1;
  while (low < high) {
    const pivot = values[(low + high) >> 1] as number;
    let left = low;
    let right = high;
    while (left <= right) {
      while ((values[left] as number) < pivot) left += 1;
      while ((values[right] as number) > pivot) right -= 1;
      if (left <= right) {
        const swap = values[left] as number;
        values[left] = values[right] as number;
        values[right] = swap;
        left += 1;
        right -= 1;
      }
    }
    if (k <= right) high = right;
    else if (k >= left) low = left;
    else break;
  }
  return values[k] as number;
}

export function medianOf(values: ArrayLike<number>, from = 0, to = values.length): number {
  const length = to - from;
  if (length <= 0) return Number.NaN;
  const copy = length <= MAX_POINTS ? scratch : new Float64Array(length);
  for (let index = 0; index < length; index += 1) copy[index] = values[from + index] as number;
  const upper = select(copy, length, length >> 1);
  return length % 2 === 1 ? upper : (upper + select(copy, length, (length >> 1) - 1)) / 2;
}

export function theilSen(time: ArrayLike<number>, value: ArrayLike<number>, from: number, to: number): Trend {
  const count = to - from;
  let pairs = 0;
  for (let i = from; i < to; i += 1) {
    for (let j = i + 1; j < to; j += 1) {
      slopes[pairs] = ((value[j] as number) - (value[i] as number)) / ((time[j] as number) - (time[i] as number));
      pairs += 1;
    }
  }
  const slope = select(slopes, pairs, pairs >> 1);
  const origin = time[from] as number;
  for (let index = 0; index < count; index += 1) {
    residuals[index] = (value[from + index] as number) - slope * ((time[from + index] as number) - origin);
  }
  const intercept = medianOf(residuals, 0, count);
  let product = 0;
  let square = 0;
  for (let index = 0; index < count; index += 1) {
    const residual = (residuals[index] as number) - intercept;
    residuals[index] = residual;
    square += residual * residual;
    if (index > 0) product += residual * (residuals[index - 1] as number);
  }
  for (let index = 0; index < count; index += 1) scratch[index] = Math.abs(residuals[index] as number);
  const robust = 1.4826 * select(scratch, count, count >> 1);
  // The larger of the two: many equal blocks and a few jumps would otherwise look noiseless.
  const noise = Math.max(robust, 0.7 * Math.sqrt(square / count));
  // +1/n corrects the downward bias of the sample autocorrelation of residuals.
  const correlation = square > 0 ? Math.min(0.9, Math.max(0, product / square + 1 / count)) : 0;
  const effectiveSize = Math.max(3, (count * (1 - correlation)) / (1 + correlation));
  return {
    slope,
    first: intercept,
    last: intercept + slope * ((time[to - 1] as number) - origin),
    standardError: noise / (spread(time, from, to) * Math.sqrt(effectiveSize)),
    noise,
    effectiveSize,
  };
}

function spread(time: ArrayLike<number>, from: number, to: number): number {
  let mean = 0;
  for (let index = from; index < to; index += 1) mean += (time[index] as number) / (to - from);
  let square = 0;
  for (let index = from; index < to; index += 1) square += ((time[index] as number) - mean) ** 2;
  return Math.sqrt(square / (to - from));
}
