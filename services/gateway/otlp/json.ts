/** ExportMetricsServiceRequest in OTLP's JSON: lowerCamelCase names, 64-bit numbers as text, unknown fields ignored. */
import { LeaklineError } from '../../../shared/errors.ts';
import type { OtlpPoint, PointCollector, Temporality } from './points.ts';
import { NO_RECORDED_VALUE } from './protobuf.ts';

type Fields = Readonly<Record<string, unknown>>;

const fields = (value: unknown): Fields => (typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Fields) : {});
const list = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);
const text = (value: unknown): string => (typeof value === 'string' ? value : '');

/** A JSON number or its text (64-bit integers, "NaN"); NaN where there is neither. */
function number(value: unknown): number {
  if (typeof value === 'number') return value;
  return typeof value === 'string' && value.trim() !== '' ? Number(value) : NaN;
}

function timeMs(value: unknown): number {
  const nanoseconds = number(value);
  return Number.isFinite(nanoseconds) && nanoseconds > 0 ? Math.floor(nanoseconds / 1e6) : 0;
}

function attributes(value: unknown): Record<string, string> {
  const named: Record<string, string> = {};
  for (const entry of list(value)) {
    const { key, value: any } = fields(entry);
    const { stringValue, boolValue, intValue, doubleValue } = fields(any);
    const scalar = stringValue ?? boolValue ?? intValue ?? doubleValue;
    if (typeof key === 'string' && (typeof scalar === 'string' || typeof scalar === 'number' || typeof scalar === 'boolean')) {
      named[key] = String(scalar);
    }
  }
  return named;
}

const KINDS: readonly { readonly name: string; readonly fixed?: Temporality }[] = [
  { name: 'gauge', fixed: 'gauge' },
  { name: 'sum' },
  { name: 'histogram' },
  { name: 'exponentialHistogram' },
  { name: 'summary', fixed: 'cumulative' },
];

function decodePoint(value: unknown, metric: Pick<OtlpPoint, 'metric' | 'unit' | 'temporality'>, isNumber: boolean): OtlpPoint {
  const point = fields(value);
  return {
    metric: metric.metric,
    unit: metric.unit,
    temporality: metric.temporality,
    attributes: attributes(point['attributes']),
    startMs: timeMs(point['startTimeUnixNano']),
    timeMs: timeMs(point['timeUnixNano']),
    value: isNumber ? number(point['asDouble'] ?? point['asInt']) : NaN,
    count: isNumber ? NaN : number(point['count']),
    sum: isNumber ? NaN : number(point['sum']),
  };
}

function decodeMetric(value: unknown, into: PointCollector): void {
  const metric = fields(value);
  const name = text(metric['name']);
  if (!into.wanted(name)) return;
  for (const { name: kind, fixed } of KINDS) {
    const data = fields(metric[kind]);
    const given = data['aggregationTemporality'];
    const isCumulative = given === 2 || given === 'AGGREGATION_TEMPORALITY_CUMULATIVE';
    const temporality = fixed ?? (isCumulative ? 'cumulative' : 'other');
    for (const point of list(data['dataPoints'])) {
      if (((number(fields(point)['flags']) || 0) & NO_RECORDED_VALUE) !== 0) continue;
      into.add(decodePoint(point, { metric: name, unit: text(metric['unit']), temporality }, kind === 'gauge' || kind === 'sum'));
    }
  }
}

/** Throws LKL_ERR_REQUEST_MALFORMED or LKL_ERR_REQUEST_TOO_LARGE and nothing else. */
export function decodeJson(body: Buffer, into: PointCollector): void {
  let root: unknown;
  try {
    root = JSON.parse(body.toString('utf8'));
  } catch (error) {
    throw new LeaklineError('LKL_ERR_REQUEST_MALFORMED', 'body is not JSON', { cause: error });
  }
  const { resourceMetrics } = fields(root);
  if (!Array.isArray(resourceMetrics) && Object.keys(fields(root)).length > 0) {
    throw new LeaklineError('LKL_ERR_REQUEST_MALFORMED', 'body is not an OTLP ExportMetricsServiceRequest: no `resourceMetrics` array');
  }
  if (typeof root !== 'object' || root === null || Array.isArray(root)) {
    throw new LeaklineError('LKL_ERR_REQUEST_MALFORMED', 'body is not an OTLP ExportMetricsServiceRequest: not a JSON object');
  }
  for (const resourceMetric of list(resourceMetrics)) {
    const { resource, scopeMetrics } = fields(resourceMetric);
    for (const scope of list(scopeMetrics)) {
      for (const metric of list(fields(scope)['metrics'])) decodeMetric(metric, into);
    }
    into.endResource(attributes(fields(resource)['attributes']));
  }
}
