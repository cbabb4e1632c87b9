/**
 * When a growth began, and how fast it has been since: a hinge (flat, then a line) by least squares over the kept blocks, then
 * Theil-Sen on what lies after it. O(n²) with n <= 128, asked only of growth that is told to people.
 */
import type { Growth } from './growth.ts';
import type { Lifetime } from './lifetime.ts';
import type { Resolution } from './resolution.ts';
import { theilSen, type Trend } from './trend.ts';

export interface Since {
  /** ms UTC. */
  readonly onsetAt: number;
  readonly trend: Trend;
  readonly fromTime: number;
  readonly toTime: number;
  /** Root mean square of slopes over spans as long as the growth, before it began; 0 = too little past to tell. Bytes per ms. */
  readonly usualSlope: number;
}

/** Points after the onset: enough to be sure, few enough to be quick. */
const MOST = 48;
const FEWEST = 8;
/** Spans of the past, in lengths of the growth, from which on it tells what is usual. */
const PAST_SPANS = 1.5;

export function sinceOnset(lifetime: Lifetime, growth: Growth): Since {
  const level = lifetime.resolutionOf(growth);
  const begin = hinge(level, Math.max(0, level.time.length - 2 * (growth.to - growth.from)));
  const onsetAt = (level.time[begin] as number) - level.widthMs / 2;
  const now = level.time.at(-1) as number;
  const usualSlope = usualSlopeBefore(lifetime, onsetAt, now - onsetAt);
  // The first tenth is left out: the hinge is known only so well.
  const from = onsetAt + 0.1 * (now - onsetAt);
  for (const finer of lifetime.resolutions) {
    const { time, floor } = finer;
    let first = time.length;
    while (first > 0 && (time[first - 1] as number) >= from) first -= 1;
    const count = time.length - first;
    if (first === 0 && finer.closed > time.length) continue;
    if (count > MOST || (count < FEWEST && finer.widthMs < level.widthMs)) continue;
    if (count < FEWEST) break;
    const trend = theilSen(time, floor, first, time.length);
    return { onsetAt, trend, fromTime: time[first] as number, toTime: time.at(-1) as number, usualSlope };
  }
  const { from: start, to } = growth;
  const shift = level.time.length - to;
  const trend = theilSen(level.time, level.floor, start + shift, to + shift);
  return { onsetAt, trend, fromTime: growth.fromTime, toTime: growth.toTime, usualSlope };
}

/** A level that swings with the day or with jobs goes on to while it leaks, and the residuals of a line shorter than a swing hide it. */
function usualSlopeBefore(lifetime: Lifetime, onsetAt: number, spanMs: number): number {
  for (const { time, floor, widthMs } of lifetime.resolutions) {
    let before = 0;
    while (before < time.length && (time[before] as number) + widthMs / 2 <= onsetAt) before += 1;
    const span = Math.max(1, Math.round(spanMs / widthMs));
    if (before < FEWEST || before < PAST_SPANS * span) continue;
    let square = 0;
    for (let index = 0; index + span < before; index += 1) {
      const elapsed = (time[index + span] as number) - (time[index] as number);
      square += (((floor[index + span] as number) - (floor[index] as number)) / elapsed) ** 2;
    }
    return Math.sqrt(square / (before - span));
  }
  return 0;
}

/** Index at which flat turns into a line with the least squared error. */
function hinge({ time, floor }: Resolution, first: number): number {
  const to = time.length;
  const scale = (time[to - 1] as number) - (time[first] as number);
  const y0 = floor[first] as number;
  let best = first;
  let least = Number.POSITIVE_INFINITY;
  for (let turn = first; turn <= to - 5; turn += 1) {
    let sx = 0;
    let sy = 0;
    let sxx = 0;
    let sxy = 0;
    let syy = 0;
    for (let index = first; index < to; index += 1) {
      const x = Math.max(0, (time[index] as number) - (time[turn] as number)) / scale;
      const y = (floor[index] as number) - y0;
      sx += x;
      sy += y;
      sxx += x * x;
      sxy += x * y;
      syy += y * y;
    }
    const count = to - first;
    const vx = sxx - (sx * sx) / count;
    const cov = sxy - (sx * sy) / count;
    const squares = syy - (sy * sy) / count - (vx > 0 ? (cov * cov) / vx : 0);
    if (squares < least) {
      least = squares;
      best = turn;
    }
  }
  return best;
}
