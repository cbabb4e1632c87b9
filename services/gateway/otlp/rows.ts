/** Data points of one resource → sample rows: same second, same row. Pure. */
import { createHash } from 'node:crypto';
import { METRICS, type MetricName } from '../../../shared/sample.ts';
import { DERIVATIONS, RULES, rulesOf, unitFactor, type Ingredient, type Rule } from './mapping.ts';
import type { OtlpPoint } from './points.ts';

/** Why a data point was left out though its metric is mapped. */
export const POINT_REFUSALS = ['not_cumulative', 'not_a_number', 'no_time'] as const;

export type PointRefusal = (typeof POINT_REFUSALS)[number];

export interface SampleRow {
  /** Milliseconds UTC. */
  readonly time: number;
  readonly values: ReadonlyMap<MetricName, number>;
  /** Data points it was made of. */
  readonly points: number;
}

export interface ResourceRows {
  readonly rows: readonly SampleRow[];
  readonly refused: ReadonlyMap<PointRefusal, number>;
  /** Points in rows that say nothing about memory, so are no sample. */
  readonly withoutMemory: number;
}

/** Series (metric with attributes) → its latest value within the second. */
type SeriesValues = Map<string, { timeMs: number; value: number }>;

interface OpenRow {
  readonly rules: Map<Rule, SeriesValues>;
  points: number;
}

const RANK = new Map(RULES.map((rule, rank) => [rule, rank]));

const applies = ({ only, except }: Rule, { attributes }: OtlpPoint): boolean => {
  const has = ({ names, values }: NonNullable<Rule['only']>) => names.some((name) => values.includes(attributes[name] ?? ''));
  return (only === undefined || has(only)) && (except === undefined || !has(except));
};

function refusalOf(point: OtlpPoint, rules: readonly Rule[]): PointRefusal | null {
  if (point.temporality === 'other') return 'not_cumulative';
  if (!Number.isSafeInteger(point.timeMs) || point.timeMs <= 0) return 'no_time';
  return rules.every((rule) => Number.isFinite(readingOf(rule, point))) ? null : 'not_a_number';
}

/** A count has no unit to convert, whatever the unit of what was counted. */
function readingOf({ take }: Rule, point: OtlpPoint): number {
  return take === 'count' ? point.count : point[take ?? 'value'] * unitFactor(point.unit);
}

/** A sender lists the attributes of one series in one order. */
function seriesKey({ metric, attributes }: OtlpPoint): string {
  let key = metric;
  for (const name in attributes) key += `\0${name}\0${attributes[name]!}`;
  return key;
}

/** Of each part of a column the preferred metric, summed over its series; then the derived columns. */
function columnsOf({ rules }: OpenRow): Map<MetricName, number> {
  const values = new Map<MetricName | Ingredient, number>();
  const seen = new Set<string>();
  for (const [rule, series] of [...rules].sort(([a], [b]) => RANK.get(a)! - RANK.get(b)!)) {
    const part = `${rule.column}/${rule.part ?? ''}`;
    if (seen.has(part)) continue;
    seen.add(part);
    const total = [...series.values()].reduce((sum, { value }) => sum + value, 0);
    values.set(rule.column, (values.get(rule.column) ?? 0) + total);
  }
  for (const { column, compute } of DERIVATIONS) {
    const derived = values.has(column) ? undefined : compute(values);
    if (derived !== undefined) values.set(column, derived);
  }
  const columns = new Map<MetricName, number>();
  for (const [column, value] of values) {
    if (column in METRICS) columns.set(column as MetricName, METRICS[column as MetricName].unit === 's' ? value : Math.round(value));
  }
  return columns;
}

const isMemory = (column: MetricName): boolean => METRICS[column].unit === 'By' && column !== 'memory_limit' && column !== 'heap_limit';

/**
 * A sender may split one resource's metrics over several requests. The store keeps one row per lifetime and millisecond, so
 * rows of one second with different columns must differ in it: it is made of the columns' names, and a resend makes the same.
 */
function timeOf(secondMs: number, columns: ReadonlyMap<MetricName, number>): number {
  const names = [...columns.keys()].sort().join();
  return secondMs + (createHash('sha256').update(names).digest().readUInt32BE() % 1000);
}

function add(point: OtlpPoint, rules: readonly Rule[], open: Map<number, OpenRow>): void {
  const secondMs = Math.floor(point.timeMs / 1000) * 1000;
  let row = open.get(secondMs);
  if (row === undefined) open.set(secondMs, (row = { rules: new Map<Rule, SeriesValues>(), points: 0 }));
  row.points += 1;
  const key = seriesKey(point);
  for (const rule of rules) {
    let series = row.rules.get(rule);
    if (series === undefined) row.rules.set(rule, (series = new Map<string, { timeMs: number; value: number }>()));
    if (point.timeMs >= (series.get(key)?.timeMs ?? 0)) series.set(key, { timeMs: point.timeMs, value: readingOf(rule, point) });
  }
}

export function rowsOf(points: readonly OtlpPoint[]): ResourceRows {
  const open = new Map<number, OpenRow>();
  const refused = new Map<PointRefusal, number>();
  for (const point of points) {
    const rules = rulesOf(point.metric).filter((rule) => applies(rule, point));
    if (rules.length === 0) continue;
    const refusal = refusalOf(point, rules);
    if (refusal === null) add(point, rules, open);
    else refused.set(refusal, (refused.get(refusal) ?? 0) + 1);
  }
  const rows: SampleRow[] = [];
  let withoutMemory = 0;
  for (const [secondMs, row] of [...open].sort(([a], [b]) => a - b)) {
    const values = columnsOf(row);
    if ([...values.keys()].some(isMemory)) rows.push({ time: timeOf(secondMs, values), values, points: row.points });
    else withoutMemory += row.points;
  }
  return { rows, refused, withoutMemory };
}
