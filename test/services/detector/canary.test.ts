import { describe, expect, it } from 'vitest';
import { AgeProfile } from '../../../services/detector/age-profile.ts';
import { policyFor } from '../../../services/detector/policy.ts';
import { ServiceHistory } from '../../../services/detector/service.ts';
import { MB, noise, seriesOf, START } from './series-of.ts';

const MINUTE = 60_000;
const DAY = 1440;

/** Two versions one after the other, two days each, growing from their first minute; megabytes a minute. */
function explanationOf(before: number, now: number): string {
  const history = new ServiceHistory('shop', '', policyFor('production'));
  const versions = [before, now].map((perMinute, life) =>
    seriesOf({
      blockMs: MINUTE,
      count: 2 * DAY,
      from: START + life * 2 * DAY * MINUTE,
      identity: { version: `v${String(life + 41)}`, instance: `shop-0-${String(life)}`, lifetime: `life-${String(life)}` },
      columns: {
        rssMin: (minute) => (300 + perMinute * minute + noise(minute)) * MB,
        memoryLimitLast: () => 900 * MB,
      },
    }),
  );
  for (let minute = 5; minute <= 4 * DAY; minute += 5) {
    history.addAll(versions, START + minute * MINUTE);
    history.advance(START + minute * MINUTE);
  }
  return history.judge(START + 4 * DAY * MINUTE).pooled.map(({ explanation }) => explanation)[0] ?? '';
}

describe('a version against the one before it at equal age', () => {
  it('says how much more the new one grows', () => {
    const told = /v42 grows ([\d.]+) MB\/h more than v41 at the same age/.exec(explanationOf(0, 0.17));
    expect(Number(told?.[1])).toBeGreaterThanOrEqual(9);
    expect(Number(told?.[1])).toBeLessThanOrEqual(11);
  });

  it('says that the old one grew alike', () => {
    expect(explanationOf(0.15, 0.15)).toContain('v41 grew alike at the same age');
  });
});

it('knows the slope between two ages that were both seen, and nothing else', () => {
  const profile = new AgeProfile(10);
  for (let age = 10; age < 1000; age += 1) profile.add(age, 500 + 3 * age);
  expect(profile.slope(100, 900)).toBeGreaterThan(2.5);
  expect(profile.slope(100, 900)).toBeLessThan(3.5);
  expect(profile.slope(100, 5000)).toBeUndefined();
  expect(profile.slope(100, 101)).toBeUndefined();
  expect(new AgeProfile(10).slope(20, 400)).toBeUndefined();
});
