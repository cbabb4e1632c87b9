/**
 * A chart of memory over time as SVG, drawn on the server for messages and reports: curves, the fitted line with its way to the
 * limit, deploys and restarts. Pure. An opaque light card, so it reads the same on dark and light backgrounds; UTC on the axis,
 * because nobody knows where the reader sits.
 */
import { scaleLinear, scaleUtc } from 'd3-scale';
import { line } from 'd3-shape';
import { placeLabels, textWidth, type PlacedLabel } from './chart-labels.ts';
import type { FittedLine } from './judgement.ts';

export interface ChartCurve {
  /** '' = not named. */
  readonly label: string;
  /** Curves of one instance (its lifetimes before and after a restart) share a group, and so a colour. */
  readonly group: string;
  /** Milliseconds UTC, ascending. */
  readonly time: ArrayLike<number>;
  /** NaN = no value there. */
  readonly bytes: ArrayLike<number>;
  /** Grows: drawn in colour and named; others stay grey. */
  readonly emphasis: boolean;
}

export interface ChartMark {
  readonly kind: 'deploy' | 'restart' | 'oom' | 'found';
  readonly at: number;
  readonly label: string;
}

/** A row of ticks below the curves, such as the alarms of a rule. */
export interface ChartLane {
  readonly label: string;
  readonly at: readonly number[];
}

export interface ChartModel {
  readonly title: string;
  readonly subtitle: string;
  readonly curves: readonly ChartCurve[];
  readonly fit: FittedLine | null;
  /** Stands at the fitted line ("18 MB/h"). */
  readonly fitLabel: string;
  /** 0 = none. Left out when it is so far above the curves that it would flatten them. */
  readonly limitBytes: number;
  readonly limitLabel: string;
  /** When the fitted line meets the limit, with interval; null = not in sight. */
  readonly exhausts: {
    readonly at: number;
    readonly earliest: number | null;
    readonly latest: number | null;
    readonly label: string;
  } | null;
  readonly marks: readonly ChartMark[];
  readonly lanes?: readonly ChartLane[];
  /** Range of the curves; what lies after `to` is forecast. */
  readonly from: number;
  readonly to: number;
  /** What `to` is; default: now. */
  readonly toLabel?: string;
  /** A pause between two points longer than this breaks the line. */
  readonly gapMs: number;
  /** Value as an axis label. */
  readonly formatBytes: (bytes: number) => string;
}

const SIZE = { width: 760, height: 400 };
const PLOT = { left: 72, right: 24, top: 84, bottom: 40 };
const INK = {
  text: '#1f2933',
  soft: '#66707c',
  grid: '#e7eaee',
  card: '#ffffff',
  edge: '#d9dee4',
  calm: '#aab4bf',
  limit: '#c92a2a',
  fit: '#1f2933',
};
const TONES = ['#e8590c', '#7048e8', '#0c8599', '#d6336c', '#5c940d'];
/** Further emphasised curves share one tone: nobody tells nine colours apart. */
const MOST_NAMED = TONES.length;
const LIMIT_REACH = 2.6;
/** Share of the width that may lie ahead of now. */
const AHEAD_SHARE = 0.42;
const FONT = "'DejaVu Sans', Verdana, sans-serif";

const LANE_HEIGHT = 22;
const MARK_TONES = { deploy: '#1971c2', oom: INK.limit, found: '#2b8a3e' } as const;

const escapes: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };
// eslint-disable-next-line no-control-regex -- control characters are what it looks for
const UNPRINTABLE = /[\u0000-\u001f\ufffe\uffff]/g;
export const escapeXml = (text: string) => text.replace(UNPRINTABLE, ' ').replace(/[&<>"']/g, (found) => escapes[found] ?? '');
const round = (value: number) => Math.round(value * 10) / 10;

/** Cut to what fits into so many pixels. */
function clip(text: string, width: number, size: number): string {
  if (textWidth(text, size) <= width) return text;
  let end = text.length;
  while (end > 1 && textWidth(text.slice(0, end), size) > width - size * 0.7) end -= 1;
  return `${text.slice(0, end).trimEnd()}…`;
}

interface TextStyle {
  readonly size: number;
  readonly fill: string;
  readonly anchor?: 'start' | 'middle' | 'end';
  readonly bold?: boolean;
  /** An outline in the colour of the card keeps text readable across lines. */
  readonly halo?: boolean;
}

function text(x: number, y: number, content: string, style: TextStyle): string {
  const halo = style.halo === true ? ` stroke="${INK.card}" stroke-width="4" stroke-linejoin="round" paint-order="stroke"` : '';
  const weight = style.bold === true ? ' font-weight="700"' : '';
  const anchor = style.anchor === undefined ? '' : ` text-anchor="${style.anchor}"`;
  return `<text x="${round(x)}" y="${round(y)}" font-size="${style.size}" fill="${style.fill}"${anchor}${weight}${halo}>${escapeXml(content)}</text>`;
}

const stroke = (x1: number, y1: number, x2: number, y2: number, attributes: string) =>
  `<line x1="${round(x1)}" y1="${round(y1)}" x2="${round(x2)}" y2="${round(y2)}" ${attributes}/>`;

interface Frame {
  readonly x: (at: number) => number;
  readonly y: (bytes: number) => number;
  readonly xTicks: readonly Date[];
  readonly yTicks: readonly number[];
  readonly yRange: readonly [number, number];
  readonly end: number;
  readonly limitBytes: number;
}

const right = SIZE.width - PLOT.right;
const bottom = SIZE.height - PLOT.bottom;

function highestAndLowest(model: ChartModel): [number, number] {
  let [low, high] = [Infinity, -Infinity];
  for (const { bytes } of model.curves) {
    for (let index = 0; index < bytes.length; index++) {
      const value = bytes[index] ?? NaN;
      if (value < low) low = value;
      if (value > high) high = value;
    }
  }
  if (model.fit !== null) {
    low = Math.min(low, model.fit.fromBytes, model.fit.toBytes);
    high = Math.max(high, model.fit.fromBytes, model.fit.toBytes);
  }
  return low > high ? [0, 1] : [low, high];
}

function frameOf(model: ChartModel): Frame {
  const length = Math.max(model.to - model.from, 1);
  const mostAhead = (length * AHEAD_SHARE) / (1 - AHEAD_SHARE);
  const { fit, exhausts } = model;
  // Room for the crossing and its label, or a little for the labels at the ends of the curves.
  const wanted = exhausts === null ? length * 0.12 : (exhausts.at - model.to) * 1.16 + length * 0.06;
  const end = model.to + Math.min(Math.max(wanted, length * 0.24), mostAhead);

  const [low, high] = highestAndLowest(model);
  const limitBytes = model.limitBytes > 0 && model.limitBytes <= high * LIMIT_REACH ? model.limitBytes : 0;
  let top = Math.max(high, limitBytes);
  if (fit !== null && exhausts !== null && limitBytes === 0) top = Math.max(top, Math.min(valueAt(fit, end), high * 1.6));
  const span = Math.max(top - low, top * 0.05, 1);
  const yRange: [number, number] = [Math.max(0, low - span * 0.12), top + span * 0.1];
  const xScale = scaleUtc().domain([model.from, end]).range([PLOT.left, right]);
  const yScale = scaleLinear().domain(yRange).range([bottom, PLOT.top]);
  return { x: (at) => xScale(at), y: (bytes) => yScale(bytes), xTicks: xScale.ticks(6), yTicks: yScale.ticks(5), yRange, end, limitBytes };
}

function valueAt(fit: FittedLine, at: number): number {
  const length = fit.toTime - fit.fromTime;
  return length <= 0 ? fit.toBytes : fit.toBytes + ((fit.toBytes - fit.fromBytes) / length) * (at - fit.toTime);
}

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];
const two = (value: number) => String(value).padStart(2, '0');

/** `21:40`; midnight and whole days as `24 Nov`. Seconds only where ticks are closer than a minute. */
function tickLabel(at: Date, stepMs: number): string {
  if (at.getUTCHours() === 0 && at.getUTCMinutes() === 0 && at.getUTCSeconds() === 0)
    return `${at.getUTCDate()} ${MONTHS[at.getUTCMonth()] ?? ''}`;
  const minutes = `${two(at.getUTCHours())}:${two(at.getUTCMinutes())}`;
  return stepMs < 60_000 ? `${minutes}:${two(at.getUTCSeconds())}` : minutes;
}

function axes(model: ChartModel, frame: Frame): string {
  const parts = frame.yTicks.map(
    (bytes) =>
      stroke(PLOT.left, frame.y(bytes), right, frame.y(bytes), `stroke="${INK.grid}"`) +
      text(PLOT.left - 8, frame.y(bytes) + 4, model.formatBytes(bytes), { size: 12, fill: INK.soft, anchor: 'end' }),
  );
  parts.push(stroke(PLOT.left, bottom, right, bottom, `stroke="${INK.calm}"`));
  const [first, second] = frame.xTicks;
  const stepMs = first === undefined || second === undefined ? Infinity : second.getTime() - first.getTime();
  for (const tick of frame.xTicks) {
    const x = frame.x(tick.getTime());
    // The corner belongs to the name of the time zone.
    if (x < PLOT.left + 22 || x > right - 14) continue;
    parts.push(stroke(x, bottom, x, bottom + 5, `stroke="${INK.calm}"`));
    parts.push(text(x, bottom + 20, tickLabel(tick, stepMs), { size: 12, fill: INK.soft, anchor: 'middle' }));
  }
  parts.push(text(PLOT.left - 8, bottom + 20, 'UTC', { size: 11, fill: INK.calm, anchor: 'end' }));
  return parts.join('');
}

function curvePath({ time, bytes }: ChartCurve, frame: Frame, { from, to, gapMs }: ChartModel): string {
  const points: [number, number][] = [];
  for (let index = 0; index < time.length; index++) {
    const at = time[index] ?? NaN;
    if (at < from || at > to) continue;
    const before = time[index - 1];
    if (before !== undefined && at - before > gapMs) points.push([NaN, NaN]);
    points.push([frame.x(at), frame.y(bytes[index] ?? NaN)]);
  }
  const path = line()
    .x(([x]) => round(x))
    .y(([, y]) => round(y))
    .defined(([, y]) => Number.isFinite(y));
  return path(points) ?? '';
}

const toneOf = (index: number) => TONES[Math.min(index, MOST_NAMED - 1)] ?? INK.text;

function curves(model: ChartModel, frame: Frame): { svg: string; labels: PlacedLabel[] } {
  const growing = [...new Set(model.curves.filter(({ emphasis }) => emphasis).map(({ group }) => group))];
  const groups = new Set(model.curves.map(({ group }) => group)).size;
  // The first stands on top.
  const ordered = [...model.curves].reverse().sort((a, b) => Number(a.emphasis) - Number(b.emphasis));
  const labels: PlacedLabel[] = [];
  const parts = ordered.map((curve) => {
    const rank = growing.indexOf(curve.group);
    const tone = curve.emphasis ? toneOf(rank) : INK.calm;
    const last = lastPoint(curve);
    const isNamed = curve.label !== '' && (curve.emphasis ? rank < MOST_NAMED : groups <= MOST_NAMED);
    if (last !== undefined && isNamed)
      labels.push({
        x: frame.x(last.at) + 6,
        y: frame.y(last.bytes) + 4,
        text: rank === MOST_NAMED - 1 && growing.length > MOST_NAMED ? `${growing.length - rank} more` : curve.label,
        tone: curve.emphasis ? tone : INK.soft,
      });
    const width = curve.emphasis ? 2.25 : 1.5;
    return `<path d="${curvePath(curve, frame, model)}" fill="none" stroke="${tone}" stroke-width="${width}" stroke-linejoin="round" stroke-linecap="round"/>`;
  });
  return { svg: parts.join(''), labels };
}

function lastPoint({ time, bytes }: ChartCurve): { at: number; bytes: number } | undefined {
  for (let index = time.length - 1; index >= 0; index--) {
    const [at, value] = [time[index] ?? NaN, bytes[index] ?? NaN];
    if (Number.isFinite(at) && Number.isFinite(value)) return { at, bytes: value };
  }
  return undefined;
}

function limit(model: ChartModel, frame: Frame): string {
  if (frame.limitBytes === 0) return '';
  const y = frame.y(frame.limitBytes);
  return (
    stroke(PLOT.left, y, right, y, `stroke="${INK.limit}" stroke-width="1.5"`) +
    text(PLOT.left + 6, y - 7, model.limitLabel, { size: 12, fill: INK.limit, bold: true, halo: true })
  );
}

/** The wedge between the earliest and the latest moment the limit may be met, the line to it, and the crossing. */
function forecast(model: ChartModel, frame: Frame): string {
  const { fit, exhausts } = model;
  if (fit === null) return '';
  const parts: string[] = [];
  const start = { x: frame.x(fit.toTime), y: frame.y(fit.toBytes) };
  parts.push(
    stroke(frame.x(fit.fromTime), frame.y(fit.fromBytes), start.x, start.y, `stroke="${INK.fit}" stroke-width="2" stroke-opacity="0.75"`),
  );
  if (exhausts === null) return parts.join('');
  const target = frame.limitBytes > 0 ? frame.limitBytes : valueAt(fit, exhausts.at);
  const edge = (at: number): [number, number] => {
    const slope = (target - fit.toBytes) / Math.max(at - fit.toTime, 1);
    const reach = Math.min(at, frame.end);
    return [frame.x(reach), frame.y(Math.min(fit.toBytes + slope * (reach - fit.toTime), frame.yRange[1]))];
  };
  if (exhausts.earliest !== null) {
    const early = edge(Math.max(exhausts.earliest, fit.toTime + 1));
    const late = edge(exhausts.latest ?? Infinity);
    const corner: [number, number][] =
      exhausts.earliest < frame.end ? [[frame.x(Math.min(exhausts.latest ?? Infinity, frame.end)), early[1]]] : [];
    const wedge = [[start.x, start.y], early, ...corner, late].map(([x = 0, y = 0]) => `${round(x)},${round(y)}`).join(' ');
    parts.push(`<polygon points="${wedge}" fill="${INK.limit}" fill-opacity="0.09"/>`);
  }
  const [x, y] = edge(exhausts.at);
  parts.push(stroke(start.x, start.y, x, y, `stroke="${INK.fit}" stroke-width="2" stroke-dasharray="6 5"`));
  if (exhausts.at <= frame.end && frame.limitBytes > 0) {
    parts.push(`<circle cx="${round(x)}" cy="${round(y)}" r="5.5" fill="${INK.card}" stroke="${INK.limit}" stroke-width="2.5"/>`);
    parts.push(
      text(Math.min(x, right), y - 12, exhausts.label, {
        size: 13,
        fill: INK.limit,
        bold: true,
        halo: true,
        anchor: x > right - 60 ? 'end' : 'middle',
      }),
    );
  } else {
    const above = frame.limitBytes > 0 ? frame.y(frame.limitBytes) - 8 : Math.max(y - 12, PLOT.top + 14);
    parts.push(text(right - 4, above, exhausts.label, { size: 13, fill: INK.limit, bold: true, halo: true, anchor: 'end' }));
  }
  return parts.join('');
}

function marks(model: ChartModel, frame: Frame): string {
  let free = -Infinity;
  return [...model.marks]
    .filter(({ at }) => at >= model.from && at <= frame.end)
    .sort((a, b) => a.at - b.at)
    .map(({ kind, at, label }) => {
      const x = frame.x(at);
      if (kind === 'restart') return `<path d="M${round(x)} ${bottom - 8}l5 8h-10z" fill="${INK.soft}"/>`;
      const tone = MARK_TONES[kind];
      const line = kind === 'found' ? 'stroke-width="1.5"' : 'stroke-dasharray="2 4"';
      const guide = stroke(x, PLOT.top, x, bottom, `stroke="${tone}" ${line}`);
      // Labels stand in one row above the plot; one that would touch the one before it is left to its line.
      const shown = clip(label, 120, 12);
      const width = textWidth(shown, 12) + 8;
      const from = Math.min(Math.max(x - width / 2, PLOT.left), right - width);
      if (label === '' || from < free) return guide;
      free = from + width + 4;
      return guide + text(from + width / 2, PLOT.top - 6, shown, { size: 12, fill: tone, anchor: 'middle', halo: true });
    })
    .join('');
}

/** One row a lane below the time axis: its name where the plot ends, a tick for each moment. */
function lanes({ lanes: rows = [], from, to }: ChartModel, frame: Frame): string {
  return rows
    .map(({ label, at }, index) => {
      const y = SIZE.height + (index + 0.5) * LANE_HEIGHT - 6;
      const ticks = at.filter((one) => one >= from && one <= to).map((one) => `M${round(frame.x(one))} ${round(y - 6)}v12`);
      return (
        stroke(PLOT.left, y, frame.x(to), y, `stroke="${INK.grid}"`) +
        (ticks.length === 0 ? '' : `<path d="${ticks.join('')}" stroke="${INK.limit}" stroke-width="2.5"/>`) +
        text(frame.x(to) + 8, y + 4, clip(label, right - frame.x(to) - 8, 12), { size: 12, fill: ticks.length === 0 ? INK.soft : INK.text })
      );
    })
    .join('');
}

export function chartHeight({ lanes: rows = [] }: Pick<ChartModel, 'lanes'>): number {
  return SIZE.height + rows.length * LANE_HEIGHT;
}

/** A label that would lie across the rising dashed line moves below its start. */
function clearOfForecast(label: PlacedLabel, { fit, exhausts }: ChartModel, frame: Frame): PlacedLabel {
  if (fit === null || exhausts === null) return label;
  const start = frame.y(fit.toBytes);
  const perPixel = (frame.y(valueAt(fit, frame.end)) - start) / Math.max(frame.x(frame.end) - frame.x(fit.toTime), 1);
  const behind = start + perPixel * textWidth(label.text, 13);
  return label.y > behind - 4 && label.y < start + 18 ? { ...label, y: start + 18 } : label;
}

/** Below the dashed line, so that it is clear which line it names; without a forecast behind the end of the fitted line. */
function fitLabelAt(model: ChartModel, fit: FittedLine, frame: Frame): PlacedLabel {
  const ahead = model.exhausts === null ? 0 : 0.55 * (Math.min(model.exhausts.at, frame.end) - fit.toTime);
  const at = fit.toTime + ahead;
  return { x: frame.x(at) + 8, y: frame.y(valueAt(fit, at)) + (ahead > 0 ? 20 : 4), text: model.fitLabel, tone: INK.fit };
}

/** An SVG document of 760 × 400 and its lanes; render at twice that for screens. */
export function chartSvg(model: ChartModel): string {
  const frame = frameOf(model);
  const drawn = curves(model, frame);
  const fitLabel: PlacedLabel[] = model.fit === null || model.fitLabel === '' ? [] : [fitLabelAt(model, model.fit, frame)];
  const labels = placeLabels([...drawn.labels.map((label) => clearOfForecast(label, model, frame)), ...fitLabel], {
    top: PLOT.top + 12,
    bottom: bottom - 6,
    lineHeight: 16,
  });
  const now = frame.x(model.to);
  const width = SIZE.width - 40;
  const height = chartHeight(model);
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${SIZE.width}" height="${height}" viewBox="0 0 ${SIZE.width} ${height}" font-family="${FONT}">`,
    `<rect x="0.5" y="0.5" width="${SIZE.width - 1}" height="${height - 1}" rx="10" fill="${INK.card}" stroke="${INK.edge}"/>`,
    text(20, 30, clip(model.title, width, 18.5), { size: 17, fill: INK.text, bold: true }),
    text(20, 52, clip(model.subtitle, width, 13), { size: 13, fill: INK.soft }),
    `<rect x="${round(now)}" y="${PLOT.top}" width="${round(right - now)}" height="${bottom - PLOT.top}" fill="#f6f7f9"/>`,
    axes(model, frame),
    stroke(now, PLOT.top, now, bottom, `stroke="${INK.calm}"`),
    text(now, bottom - 8, `${model.toLabel ?? 'now'} `, { size: 11, fill: INK.soft, anchor: 'end', halo: true }),
    marks(model, frame),
    drawn.svg,
    forecast(model, frame),
    limit(model, frame),
    lanes(model, frame),
    ...labels.map(({ x, y, text: content, tone }) =>
      text(x, y, clip(content, right - x, 12.5), { size: 12, fill: tone, bold: true, halo: true }),
    ),
    '</svg>',
  ].join('');
}
