/** Where it grows: compares the slope of the heap with the slope of the whole over the same window. */
import type { GrowthKind } from '../../shared/judgement.ts';
import type { Growth } from './growth.ts';
import type { Lifetime } from './lifetime.ts';
import { theilSen } from './trend.ts';

/** Share of the growth that the heap must hold to be called its cause, and below which it is called innocent. */
const HEAP_SHARE = 0.5;
const NATIVE_SHARE = 0.35;

export function growthKind(lifetime: Lifetime, growth: Growth): GrowthKind {
  if (growth.slope <= 0) return 'unknown';
  if (lifetime.signal === 'heap_live' || lifetime.signal === 'heap_used') return 'heap';
  const level = lifetime.resolutionOf(growth);
  const from = Math.max(0, level.time.length - (growth.to - growth.from));
  const live = columnSlope(level.time, level.heapLive, from, level.time.length);
  const used = columnSlope(level.time, level.heapUsed, from, level.time.length);
  if (Number.isNaN(live) && Number.isNaN(used)) return 'unknown';
  // The live heap is known late, the used one with its garbage: whichever grows is the heap growing.
  const share = Math.max(Number.isNaN(live) ? 0 : live, Number.isNaN(used) ? 0 : used) / growth.slope;
  return share >= HEAP_SHARE ? 'heap' : share <= NATIVE_SHARE ? 'native' : 'mixed';
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
