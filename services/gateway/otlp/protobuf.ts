/**
 * ExportMetricsServiceRequest in protobuf, read field by field (numbers: opentelemetry-proto v1, metrics.proto and common.proto).
 * No object is made for what is not wanted, so a body of millions of empty messages costs time but no memory.
 */
import protobuf from 'protobufjs/minimal.js';
import { LeaklineError } from '../../../shared/errors.ts';
import type { OtlpPoint, PointCollector, Temporality } from './points.ts';

const { Reader, Writer } = protobuf;
type Reader = protobuf.Reader;

const WIRE_LENGTH_DELIMITED = 2;
/** DataPointFlags.FLAG_NO_RECORDED_VALUE_MASK: the series ended. */
export const NO_RECORDED_VALUE = 1;
const CUMULATIVE = 2;

/** Calls `visit` for each field up to `end`; what it does not consume (false) is skipped. */
function eachField(reader: Reader, end: number, visit: (field: number) => boolean): void {
  while (reader.pos < end) {
    const tag = reader.uint32();
    if (!visit(tag >>> 3)) reader.skipType(tag & 7);
  }
  if (reader.pos !== end) throw new RangeError('a message is longer than what holds it');
}

function endOfMessage(reader: Reader): number {
  const length = reader.uint32();
  const end = reader.pos + length;
  if (end > reader.len) throw new RangeError('a message is longer than the body');
  return end;
}

/** 2^53 and more lose their last bits, which nothing here needs. */
const readFixed64 = (reader: Reader): number => reader.fixed32() + reader.fixed32() * 2 ** 32;
const readSignedFixed64 = (reader: Reader): number => reader.fixed32() + reader.sfixed32() * 2 ** 32;
const readTimeMs = (reader: Reader): number => Math.floor(readFixed64(reader) / 1e6);

/** AnyValue: scalars as text; arrays, maps and bytes have no use here. */
function readAnyValue(reader: Reader): string | undefined {
  let text: string | undefined;
  eachField(reader, endOfMessage(reader), (field) => {
    if (field === 1) text = reader.string();
    else if (field === 2) text = String(reader.bool());
    else if (field === 3) text = String(Number(reader.int64()));
    else if (field === 4) text = String(reader.double());
    else return false;
    return true;
  });
  return text;
}

function readAttribute(reader: Reader, into: Record<string, string>): true {
  let key = '';
  let value: string | undefined;
  eachField(reader, endOfMessage(reader), (field) => {
    if (field === 1) key = reader.string();
    else if (field === 2) value = readAnyValue(reader);
    else return false;
    return true;
  });
  if (value !== undefined) into[key] = value;
  return true;
}

/** Where each kind of data point keeps what is of use; start is always field 2, time 3. */
interface PointLayout {
  readonly attributes: number;
  readonly flags: number;
  readonly double?: number;
  readonly int?: number;
  readonly count?: number;
  readonly sum?: number;
}

const NUMBER: PointLayout = { attributes: 7, flags: 8, double: 4, int: 6 };
const HISTOGRAM: PointLayout = { attributes: 9, flags: 10, count: 4, sum: 5 };
const EXPONENTIAL_HISTOGRAM: PointLayout = { attributes: 1, flags: 10, count: 4, sum: 5 };
const SUMMARY: PointLayout = { attributes: 7, flags: 8, count: 4, sum: 5 };

/** Field of Metric → layout of its points. A gauge has no temporality, a summary is cumulative by definition. */
const DATA: Readonly<Record<number, { readonly layout: PointLayout; readonly fixed?: Temporality }>> = {
  5: { layout: NUMBER, fixed: 'gauge' },
  7: { layout: NUMBER },
  9: { layout: HISTOGRAM },
  10: { layout: EXPONENTIAL_HISTOGRAM },
  11: { layout: SUMMARY, fixed: 'cumulative' },
};

type Measured = Omit<OtlpPoint, 'metric' | 'unit' | 'temporality'>;

function readPoint(reader: Reader, layout: PointLayout): Measured | null {
  const attributes: Record<string, string> = {};
  let [startMs, timeMs, value, count, sum, flags] = [0, 0, NaN, NaN, NaN, 0];
  eachField(reader, endOfMessage(reader), (field) => {
    if (field === 2) startMs = readTimeMs(reader);
    else if (field === 3) timeMs = readTimeMs(reader);
    else if (field === layout.attributes) readAttribute(reader, attributes);
    else if (field === layout.double || field === layout.sum) {
      const number = reader.double();
      if (field === layout.sum) sum = number;
      else value = number;
    } else if (field === layout.int) value = readSignedFixed64(reader);
    else if (field === layout.count) count = readFixed64(reader);
    else if (field === layout.flags) flags = reader.uint32();
    else return false;
    return true;
  });
  return (flags & NO_RECORDED_VALUE) === 0 ? { attributes, startMs, timeMs, value, count, sum } : null;
}

/** The data of one metric. Its temporality may stand behind its points: looked up first, so that no point has to be held back. */
function readData(reader: Reader, start: number, field: number, metric: Pick<OtlpPoint, 'metric' | 'unit'>, into: PointCollector): void {
  const { layout, fixed } = DATA[field]!;
  let temporality: Temporality = fixed ?? 'other';
  reader.pos = start;
  const end = endOfMessage(reader);
  const first = reader.pos;
  eachField(reader, end, (part) => {
    if (part !== 2 || fixed !== undefined) return false;
    temporality = reader.int32() === CUMULATIVE ? 'cumulative' : 'other';
    return true;
  });
  reader.pos = first;
  eachField(reader, end, (part) => {
    if (part !== 1) return false;
    const point = readPoint(reader, layout);
    if (point !== null) into.add({ ...metric, temporality, ...point });
    return true;
  });
}

/** Name and unit may stand behind the data, so the data is read last. Of several kinds of data only the last counts (a oneof). */
function readMetric(reader: Reader, into: PointCollector): true {
  let [metric, unit] = ['', ''];
  let data: { field: number; start: number } | undefined;
  const end = endOfMessage(reader);
  eachField(reader, end, (field) => {
    if (field === 1) metric = reader.string();
    else if (field === 3) unit = reader.string();
    else {
      if (field in DATA) data = { field, start: reader.pos };
      return false;
    }
    return true;
  });
  if (data !== undefined && into.wanted(metric)) readData(reader, data.start, data.field, { metric, unit }, into);
  reader.pos = end;
  return true;
}

function readResourceMetrics(reader: Reader, into: PointCollector): void {
  const attributes: Record<string, string> = {};
  eachField(reader, endOfMessage(reader), (field) => {
    if (field === 1) eachField(reader, endOfMessage(reader), (part) => part === 1 && readAttribute(reader, attributes));
    else if (field === 2) eachField(reader, endOfMessage(reader), (part) => part === 2 && readMetric(reader, into));
    else return false;
    return true;
  });
  into.endResource(attributes);
}

/** Throws LKL_ERR_REQUEST_MALFORMED or LKL_ERR_REQUEST_TOO_LARGE and nothing else. */
export function decodeProtobuf(body: Buffer, into: PointCollector): void {
  const reader = Reader.create(body);
  try {
    eachField(reader, reader.len, (field) => {
      if (field !== 1) return false;
      readResourceMetrics(reader, into);
      return true;
    });
  } catch (error) {
    if (error instanceof LeaklineError) throw error;
    throw new LeaklineError('LKL_ERR_REQUEST_MALFORMED', 'body is not an OTLP ExportMetricsServiceRequest in protobuf', { cause: error });
  }
}

const tag = (field: number, wireType: number) => (field << 3) | wireType;

/** ExportMetricsServiceResponse; empty when everything was taken. */
export function encodeProtobufResponse(rejected: number, message: string): Buffer {
  const writer = Writer.create();
  if (rejected > 0 || message !== '') {
    writer.uint32(tag(1, WIRE_LENGTH_DELIMITED)).fork();
    writer.uint32(tag(1, 0)).int64(rejected);
    writer.uint32(tag(2, WIRE_LENGTH_DELIMITED)).string(message);
    writer.ldelim();
  }
  return Buffer.from(writer.finish());
}

/** google.rpc.Status, which OTLP wants as the body of errors. */
export function encodeProtobufStatus(code: number, message: string): Buffer {
  return Buffer.from(Writer.create().uint32(tag(1, 0)).int32(code).uint32(tag(2, WIRE_LENGTH_DELIMITED)).string(message).finish());
}
