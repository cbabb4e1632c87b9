/**
 * Is growth a few jumps rather than a slope? Least-squares segmentation of the level into constant pieces by dynamic programming
 * (Bellman 1961; Auger and Lawrence 1989) against the squared error of the line. O(k·n²), n <= 64, k <= 3. Units are the caller's.
 */

const MOST_POINTS = 64;
const MOST_STEPS = 3;
/** Squared error that so many steps may leave, in shares of what the line leaves: a ramp in k + 1 pieces never comes near it. */
const RATIO = [Number.NaN, 0.9, 0.4, 0.25];
/** One gap between neighbours that holds this share of the growth is a jump whatever else the level does. */
const JUMP_SHARE = 0.55;
/** Stairs this even in height and in tread are a job that leaks each time it runs. */
const EVEN_HEIGHT = 0.5;
const EVEN_TREAD = 0.85;

const ROW = MOST_POINTS + 1;
const sums = new Float64Array(ROW);
const squares = new Float64Array(ROW);
/** Least error of the first i points in k + 1 pieces, and where the last of these pieces begins. */
const least = new Float64Array((MOST_STEPS + 1) * ROW);
const lastCut = new Int32Array((MOST_STEPS + 1) * ROW);

/** `slope` is that of the line, robustly fitted; stairs that go on evenly are none of the steps meant here. */
export function isStepped(time: ArrayLike<number>, level: ArrayLike<number>, from: number, to: number, slope: number): boolean {
  const count = to - from;
  const growth = slope * ((time[to - 1] as number) - (time[from] as number));
  const origin = level[from] as number;
  const middle = ((time[from] as number) + (time[to - 1] as number)) / 2;
  for (let index = 0; index < count; index += 1) {
    const value = (level[from + index] as number) - origin;
    sums[index + 1] = (sums[index] as number) + value;
    squares[index + 1] = (squares[index] as number) + value * value;
    if (index === 0) continue;
    const jump = value - ((level[from + index - 1] as number) - origin);
    const elapsed = (time[from + index] as number) - (time[from + index - 1] as number);
    if (jump - slope * elapsed > JUMP_SHARE * growth) return true;
  }
  const mean = (sums[count] as number) / count;
  let line = 0;
  for (let index = from; index < to; index += 1) {
    line += ((level[index] as number) - origin - mean - slope * ((time[index] as number) - middle)) ** 2;
  }
  for (let end = 1; end <= count; end += 1) least[end] = errorOf(0, end);
  for (let steps = 1; steps <= MOST_STEPS; steps += 1) {
    addStep(steps, count);
    if ((least[steps * ROW + count] as number) < (RATIO[steps] as number) * line) return !areStairs(steps, count);
  }
  return false;
}

/** Squared error of one piece about its mean. */
function errorOf(begin: number, end: number): number {
  const sum = (sums[end] as number) - (sums[begin] as number);
  return (squares[end] as number) - (squares[begin] as number) - (sum * sum) / (end - begin);
}

function addStep(steps: number, count: number): void {
  for (let end = steps + 1; end <= count; end += 1) {
    let best = Number.POSITIVE_INFINITY;
    let cut = steps;
    for (let begin = steps; begin < end; begin += 1) {
      const error = (least[(steps - 1) * ROW + begin] as number) + errorOf(begin, end);
      if (error >= best) continue;
      best = error;
      cut = begin;
    }
    least[steps * ROW + end] = best;
    lastCut[steps * ROW + end] = cut;
  }
}

/** Three steps at least, evenly high and evenly apart. */
function areStairs(steps: number, count: number): boolean {
  if (steps < MOST_STEPS) return false;
  const cuts = [count];
  for (let step = steps; step >= 1; step -= 1) cuts.unshift(lastCut[step * ROW + (cuts[0] as number)] as number);
  cuts.unshift(0);
  const means = cuts.slice(1).map((end, piece) => {
    const begin = cuts[piece] as number;
    return ((sums[end] as number) - (sums[begin] as number)) / (end - begin);
  });
  const heights = means.slice(1).map((mean, piece) => mean - (means[piece] as number));
  const treads = cuts.slice(2, -1).map((cut, step) => cut - (cuts[step + 1] as number));
  return isEven(heights, EVEN_HEIGHT) && isEven(treads, EVEN_TREAD);
}

function isEven(values: readonly number[], share: number): boolean {
  return Math.min(...values) > share * Math.max(...values);
}
