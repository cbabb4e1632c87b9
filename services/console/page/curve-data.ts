/** From curves and judgements to what the chart draws: columns, lines, marks, ranges. Pure. */
import type { ApiJudgement as Judgement } from '../api-schema.ts';
import type { Curves, ServiceDetail } from '../api-schema.ts';

export interface ChartCurve {
  readonly instance: string;
  readonly version: string;
  /** Same number = same instance = same colour. */
  readonly tone: number;
}

export interface ChartLine {
  readonly fromTime: number;
  readonly fromBytes: number;
  readonly toTime: number;
  readonly toBytes: number;
}

export interface ChartMark {
  readonly kind: 'deploy' | 'restart' | 'oom';
  readonly at: number;
  readonly label: string;
}

export interface ChartModel {
  /** Seconds, ascending, common to all curves. */
  readonly time: number[];
  readonly values: (number | null)[][];
  readonly curves: ChartCurve[];
  readonly fits: ChartLine[];
  readonly extrapolations: ChartLine[];
  readonly marks: ChartMark[];
  /** 0 = none, or too far above the curves to be drawn. */
  readonly limitBytes: number;
  readonly xRange: [number, number];
  readonly yRange: [number, number];
}

/** A gap longer than so many steps is a gap in the line too. */
const GAP_STEPS = 3;
/** A limit higher than this many times the highest value would flatten the curves. */
const LIMIT_REACH = 2.6;
/** Share of the range that may lie ahead of now. */
const AHEAD_SHARE = 0.35;
const MARGIN_SHARE = 0.02;
const MOST_FITS = 6;

/** Joins curves on one time axis; a pause in a curve becomes a null, so the line breaks there. */
export function joinCurves(curves: Curves['curves'], stepMs: number): { time: number[]; values: (number | null)[][] } {
  const moments = new Set<number>();
  for (const curve of curves) {
    curve.time.forEach((at, index) => {
      moments.add(at);
      const next = curve.time[index + 1];
      if (next !== undefined && next - at > GAP_STEPS * stepMs) moments.add(at + stepMs);
    });
  }
  const time = [...moments].sort((a, b) => a - b);
  const indexOf = new Map(time.map((at, index) => [at, index]));
  const values = curves.map((curve) => {
    // null breaks a line, undefined only skips a moment that is another curve's.
    const column = new Array<number | null | undefined>(time.length).fill(undefined);
    curve.time.forEach((at, index) => {
      column[indexOf.get(at) ?? 0] = curve.values[index] ?? null;
      const next = curve.time[index + 1];
      if (next !== undefined && next - at > GAP_STEPS * stepMs) column[indexOf.get(at + stepMs) ?? 0] = null;
    });
    return column as (number | null)[];
  });
  return { time: time.map((at) => at / 1000), values };
}

/** The pooled line where there is one, else those of the instances that grow. */
function fitsOf(judgements: readonly Judgement[], signal: Curves['signal'], version: string | undefined): Judgement[] {
  const fitting = judgements.filter((judgement) => judgement.fit !== null && judgement.signal === signal && judgement.verdict !== 'steady');
  const perInstance = fitting.filter((judgement) => judgement.instance !== '' && judgement.version === version);
  return perInstance.length > 0 ? perInstance.slice(0, MOST_FITS) : fitting.filter(({ instance }) => instance === '').slice(0, 1);
}

function extend({ fit, exhaustsAt }: Judgement, until: number): ChartLine[] {
  if (fit === null || exhaustsAt === null || fit.toTime <= fit.fromTime) return [];
  const toTime = Math.min(until, Math.max(exhaustsAt, fit.toTime));
  if (toTime <= fit.toTime) return [];
  const slope = (fit.toBytes - fit.fromBytes) / (fit.toTime - fit.fromTime);
  return [{ fromTime: fit.toTime, fromBytes: fit.toBytes, toTime, toBytes: fit.toBytes + slope * (toTime - fit.toTime) }];
}

function marksOf(detail: ServiceDetail, from: number, to: number): ChartMark[] {
  const within = ({ at }: ChartMark) => at > from && at <= to;
  const oldest = Math.min(...detail.versions.map(({ firstSeenAt }) => firstSeenAt));
  const deploys = detail.versions
    .filter(({ firstSeenAt, version }) => firstSeenAt > oldest && version !== '')
    .map(({ firstSeenAt, version }): ChartMark => ({ kind: 'deploy', at: firstSeenAt, label: version }));
  const ends = detail.lifetimes
    .filter(({ endedBy }) => endedBy === 'oom' || endedBy === 'restart')
    .map(({ endedBy, endedAt, lastSeenAt, instance }): ChartMark => {
      const kind = endedBy === 'oom' ? 'oom' : 'restart';
      return { kind, at: endedAt ?? lastSeenAt, label: instance };
    });
  return [...deploys, ...ends].filter(within);
}

function rangeOf(
  values: readonly (number | null | undefined)[][],
  lines: readonly ChartLine[],
  limitBytes: number,
): { yRange: [number, number]; limitBytes: number } {
  let low = Infinity;
  let high = -Infinity;
  const see = (value: number) => {
    if (value < low) low = value;
    if (value > high) high = value;
  };
  for (const column of values) for (const value of column) if (value !== null && value !== undefined) see(value);
  if (low > high) return { yRange: [0, 1], limitBytes: 0 };
  const shown = limitBytes > 0 && limitBytes <= high * LIMIT_REACH ? limitBytes : 0;
  for (const { fromBytes, toBytes } of lines)
    [fromBytes, toBytes].forEach((value) => see(Math.min(value, shown > 0 ? shown * 1.05 : high * LIMIT_REACH)));
  if (shown > 0) see(shown * 1.04);
  const span = Math.max(high - low, high * 0.08, 1);
  return { yRange: [Math.max(0, low - span * 0.18), high + span * 0.06], limitBytes: shown };
}

/** Nothing is shown of the time before the first sample but a margin. */
function beginOf({ from, to, curves }: Curves): number {
  const first = Math.min(to, ...curves.map(({ time }) => time[0] ?? to));
  return first >= to ? from : Math.max(from, first - MARGIN_SHARE * (to - first));
}

export function chartModel(curves: Curves, detail: ServiceDetail): ChartModel {
  const instances = [...new Set(curves.curves.map(({ instance }) => instance))].sort();
  const { time, values } = joinCurves(curves.curves, curves.stepMs);
  const judged = fitsOf(detail.judgements, curves.signal, detail.summary.judgement?.version);
  const from = beginOf(curves);
  const length = curves.to - from;
  const soonest = Math.min(...judged.map(({ exhaustsAt }) => exhaustsAt ?? Infinity));
  const end = soonest === Infinity ? curves.to : Math.min(curves.to + AHEAD_SHARE * length, Math.max(curves.to, soonest + 0.04 * length));
  const fits = judged.flatMap(({ fit }) => (fit === null ? [] : [fit]));
  const extrapolations = judged.flatMap((judgement) => extend(judgement, end));
  const { yRange, limitBytes } = rangeOf(values, extrapolations, curves.limitBytes);
  return {
    time,
    values,
    curves: curves.curves.map(({ instance, version }) => ({ instance, version, tone: instances.indexOf(instance) })),
    fits,
    extrapolations,
    marks: marksOf(detail, from, curves.to),
    limitBytes,
    xRange: [from / 1000, end / 1000],
    yRange,
  };
}
