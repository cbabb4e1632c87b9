/** How figures stand in messages: decimal units, two significant digits where they are small, relative times. Pure. */
import { bytesDigits, bytesText, scaledBytes } from '../../shared/bytes-text.ts';

export const formatBytes = (bytes: number): string => bytesText(bytes, { minus: '−' });

export const formatSlope = (bytesPerHour: number): string => `${formatBytes(bytesPerHour)}/h`;

/** Both ends in the unit of the larger one: `15–21 MB/h`. */
export function formatSlopeInterval(low: number, high: number): string {
  const widest = Math.max(Math.abs(low), Math.abs(high));
  const { value, unit } = scaledBytes(widest);
  if (widest === 0) return '0 B/h';
  const divisor = widest / value;
  const write = (bytes: number) => `${bytes < 0 ? '−' : ''}${bytesDigits(Math.abs(bytes) / divisor, unit)}`;
  return write(low) === write(high) ? `${write(high)} ${unit}/h` : `${write(low)}–${write(high)} ${unit}/h`;
}

const SECOND = 1000;
const MINUTE = 60 * SECOND;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;

export function formatDuration(ms: number): string {
  if (ms < 90 * SECOND) return `${Math.max(0, Math.round(ms / SECOND))} s`;
  if (ms < 100 * MINUTE) return `${Math.round(ms / MINUTE)} min`;
  if (ms < 10 * HOUR) {
    const halves = Math.round((2 * ms) / HOUR) / 2;
    return `${halves} h`;
  }
  if (ms < 2 * DAY) return `${Math.round(ms / HOUR)} h`;
  if (ms < 10 * DAY) return `${(ms / DAY).toFixed(1).replace('.0', '')} days`;
  if (ms < 700 * DAY) return `${Math.round(ms / DAY)} days`;
  return `${Math.round(ms / (365 * DAY))} years`;
}

/** `5–11 h` where both ends have one unit, else `50 min – 3 h`. */
export function formatDurations(low: number, high: number): string {
  const [from, to] = [formatDuration(low), formatDuration(high)];
  if (from === to) return to;
  const [[fromValue = '', fromUnit = ''], [, toUnit = '']] = [from.split(' '), to.split(' ')];
  return fromUnit === toUnit ? `${fromValue}–${to}` : `${from} – ${to}`;
}

export const formatPercent = (share: number): string => `${share < 0.0995 ? (100 * share).toFixed(1) : Math.round(100 * share)} %`;

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];
const two = (value: number) => String(value).padStart(2, '0');

/** For channels that cannot show a moment in the reader's own time zone. */
export function formatMoment(at: number): string {
  const moment = new Date(at);
  return `${moment.getUTCDate()} ${MONTHS[moment.getUTCMonth()] ?? ''} ${two(moment.getUTCHours())}:${two(moment.getUTCMinutes())} UTC`;
}

/** At most `limit` characters, cut at a character and not within one, with an ellipsis. */
export function truncate(text: string, limit: number): string {
  if (text.length <= limit) return text;
  const cut = text.slice(0, Math.max(0, limit - 1));
  return `${/[\ud800-\udbff]$/.test(cut) ? cut.slice(0, -1) : cut}…`;
}

// eslint-disable-next-line no-control-regex -- control characters are what it looks for
const CONTROL = /[\u0000-\u001f\u007f\u2028\u2029\u202a-\u202e\u2066-\u2069]+/g;

/** Names and notes come from outside: one line, no control or direction marks, bounded. */
export const oneLine = (text: string, limit = 200): string => truncate(text.replace(CONTROL, ' ').trim(), limit);
