/** What both OTLP encodings are decoded to: resources with the data points of metrics we have a use for, nothing else. */
import { LeaklineError } from '../../../shared/errors.ts';

export type Attributes = Readonly<Record<string, string>>;

/** `other`: delta, or none given; such a point cannot be turned into a total without remembering all before it. */
export type Temporality = 'gauge' | 'cumulative' | 'other';

export interface OtlpPoint {
  readonly metric: string;
  readonly unit: string;
  readonly temporality: Temporality;
  readonly attributes: Attributes;
  /** Milliseconds UTC; 0 = not given. */
  readonly startMs: number;
  readonly timeMs: number;
  /** Value of a gauge or sum; NaN on a histogram. */
  readonly value: number;
  /** Number and sum of what a histogram or summary has seen; NaN elsewhere. */
  readonly count: number;
  readonly sum: number;
}

export interface OtlpResource {
  readonly attributes: Attributes;
  readonly points: readonly OtlpPoint[];
}

/** Data points of metrics in use and resources that one request may carry. */
const MAX_POINTS = 200_000;
const MAX_RESOURCES = 20_000;

/** Collects what a decoder finds and keeps it within bounds. */
export class PointCollector {
  readonly resources: OtlpResource[] = [];
  readonly wanted: (metric: string) => boolean;
  #points: OtlpPoint[] = [];
  #total = 0;

  constructor(wanted: (metric: string) => boolean) {
    this.wanted = wanted;
  }

  add(point: OtlpPoint): void {
    if (++this.#total > MAX_POINTS) throw tooMany('data points', MAX_POINTS);
    this.#points.push(point);
  }

  endResource(attributes: Attributes): void {
    if (this.#points.length === 0) return;
    if (this.resources.length === MAX_RESOURCES) throw tooMany('resources', MAX_RESOURCES);
    this.resources.push({ attributes, points: this.#points });
    this.#points = [];
  }
}

const tooMany = (what: string, limit: number) =>
  new LeaklineError('LKL_ERR_REQUEST_TOO_LARGE', `request has more than ${limit} ${what}: lower the batch size of the sender`);
