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
/** Time constants of a logarithm in shares of its age: it may have bent long ago. */
const AGE_SHARES = [0.004, 0.01, 0.025, 0.05, 0.09, 0.15, 0.25, 0.4, 0.65, 1];

const LINE: Shape = { kind: 'line', advantage: 0, ceiling: Number.POSITIVE_INFINITY };

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

/** Shares of the span that a first rise may take to settle while a line goes on beneath it. */
const SETTLING_SHARES = [0.03, 0.06, 0.1, 0.18, 0.3];
/** How much better a rise on top of a line must explain than the bounded curve alone. */
const LINE_BENEATH_ADVANTAGE = 2;
/** And what part of the growth the line must hold. */
const LINE_BENEATH_SHARE = 0.3;

/** Least squares of `a + b·(1 - exp(-t/τ)) + c·t`: squared error and c times the span. */
function lineBeneath(
  time: ArrayLike<number>,
  value: ArrayLike<number>,
  from: number,
  to: number,
  tau: number,
): { readonly squares: number; readonly line: number } {
  const start = time[from] as number;
  const span = (time[to - 1] as number) - start;
  const y0 = value[from] as number;
  const count = to - from;
  let sx = 0;
  let sz = 0;
  let sy = 0;
  let sxx = 0;
  let szz = 0;
  let sxz = 0;
  let sxy = 0;
  let szy = 0;
  let syy = 0;
  for (let index = from; index < to; index += 1) {
    const z = ((time[index] as number) - start) / span;
    const x = 1 - Math.exp(-(z * span) / tau);
    const y = (value[index] as number) - y0;
    sx += x;
    sz += z;
    sy += y;
    sxx += x * x;
    szz += z * z;
    sxz += x * z;
    sxy += x * y;
    szy += z * y;
    syy += y * y;
  }
  const xx = sxx - (sx * sx) / count;
  const zz = szz - (sz * sz) / count;
  const xz = sxz - (sx * sz) / count;
  const xy = sxy - (sx * sy) / count;
  const zy = szy - (sz * sy) / count;
  const yy = syy - (sy * sy) / count;
  const determinant = xx * zz - xz * xz;
  if (!(determinant > 1e-9 * xx * zz)) return { squares: Number.POSITIVE_INFINITY, line: 0 };
  const b = (xy * zz - zy * xz) / determinant;
  const c = (zy * xx - xy * xz) / determinant;
  return { squares: Math.max(0, yy - b * xy - c * zy), line: b >= 0 ? c : 0 };
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
  let best: Shape = LINE;
  let bounded = line.squares;
  const consider = (kind: 'saturating' | 'logarithmic', fit: Fit, ceiling: number) => {
    const advantage = effectiveSize * Math.log((line.squares + tiny) / (fit.squares + tiny)) - Math.log(effectiveSize);
    if (fit.factor <= 0 || advantage <= best.advantage) return;
    best = { kind, advantage, ceiling };
    bounded = fit.squares;
  };
  for (const share of SPAN_SHARES) {
    const tau = share * span;
    const start = time[from] as number;
    const saturating = leastSquares(time, value, from, to, (t) => 1 - Math.exp(-(t - start) / tau));
    consider('saturating', saturating, saturating.offset + saturating.factor);
  }
  for (const share of AGE_SHARES) {
    const tauLog = share * age;
    const logarithmic = leastSquares(time, value, from, to, (t) => Math.log1p((t - origin) / tauLog));
    consider('logarithmic', logarithmic, logarithmic.offset + logarithmic.factor * Math.log1p((2 * age) / tauLog));
  }
  if (best.kind === 'line') return best;
  // A cache that fills while a leak goes on beneath it bends too; but what goes on is not bounded.
  const rise = line.factor * span;
  for (const share of SETTLING_SHARES) {
    const beneath = lineBeneath(time, value, from, to, share * span);
    const advantage = effectiveSize * Math.log((bounded + tiny) / (beneath.squares + tiny)) - Math.log(effectiveSize);
    if (advantage > LINE_BENEATH_ADVANTAGE && beneath.line > LINE_BENEATH_SHARE * rise) return LINE;
  }
  return best;
}
