/**
 * Is growth a line, or does it level off? Least squares of `a + b·g(t)` for g linear, saturating
 * `1 - exp(-t/τ)` and logarithmic `ln(1 + t/τ)` on a grid of τ, compared by Schwarz' criterion (1978)
 * with an effective sample size. O(grid · n), n <= 64.
 */

export interface Shape {
  readonly kind: 'line' | 'saturating' | 'logarithmic';
  /** How much better than the line, in units of the criterion; 0 for the line itself. */
  readonly advantage: number;
  /** Where it heads: the asymptote of a saturating curve, the value one more span later of a logarithmic one. */
  readonly ceiling: number;
}

const SPAN_SHARES = [0.05, 0.1, 0.18, 0.3, 0.5, 0.8, 1.3, 2];

interface Fit {
  readonly squares: number;
  readonly offset: number;
  readonly factor: number;
}

function leastSquares(time: ArrayLike<number>, value: ArrayLike<number>, from: number, to: number, basis: (t: number) => number): Fit {
  const count = to - from;
  let sumX = 0;
  let sumY = 0;
  let sumXX = 0;
  let sumXY = 0;
  let sumYY = 0;
  const y0 = value[from] as number;
  for (let index = from; index < to; index += 1) {
    const x = basis(time[index] as number);
    const y = (value[index] as number) - y0;
    sumX += x;
    sumY += y;
    sumXX += x * x;
    sumXY += x * y;
    sumYY += y * y;
  }
  const variance = sumXX - (sumX * sumX) / count;
  const covariance = sumXY - (sumX * sumY) / count;
  const factor = variance > 0 ? covariance / variance : 0;
  const squares = Math.max(0, sumYY - (sumY * sumY) / count - factor * covariance);
  return { squares, factor, offset: y0 + (sumY - factor * sumX) / count };
}

/** `origin` is where the growth is thought to have begun (start of the lifetime, or of the window). */
export function shapeOf(
  time: ArrayLike<number>,
  value: ArrayLike<number>,
  from: number,
  to: number,
  origin: number,
  effectiveSize: number,
): Shape {
  const span = (time[to - 1] as number) - (time[from] as number);
  const age = (time[to - 1] as number) - origin;
  const line = leastSquares(time, value, from, to, (t) => t - origin);
  // A millionth of the range keeps noiseless data from dividing by zero.
  const tiny = 1e-12 * ((value[to - 1] as number) - (value[from] as number)) ** 2 + Number.MIN_VALUE;
  let best: Shape = { kind: 'line', advantage: 0, ceiling: Number.POSITIVE_INFINITY };
  const consider = (kind: 'saturating' | 'logarithmic', fit: Fit, ceiling: number) => {
    const advantage = effectiveSize * Math.log((line.squares + tiny) / (fit.squares + tiny)) - Math.log(effectiveSize);
    if (fit.factor > 0 && advantage > best.advantage) best = { kind, advantage, ceiling };
  };
  for (const share of SPAN_SHARES) {
    const tau = share * span;
    const start = time[from] as number;
    const saturating = leastSquares(time, value, from, to, (t) => 1 - Math.exp(-(t - start) / tau));
    consider('saturating', saturating, saturating.offset + saturating.factor);
    const tauLog = share * 0.5 * age;
    const logarithmic = leastSquares(time, value, from, to, (t) => Math.log1p((t - origin) / tauLog));
    consider('logarithmic', logarithmic, logarithmic.offset + logarithmic.factor * Math.log1p((2 * age) / tauLog));
  }
  return best;
}
