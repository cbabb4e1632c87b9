/** Where it grows: compares the slope of the heap with the slope of the whole over the same window. */
import type { GrowthKind } from '../../shared/judgement.ts';
import type { Growth } from './growth.ts';
import type { Lifetime } from './lifetime.ts';
import type { Resolution } from './resolution.ts';
import { theilSen } from './trend.ts';

/** Share of the growth that the heap must hold to be called its cause, and below which it is called innocent. */
const HEAP_SHARE = 0.5;
const NATIVE_SHARE = 0.35;

export function growthKind(lifetime: Lifetime, growth: Growth): GrowthKind {
  if (growth.slope <= 0) return 'unknown';
  if (lifetime.signal === 'heap_live' || lifetime.signal === 'heap_used') return 'heap';
  if (growth.takenBack !== undefined) return kindOf(growth.takenBack.heapGrowth / growth.takenBack.growth);
  const level = lifetime.resolutionOf(growth);
  return kindOf(heapSlope(level, Math.max(0, level.time.length - (growth.to - growth.from))) / growth.slope);
}

/** `heapShare`: of the growth; NaN where no heap is told. */
function kindOf(heapShare: number): GrowthKind {
  if (Number.isNaN(heapShare)) return 'unknown';
  return heapShare >= HEAP_SHARE ? 'heap' : heapShare <= NATIVE_SHARE ? 'native' : 'mixed';
}

/** Bytes per ms since a block of a resolution; NaN where no heap is told. */
export function heapSlope({ time, heapLive, heapUsed }: Resolution, from: number): number {
  const live = columnSlope(time, heapLive, from, time.length);
  const used = columnSlope(time, heapUsed, from, time.length);
  if (Number.isNaN(live) && Number.isNaN(used)) return Number.NaN;
  // The live heap is known late, the used one with its garbage: whichever grows is the heap growing.
  return Math.max(Number.isNaN(live) ? 0 : live, Number.isNaN(used) ? 0 : used);
}

/** Slope of any column of a resolution over a growth's window, bytes per ms; NaN where it is not known well enough. */
function columnSlope(time: readonly number[], column: readonly number[], from: number, to: number): number {
  const times: number[] = [];
  const values: number[] = [];
  for (let index = from; index < to; index += 1) {
    if (Number.isNaN(column[index])) continue;
    times.push(time[index] as number);
    values.push(column[index] as number);
  }
  return values.length < 5 ? Number.NaN : theilSen(times, values, 0, values.length).slope;
}
