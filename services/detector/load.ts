/** How much of a growth the request rate explains: least squares of `a + b·t + c·load` over the kept blocks. O(n). */
import type { Resolution } from './resolution.ts';

export interface LoadFit {
  /** Bytes per request/s. */
  readonly bytesPerLoad: number;
  /** Growth between the ends of the window that the change of load accounts for, bytes. */
  readonly explained: number;
}

const MIN_CORRELATION = 0.5;

export function fitLoad(level: Resolution, from: number, to: number): LoadFit | undefined {
  const { time, floor, load } = level;
  const start = Math.max(0, to - 64);
  let count = 0;
  let sumT = 0;
  let sumL = 0;
  let sumY = 0;
  for (let index = start; index < to; index += 1) {
    if (Number.isNaN(load[index])) continue;
    count += 1;
    sumT += time[index] as number;
    sumL += load[index] as number;
    sumY += floor[index] as number;
  }
  if (count < 8) return undefined;
  const meanT = sumT / count;
  const meanL = sumL / count;
  const meanY = sumY / count;
  let tt = 0;
  let tl = 0;
  let ll = 0;
  let ty = 0;
  let ly = 0;
  let yy = 0;
  for (let index = start; index < to; index += 1) {
    const l = (load[index] as number) - meanL;
    if (Number.isNaN(l)) continue;
    const t = (time[index] as number) - meanT;
    const y = (floor[index] as number) - meanY;
    tt += t * t;
    tl += t * l;
    ll += l * l;
    ty += t * y;
    ly += l * y;
    yy += y * y;
  }
  const determinant = tt * ll - tl * tl;
  if (ll <= 0 || tt <= 0 || determinant <= 1e-9 * tt * ll) return undefined;
  const bytesPerLoad = (ly * tt - ty * tl) / determinant;
  // Partial correlation of level and load given time: does load matter beyond the trend they may share?
  const partial = (ly - (ty * tl) / tt) / Math.sqrt(Math.max(1, (ll - (tl * tl) / tt) * (yy - (ty * ty) / tt)));
  if (bytesPerLoad <= 0 || partial < MIN_CORRELATION) return undefined;
  return { bytesPerLoad, explained: bytesPerLoad * loadChange(load, from, to) };
}

function loadChange(load: readonly number[], from: number, to: number): number {
  const quarter = Math.max(2, (to - from) >> 2);
  return mean(load, to - quarter, to) - mean(load, from, from + quarter);
}

function mean(values: readonly number[], from: number, to: number): number {
  let sum = 0;
  let count = 0;
  for (let index = from; index < to; index += 1) {
    const value = values[index] as number;
    if (Number.isNaN(value)) continue;
    sum += value;
    count += 1;
  }
  return count > 0 ? sum / count : 0;
}
