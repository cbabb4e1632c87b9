/** The chart of a service: a curve per process, fit and extrapolation, the limit, deploys, restarts and OOM kills. */
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import UPlot from 'uplot';
import type { Curves, ServiceDetail } from '../api-schema.ts';
import { chartModel, type ChartModel } from './curve-data.ts';
import { drawFurniture, readColours, type Colours } from './curve-drawing.ts';
import { formatBytes, formatFullMoment, formatMoment } from './format.ts';

const HEIGHT = 320;
const NARROW_HEIGHT = 240;
const MOST_LEGEND = 12;

interface Hover {
  readonly left: number;
  readonly at: number;
  readonly rows: readonly { readonly instance: string; readonly tone: number; readonly bytes: number }[];
}

/** Values nearest to the pointer, one per instance, largest first. */
function hoverAt(plot: UPlot, model: ChartModel): Hover | null {
  const { idx, left } = plot.cursor;
  if (idx === null || idx === undefined || left === undefined || left < 0) return null;
  const at = model.time[idx];
  if (at === undefined) return null;
  const nearest = new Map<string, { instance: string; tone: number; bytes: number }>();
  model.curves.forEach(({ instance, tone }, index) => {
    const bytes = valueNear(model.values[index] ?? [], idx);
    if (bytes !== null) nearest.set(instance, { instance, tone, bytes });
  });
  return { left, at: at * 1000, rows: [...nearest.values()].sort((a, b) => b.bytes - a.bytes).slice(0, 8) };
}

/** Curves have moments of their own: the value under the pointer may belong to a neighbour. */
function valueNear(column: readonly (number | null | undefined)[], index: number): number | null {
  for (let distance = 0; distance <= 4; distance += 1) {
    const value = column[index - distance] ?? column[index + distance];
    if (value !== null && value !== undefined) return value;
  }
  return null;
}

const dayTick = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short' });
const clockTick = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit' });
const fineTick = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit' });

/** 24 hours, and the date where a day begins. */
const axisTime = (_plot: UPlot, splits: number[], _axis: number, _space: number, stepSeconds: number): string[] =>
  splits.map((seconds) => {
    const clock = (stepSeconds < 60 ? fineTick : clockTick).format(seconds * 1000);
    return stepSeconds >= 86_400 || clock === '00:00' ? dayTick.format(seconds * 1000) : clock;
  });

const axisBytes = (_plot: UPlot, splits: number[]) => splits.map(formatBytes);

function optionsOf(
  model: ChartModel,
  colours: Colours,
  width: number,
  current: () => ChartModel,
  onHover: (hover: Hover | null) => void,
): UPlot.Options {
  const axis = {
    stroke: colours.muted,
    grid: { stroke: colours.line, width: 1 },
    ticks: { show: false },
    font: '12px Inter, system-ui, sans-serif',
  };
  return {
    width,
    height: width < 520 ? NARROW_HEIGHT : HEIGHT,
    padding: [18, 12, 0, 0],
    legend: { show: false },
    cursor: { y: false, points: { size: 6 }, drag: { x: false, y: false } },
    scales: { x: { time: true, range: () => current().xRange }, y: { range: () => current().yRange } },
    axes: [
      { ...axis, size: 30, grid: { show: false }, values: axisTime },
      { ...axis, size: 68, values: axisBytes, space: 48 },
    ],
    series: [
      {},
      ...model.curves.map(({ tone }) => ({
        stroke: colours.tones[tone % colours.tones.length] ?? colours.muted,
        width: 1.6,
        points: { show: false },
        spanGaps: false,
      })),
    ],
    hooks: {
      draw: [(plot) => drawFurniture(plot, current(), colours)],
      setCursor: [(plot) => onHover(hoverAt(plot, current()))],
    },
  };
}

function useColourScheme(): boolean {
  const [dark, setDark] = useState(() => matchMedia('(prefers-color-scheme: dark)').matches);
  useEffect(() => {
    const query = matchMedia('(prefers-color-scheme: dark)');
    const update = () => setDark(query.matches);
    query.addEventListener('change', update);
    return () => query.removeEventListener('change', update);
  }, []);
  return dark;
}

function Legend({ model, limitBytes }: { model: ChartModel; limitBytes: number }) {
  const instances = [...new Map(model.curves.map((curve) => [curve.instance, curve.tone]))].sort(([, a], [, b]) => a - b);
  const has = (kind: string) => model.marks.some((mark) => mark.kind === kind);
  return (
    <ul class="legend">
      {instances.slice(0, MOST_LEGEND).map(([instance, tone]) => (
        <li key={instance}>
          <i class={`swatch tone-${tone % 8}`} />
          {instance}
        </li>
      ))}
      {instances.length > MOST_LEGEND && <li class="muted">and {instances.length - MOST_LEGEND} more</li>}
      {model.fits.length > 0 && (
        <li>
          <i class="swatch fit" />
          fit
        </li>
      )}
      {model.extrapolations.length > 0 && (
        <li>
          <i class="swatch ahead" />
          if it goes on
        </li>
      )}
      {limitBytes > 0 && (
        <li>
          {model.limitBytes > 0 && <i class="swatch limit" />}
          limit {formatBytes(limitBytes)}
          {model.limitBytes > 0 ? '' : ', above the chart'}
        </li>
      )}
      {has('deploy') && (
        <li>
          <i class="swatch deploy" />
          deploy
        </li>
      )}
      {has('restart') && (
        <li>
          <i class="sign restart">↻</i>
          restart
        </li>
      )}
      {has('oom') && (
        <li>
          <i class="sign oom">✕</i>
          OOM kill
        </li>
      )}
    </ul>
  );
}

function HoverBox({ hover, width, now }: { hover: Hover; width: number; now: number }) {
  const onLeft = hover.left > width / 2;
  return (
    <div
      class={`hover ${onLeft ? 'hover-left' : ''}`}
      style={onLeft ? { right: `${width - hover.left - 56}px` } : { left: `${hover.left + 82}px` }}
    >
      <b title={formatFullMoment(hover.at)}>{formatMoment(hover.at, now)}</b>
      {hover.rows.map(({ instance, tone, bytes }) => (
        <div key={instance}>
          <i class={`swatch tone-${tone % 8}`} />
          <span class="hover-name">{instance}</span>
          <span class="tabular">{formatBytes(bytes)}</span>
        </div>
      ))}
    </div>
  );
}

export function CurveChart({ curves, detail }: { curves: Curves; detail: ServiceDetail }) {
  const model = useMemo(() => chartModel(curves, detail), [curves, detail]);
  const dark = useColourScheme();
  const host = useRef<HTMLDivElement>(null);
  const plot = useRef<UPlot | null>(null);
  const latest = useRef(model);
  latest.current = model;
  const [hover, setHover] = useState<Hover | null>(null);
  const [width, setWidth] = useState(0);
  const shape = `${curves.signal}|${String(dark)}|${model.curves.map(({ instance, version }) => `${instance}@${version}`).join()}`;

  useEffect(() => {
    const element = host.current;
    if (element === null) return undefined;
    const observer = new ResizeObserver(() => setWidth(Math.floor(element.clientWidth)));
    observer.observe(element);
    return () => observer.disconnect();
  }, []);

  // A new set of curves needs a new plot; new values of the same curves only new data, so nothing flickers.
  useEffect(() => {
    if (host.current === null || width === 0) return undefined;
    const made = new UPlot(
      optionsOf(model, readColours(host.current), width, () => latest.current, setHover),
      [model.time, ...model.values],
      host.current,
    );
    plot.current = made;
    return () => {
      plot.current = null;
      made.destroy();
    };
  }, [shape, width]);
  useEffect(() => plot.current?.setData([model.time, ...model.values]), [model]);

  const empty = model.time.length === 0;
  return (
    <div class="chart">
      <div
        ref={host}
        class="plot"
        role="img"
        aria-label={`${curves.signal} of ${model.curves.length} process lifetimes, from ${formatBytes(model.yRange[0])} to ${formatBytes(model.yRange[1])}`}
      />
      {empty && <p class="chart-empty">No samples of this signal in this range.</p>}
      {hover !== null && !empty && <HoverBox hover={hover} width={width} now={detail.at} />}
      <Legend model={model} limitBytes={curves.limitBytes} />
    </div>
  );
}
