/** Builds OTLP/JSON requests as senders write them: 64-bit numbers as text. */
import { NOW } from '../harness.ts';

type Scalar = string | number | boolean;

export const attributesOf = (attributes: Record<string, Scalar>) =>
  Object.entries(attributes).map(([key, value]) => ({
    key,
    value:
      typeof value === 'number' ? { intValue: String(value) } : typeof value === 'boolean' ? { boolValue: value } : { stringValue: value },
  }));

const nanos = (ms: number) => `${ms}000000`;

interface PointOptions {
  readonly at?: number;
  readonly startedAt?: number;
  readonly attributes?: Record<string, Scalar>;
}

const common = ({ at = NOW, startedAt = 0, attributes = {} }: PointOptions) => ({
  attributes: attributesOf(attributes),
  startTimeUnixNano: nanos(startedAt),
  timeUnixNano: nanos(at),
});

export const gauge = (name: string, value: number, options: PointOptions = {}, unit = 'By') => ({
  name,
  unit,
  gauge: { dataPoints: [{ ...common(options), asInt: String(value) }] },
});

export const sum = (name: string, value: number, options: PointOptions = {}, unit = 'By', aggregationTemporality: unknown = 2) => ({
  name,
  unit,
  sum: { aggregationTemporality, isMonotonic: true, dataPoints: [{ ...common(options), asDouble: value }] },
});

export const histogram = (name: string, count: number, total: number, options: PointOptions = {}, unit = 's') => ({
  name,
  unit,
  histogram: {
    aggregationTemporality: 2,
    dataPoints: [{ ...common(options), count: String(count), sum: total, bucketCounts: [String(count)], explicitBounds: [] }],
  },
});

export const resourceOf = (attributes: Record<string, Scalar>, metrics: readonly object[]) => ({
  resource: { attributes: attributesOf(attributes) },
  scopeMetrics: [{ scope: { name: 'test' }, metrics }],
});

export const request = (...resourceMetrics: object[]) => JSON.stringify({ resourceMetrics });
