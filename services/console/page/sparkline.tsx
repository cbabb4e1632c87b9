/** The floor of memory over the last day as a small line. Gaps stay gaps. */
import type { ServiceSummary } from '../api-schema.ts';
import { formatBytes } from './format.ts';

const WIDTH = 128;
const HEIGHT = 30;
const PAD = 3;

/** A flat line must look flat: a span below this share of the level is not stretched to the full height. */
const MIN_SPAN_SHARE = 0.1;

interface Scale {
  readonly x: (index: number) => number;
  readonly y: (value: number) => number;
}

function scaleOf(values: readonly (number | null)[]): Scale | null {
  const known = values.filter((value) => value !== null);
  if (known.length < 2) return null;
  const low = Math.min(...known);
  const high = Math.max(...known);
  const span = Math.max(high - low, high * MIN_SPAN_SHARE, 1);
  const bottom = (low + high) / 2 - span / 2;
  return {
    x: (index) => PAD + (index / (values.length - 1)) * (WIDTH - 2 * PAD),
    y: (value) => HEIGHT - PAD - ((value - bottom) / span) * (HEIGHT - 2 * PAD),
  };
}

export function sparklinePath(values: readonly (number | null)[]): string {
  const scale = scaleOf(values);
  if (scale === null) return '';
  let path = '';
  let pen = 'M';
  values.forEach((value, index) => {
    if (value === null) {
      pen = 'M';
      return;
    }
    path += `${pen}${scale.x(index).toFixed(1)} ${scale.y(value).toFixed(1)}`;
    pen = 'L';
  });
  return path;
}

export function Sparkline({ sparkline, tone }: { sparkline: ServiceSummary['sparkline']; tone: string }) {
  const { values } = sparkline;
  const known = values.filter((value) => value !== null);
  const scale = scaleOf(values);
  const first = known[0];
  const last = known.at(-1);
  if (scale === null || first === undefined || last === undefined) return <span class="muted small">no history yet</span>;
  return (
    <svg
      class={`sparkline ${tone}`}
      viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
      width={WIDTH}
      height={HEIGHT}
      role="img"
      aria-label={`from ${formatBytes(first)} to ${formatBytes(last)}`}
    >
      <path d={sparklinePath(values)} />
      <circle cx={scale.x(values.lastIndexOf(last))} cy={scale.y(last)} r="2.2" />
    </svg>
  );
}
