/** How figures are written for people: decimal units, tabular numerals, no false precision. */
import { bytesDigits, bytesText, scaledBytes } from '../../../shared/bytes-text.ts';

const MINUS = '\u2212';
const SPACE = '\u202f';

export const formatBytes = (bytes: number): string => bytesText(bytes, { minus: MINUS, space: SPACE });

export function formatSlope(bytesPerHour: number): string {
  if (Math.abs(bytesPerHour) < 500) return `0${SPACE}kB/h`;
  return `${bytesPerHour > 0 ? '+' : ''}${formatBytes(bytesPerHour)}/h`;
}

/** Both ends in the unit of the larger one: `38–45 MB/h`. */
export function formatSlopeInterval(low: number | null, high: number | null): string {
  if (low === null || high === null) return '';
  const widest = Math.max(Math.abs(low), Math.abs(high));
  const { value, unit } = scaledBytes(widest);
  if (widest === 0) return '';
  const divisor = widest / value;
  const write = (bytes: number) => {
    const text = bytesDigits(Math.abs(bytes) / divisor, unit);
    return bytes < 0 && Number(text) !== 0 ? MINUS + text : text;
  };
  return `${write(low)} to ${write(high)}${SPACE}${unit}/h`;
}

const SECOND = 1000;
const MINUTE = 60 * SECOND;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;

export function formatDuration(ms: number): string {
  if (ms < 90 * SECOND) return `${Math.max(0, Math.round(ms / SECOND))}${SPACE}s`;
  if (ms < 100 * MINUTE) return `${Math.round(ms / MINUTE)}${SPACE}min`;
  if (ms < 10 * HOUR) {
    const minutes = Math.round(ms / (5 * MINUTE)) * 5;
    return minutes % 60 === 0 ? `${minutes / 60}${SPACE}h` : `${Math.floor(minutes / 60)}${SPACE}h ${minutes % 60}${SPACE}min`;
  }
  if (ms < 2 * DAY) return `${Math.round(ms / HOUR)}${SPACE}h`;
  if (ms < 10 * DAY) return `${Number((ms / DAY).toFixed(1))}${SPACE}days`;
  return `${Math.round(ms / DAY)}${SPACE}days`;
}

export function formatAgo(at: number, now: number): string {
  return now - at < 10 * SECOND ? 'just now' : `${formatDuration(now - at)} ago`;
}

/** Time that is left until `at`; a moment that has passed is "any moment", not a negative number. */
export function formatLeft(at: number, now: number): string {
  return at <= now ? 'any moment' : formatDuration(at - now);
}

export function formatLeftInterval(earliest: number | null, latest: number | null, now: number): string {
  if (earliest === null) return '';
  if (latest === null) return `at the earliest ${formatLeft(earliest, now)}`;
  return `${formatLeft(earliest, now)} to ${formatLeft(latest, now)}`;
}

const sameDay = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit' });
const otherDay = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit' });
const full = new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium', timeStyle: 'medium' });

export function formatMoment(at: number, now: number): string {
  return (Math.abs(now - at) < 16 * HOUR ? sameDay : otherDay).format(at);
}

export const formatFullMoment = (at: number): string => full.format(at);

export const formatPercent = (share: number): string => `${Math.round(100 * share)}${SPACE}%`;

export const plural = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? '' : 's'}`;
