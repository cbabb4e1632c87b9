/** The chart of a message: which stretch of time, which curves, which marks. Pure. */
import type { ChartCurve, ChartMark, ChartModel } from '../../shared/chart.ts';
import type { Incident } from '../../shared/incident.ts';
import type { Series } from '../../shared/series.ts';
import { deploysOf, valuesOf } from './message-evidence.ts';
import { DAY, formatBytes, formatDuration, formatMoment, formatSlope, HOUR, oneLine } from './message-format.ts';

const SIGNAL_WORDS = {
  anon: 'anonymous memory',
  rss: 'resident memory',
  working_set: 'working set',
  heap_live: 'heap after full collections',
  heap_used: 'heap in use',
} as const;

const MIN_WINDOW_MS = 10 * 60_000;
const MAX_WINDOW_MS = 14 * DAY;
const MOST_CURVES = 12;

export interface ChartWindow {
  readonly from: number;
  readonly to: number;
}

/** From well before the growth began, so that the calm before it shows, to now. */
export function chartWindow(incident: Incident, at: number): ChartWindow {
  const began = Math.min(
    incident.judgement.onsetAt ?? incident.openedAt,
    incident.openedWith.onsetAt ?? incident.openedAt,
    incident.openedAt,
  );
  const to = incident.state === 'resolved' && incident.resolvedAt !== null ? Math.max(incident.resolvedAt, incident.judgement.at) : at;
  const length = Math.min(Math.max(1.5 * (to - began), MIN_WINDOW_MS), MAX_WINDOW_MS);
  return { from: to - length, to };
}

function curvesOf(incident: Incident, series: readonly Series[]): ChartCurve[] {
  const { signal, instances } = incident.judgement;
  const growing = new Set(instances);
  const named = new Set<string>();
  return [...series]
    .sort((a, b) => (b.time.at(-1) ?? 0) - (a.time.at(-1) ?? 0))
    .map((one) => {
      // An instance that was restarted has several lifetimes: the newest carries the name.
      const label = named.has(one.instance) ? '' : oneLine(one.instance, 40);
      named.add(one.instance);
      return { label, group: one.instance, time: one.time, bytes: valuesOf(one, signal), emphasis: growing.has(one.instance) };
    })
    .sort((a, b) => Number(b.emphasis) - Number(a.emphasis))
    .slice(0, MOST_CURVES);
}

function marksOf(series: readonly Series[], window: ChartWindow): ChartMark[] {
  const deploys = deploysOf(series)
    .slice(1)
    .filter(({ version, at }) => version !== '' && at > window.from)
    .map(({ version, at }): ChartMark => ({ kind: 'deploy', at, label: `${oneLine(version, 24)} deployed` }));
  const restarts = series
    .filter(
      ({ instance, endedAt }) => endedAt !== undefined && series.some((next) => next.instance === instance && next.startedAt >= endedAt),
    )
    .map(({ endedAt = 0 }): ChartMark => ({ kind: 'restart', at: endedAt, label: '' }));
  return [...deploys, ...restarts];
}

const clockTime = (at: number) => formatMoment(at).slice(-9, -4);

function exhaustsOf(incident: Incident, at: number): ChartModel['exhausts'] {
  const { exhaustsAt, exhaustsEarliest, exhaustsLatest } = incident.judgement;
  if (exhaustsAt === null || exhaustsAt <= at || incident.state === 'resolved' || incident.state === 'dismissed') return null;
  const label = exhaustsAt - at < 20 * HOUR ? `full at ${clockTime(exhaustsAt)}` : `full in ${formatDuration(exhaustsAt - at)}`;
  return { at: exhaustsAt, earliest: exhaustsEarliest, latest: exhaustsLatest, label };
}

/** undefined: nothing is stored that could be drawn. */
export function incidentChart(incident: Incident, series: readonly Series[], title: string, at: number): ChartModel | undefined {
  const { judgement } = incident;
  const window = chartWindow(incident, at);
  const curves = curvesOf(incident, series);
  const points = curves.reduce((count, { bytes }) => count + [...(bytes as Float64Array)].filter(Number.isFinite).length, 0);
  if (points < 2) return undefined;
  const over = incident.state === 'resolved' || incident.state === 'dismissed';
  const blockMs = Math.max(...series.map((one) => one.blockMs));
  const environment = incident.environment === '' ? [] : [oneLine(incident.environment, 40)];
  const version = judgement.version === '' ? [] : [oneLine(judgement.version, 40)];
  return {
    title,
    subtitle: [SIGNAL_WORDS[judgement.signal], ...environment, ...version].join(' · '),
    curves,
    fit: over ? null : judgement.fit,
    fitLabel: formatSlope(judgement.slopeBytesPerHour),
    limitBytes: judgement.limitBytes,
    limitLabel: `limit ${formatBytes(judgement.limitBytes)}`,
    exhausts: exhaustsOf(incident, at),
    marks: marksOf(series, window),
    ...window,
    gapMs: 3 * blockMs,
    formatBytes,
  };
}
