/** What stands in the chart besides the curves: limit, fit, extrapolation, deploys, restarts, OOM kills. */
import type UPlot from 'uplot';
import type { ChartLine, ChartMark, ChartModel } from './curve-data.ts';
import { formatBytes } from './format.ts';

export interface Colours {
  readonly ink: string;
  readonly muted: string;
  readonly line: string;
  readonly leak: string;
  readonly accent: string;
  readonly surface: string;
  readonly tones: readonly string[];
}

const TONES = 8;

export function readColours(element: Element): Colours {
  const style = getComputedStyle(element);
  const read = (name: string) => style.getPropertyValue(name).trim();
  return {
    ink: read('--ink'),
    muted: read('--muted'),
    line: read('--grid'),
    leak: read('--leak'),
    accent: read('--accent'),
    surface: read('--surface'),
    tones: Array.from({ length: TONES }, (_, index) => read(`--tone-${index}`)),
  };
}

interface Canvas {
  readonly plot: UPlot;
  readonly context: CanvasRenderingContext2D;
  /** Device pixels per CSS pixel. */
  readonly scale: number;
  readonly colours: Colours;
}

const xOf = ({ plot }: Canvas, at: number): number => plot.valToPos(at / 1000, 'x', true);
const yOf = ({ plot }: Canvas, bytes: number): number => plot.valToPos(bytes, 'y', true);

interface Stroke {
  readonly colour: string;
  readonly width: number;
  readonly dash: readonly number[];
}

function stroke(canvas: Canvas, points: readonly (readonly [number, number])[], { colour, width, dash }: Stroke): void {
  const { context, scale } = canvas;
  context.beginPath();
  points.forEach(([x, y], index) => (index === 0 ? context.moveTo(x, y) : context.lineTo(x, y)));
  context.strokeStyle = colour;
  context.lineWidth = width * scale;
  context.setLineDash(dash.map((length) => length * scale));
  context.stroke();
  context.setLineDash([]);
}

const drawLine = (canvas: Canvas, line: ChartLine, style: Stroke): void =>
  stroke(
    canvas,
    [
      [xOf(canvas, line.fromTime), yOf(canvas, line.fromBytes)],
      [xOf(canvas, line.toTime), yOf(canvas, line.toBytes)],
    ],
    style,
  );

function write(canvas: Canvas, text: string, x: number, y: number, colour: string, align: CanvasTextAlign, weight = 500): void {
  const { context, scale, colours } = canvas;
  context.font = `${weight} ${11 * scale}px Inter, system-ui, sans-serif`;
  context.textAlign = align;
  context.textBaseline = 'alphabetic';
  context.lineWidth = 4 * scale;
  context.lineJoin = 'round';
  context.strokeStyle = colours.surface;
  context.strokeText(text, x, y);
  context.fillStyle = colour;
  context.fillText(text, x, y);
}

function drawLimit(canvas: Canvas, limitBytes: number): void {
  const { plot, scale, colours } = canvas;
  const y = yOf(canvas, limitBytes);
  const { left, width } = plot.bbox;
  stroke(
    canvas,
    [
      [left, y],
      [left + width, y],
    ],
    { colour: colours.leak, width: 1.25, dash: [] },
  );
  write(canvas, `limit ${formatBytes(limitBytes)}`, left + 6 * scale, y - 5 * scale, colours.leak, 'left', 600);
}

function drawDeploy(canvas: Canvas, mark: ChartMark): void {
  const { plot, scale, colours } = canvas;
  const x = xOf(canvas, mark.at);
  const { top, height } = plot.bbox;
  stroke(
    canvas,
    [
      [x, top - 2 * scale],
      [x, top + height],
    ],
    { colour: colours.accent, width: 1, dash: [] },
  );
  const nearRight = x > plot.bbox.left + plot.bbox.width * 0.85;
  write(canvas, mark.label.slice(0, 24), nearRight ? x : x - scale, top - 6 * scale, colours.accent, nearRight ? 'right' : 'left', 600);
}

function drawEnd(canvas: Canvas, mark: ChartMark): void {
  const { plot, scale, colours } = canvas;
  const oom = mark.kind === 'oom';
  const y = plot.bbox.top + plot.bbox.height - 5 * scale;
  write(canvas, oom ? '\u2715' : '\u21bb', xOf(canvas, mark.at), y, oom ? colours.leak : colours.muted, 'center', 700);
}

export function drawFurniture(plot: UPlot, model: ChartModel, colours: Colours): void {
  const context = plot.ctx;
  const canvas: Canvas = { plot, context, scale: devicePixelRatio, colours };
  const { left, top, width, height } = plot.bbox;
  context.save();
  for (const mark of model.marks) if (mark.kind === 'deploy') drawDeploy(canvas, mark);
  context.beginPath();
  context.rect(left, top, width, height);
  context.clip();
  for (const fit of model.fits) drawLine(canvas, fit, { colour: colours.ink, width: 1.25, dash: [6, 4] });
  for (const line of model.extrapolations) drawLine(canvas, line, { colour: colours.leak, width: 1.75, dash: [2, 4] });
  if (model.limitBytes > 0) drawLimit(canvas, model.limitBytes);
  for (const mark of model.marks) if (mark.kind !== 'deploy') drawEnd(canvas, mark);
  context.restore();
}
