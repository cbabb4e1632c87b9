/** One signal of a service for the console's chart: a curve per lifetime, which other signals there are, and the memory limit. */
import type { BlockColumn } from '../series.ts';
import { curveStepMs, type CurvesQuery } from './curves.ts';
import { decodeNative } from './native-read.ts';
import { aggregateOf, blockNumberOf, inServices, inTime, servicesParams, sourceOf } from './series.ts';
import type { Store } from './store.ts';

/** Columns of the rollups that tell what a chart draws; raw samples have them without what is behind the last underscore. */
const TOLD_BY = {
  anonMin: ['anon_min', 'cgroup_anon_min'],
  rssLast: ['rss_last'],
  workingSetMin: ['working_set_min'],
  heapLiveLast: ['heap_live_last'],
  heapUsedMin: ['heap_used_min'],
} as const satisfies Partial<Record<BlockColumn, readonly string[]>>;

export type ChartColumn = keyof typeof TOLD_BY;

const CHART_COLUMNS = Object.keys(TOLD_BY) as ChartColumn[];

export interface ChartQuery extends Omit<CurvesQuery, 'instance' | 'columns'> {
  readonly column: ChartColumn;
}

export interface ChartCurve {
  readonly instance: string;
  readonly version: string;
  readonly lifetime: string;
  /** Start of each step that has a value, milliseconds UTC, ascending. */
  readonly time: number[];
  readonly values: number[];
}

export interface Chart {
  readonly stepMs: number;
  readonly curves: readonly ChartCurve[];
  /** What the service tells at all. */
  readonly told: readonly ChartColumn[];
  /** The newest there is; 0 = none known. */
  readonly memoryLimitBytes: number;
}

/** Asks for one column and no more of who the lifetimes are than the chart names: with all of a `Series` it takes twice the time. */
export async function readChart(store: Store, query: ChartQuery): Promise<Chart> {
  const { column, signal } = query;
  const services = [query];
  const stepMs = curveStepMs(query.to - query.from, query.points);
  const source = sourceOf(stepMs);
  const params = {
    ...servicesParams(services),
    from: Math.floor(query.from / stepMs) * stepMs,
    to: Math.ceil(query.to),
    blockMs: stepMs,
    blockSeconds: Math.floor(stepMs / 1000),
  };
  const where = `${inServices(services)} AND ${inTime(source.time)}`;
  // A row is only ever replaced by one of more samples, whose lowest value is no higher: what is low of all versions is that of the last.
  const final = column.endsWith('Min') ? '' : 'FINAL';
  const curves = `
    SELECT instance, lifetime, CAST(max(version_) AS String) AS version, groupArray(toFloat64(block)) AS time, groupArray(value) AS values
    FROM (
      SELECT instance, lifetime, ${blockNumberOf(source)} * {blockMs:Int64} AS block, max(version) AS version_, toFloat64(${aggregateOf(column, source)}) AS value
      FROM ${source.table} ${final} WHERE ${where}
      GROUP BY instance, lifetime, block
    )
    WHERE value IS NOT NULL
    GROUP BY instance, lifetime
    ORDER BY instance, lifetime`;
  // Without FINAL: an earlier version of a row tells no other columns, and its limit is older. To count what is not NULL the
  // engine reads a byte of each value and no value.
  const isRaw = source.table === 'raw_samples';
  const stored = (name: string) => (isRaw ? name.replace(/_(min|last)$/, '') : name);
  const limit = stored('memory_limit_last');
  const told = CHART_COLUMNS.map((name) => `${TOLD_BY[name].map((one) => `count(${stored(one)})`).join(' + ')} > 0 AS ${name}`);
  const facts = `
    SELECT ${told.join(', ')}, ifNull(argMaxIf(${limit}, ${isRaw ? 'time' : 'last_time'}, ${limit} > 0), 0) AS memoryLimitBytes
    FROM ${source.table} WHERE ${where}`;
  const [bytes, [known]] = await Promise.all([
    store.queryBytes(curves, 'Native', params, { signal }),
    store.query<Record<ChartColumn | 'memoryLimitBytes', number>>(facts, params, { signal }),
  ]);
  const table = decodeNative(bytes);
  const [instance, lifetime, version] = [table.strings('instance'), table.strings('lifetime'), table.strings('version')];
  const [time, values] = [table.arrays('time'), table.arrays('values')];
  return {
    stepMs,
    curves: time.map((times, row) => ({
      instance: instance[row]!,
      version: version[row]!,
      lifetime: lifetime[row]!,
      ...inOrder(times, values[row]!),
    })),
    told: CHART_COLUMNS.filter((name) => known![name] > 0),
    memoryLimitBytes: known!.memoryLimitBytes,
  };
}

/** The engine's threads finish blocks in any order. */
function inOrder(time: Float64Array, values: Float64Array): { time: number[]; values: number[] } {
  const order = [...time.keys()].sort((a, b) => time[a]! - time[b]!);
  return { time: order.map((at) => time[at]!), values: order.map((at) => values[at]!) };
}
