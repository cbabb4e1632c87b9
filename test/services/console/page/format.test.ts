import { describe, expect, it } from 'vitest';
import {
  formatAgo,
  formatBytes,
  formatDuration,
  formatLeft,
  formatLeftInterval,
  formatSlope,
  formatSlopeInterval,
} from '../../../../services/console/page/format.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const plain = (text: string) => text.replaceAll('\u202f', ' ').replaceAll('\u2212', '-');

describe('bytes', () => {
  it.each([
    [0, '0 B'],
    [999, '999 B'],
    [999.6, '1.0 kB'],
    [1_500, '1.5 kB'],
    [9_960, '10 kB'],
    [410e6, '410 MB'],
    [999_600_000, '1.0 GB'],
    [-2.5e6, '-2.5 MB'],
  ])('%d is %s', (bytes, text) => expect(plain(formatBytes(bytes))).toBe(text));
});

describe('slope', () => {
  it.each([
    [14.2e6, '+14 MB/h'],
    [-3e6, '-3.0 MB/h'],
    [200, '0 kB/h'],
  ])('%d is %s', (slope, text) => expect(plain(formatSlope(slope))).toBe(text));

  it.each([
    [13e6, 15e6, '13 to 15 MB/h'],
    [-40e3, 40e3, '-40 to 40 kB/h'],
    [0.4e6, 2e6, '0.4 to 2.0 MB/h'],
    [null, 2e6, ''],
    [0, 0, ''],
  ])('from %s to %s is "%s"', (low, high, text) => expect(plain(formatSlopeInterval(low, high))).toBe(text));
});

describe('time', () => {
  it.each([
    [0, '0 s'],
    [75_000, '75 s'],
    [20 * MINUTE, '20 min'],
    [5 * HOUR + 20 * MINUTE, '5 h 20 min'],
    [6 * HOUR, '6 h'],
    [31 * HOUR, '31 h'],
    [60 * HOUR, '2.5 days'],
    [120 * HOUR, '5 days'],
    [20 * 24 * HOUR, '20 days'],
  ])('%d ms is %s', (ms, text) => expect(plain(formatDuration(ms))).toBe(text));

  it('a limit that should have been reached is near, not negative', () => expect(formatLeft(5, 10)).toBe('any moment'));
  it('a moment ago is just now', () => expect(formatAgo(1_000, 2_000)).toBe('just now'));
  it('an interval may have no end', () => {
    expect(plain(formatLeftInterval(HOUR * 5, null, 0))).toBe('at the earliest 5 h');
    expect(formatLeftInterval(null, null, 0)).toBe('');
  });
});
