/** The curves of a service for a chart: one series per lifetime, with at most so many points. */
import type { BlockColumn, Series } from '../series.ts';
import { readSeries } from './series.ts';
import type { Store } from './store.ts';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

/** Widths people can read off an axis; each divides the next unit. */
const STEPS_MS = [
  ...[1, 2, 5, 10, 15, 30].map((count) => count * SECOND),
  ...[1, 2, 5, 10, 15, 30].map((count) => count * MINUTE),
  ...[1, 2, 3, 6, 12, 24, 48, 168].map((count) => count * HOUR),
];

/** Least step that covers the range with at most `points` points. */
export function curveStepMs(rangeMs: number, points: number): number {
  return STEPS_MS.find((step) => rangeMs / step <= points) ?? STEPS_MS.at(-1)!;
}

export interface CurvesQuery {
  readonly service: string;
  readonly environment: string;
  readonly instance?: string;
  /** Milliseconds UTC. */
  readonly from: number;
  readonly to: number;
  /** Most points per curve. */
  readonly points: number;
  /** Others hold NaN. Default: all. */
  readonly columns?: readonly BlockColumn[];
  readonly signal?: AbortSignal;
}

export async function readCurves(store: Store, query: CurvesQuery): Promise<Series[]> {
  const { service, environment, points, ...range } = query;
  return readSeries(store, { ...range, services: [{ service, environment }], blockMs: curveStepMs(range.to - range.from, points) });
}
