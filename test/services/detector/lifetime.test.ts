import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ServiceHistory } from '../../../services/detector/service.ts';
import { policyFor } from '../../../services/detector/policy.ts';
import { MB, noise, seriesOf, START } from './series-of.ts';

const MINUTE = 60_000;
const policy = policyFor('production');

/** Watches `days` of minutes; returns the pooled judgement at the end and when it first leaked, minutes. */
function watch(level: (minute: number) => number, days: number, more: Record<string, (minute: number) => number> = {}, from = START) {
  const history = new ServiceHistory('shop', '', policy);
  const count = days * 1440;
  const series = seriesOf({
    blockMs: MINUTE,
    count,
    from,
    columns: { rssMin: (minute) => level(minute) * MB, memoryLimitLast: () => 1000 * MB, ...more },
  });
  let leakedAt: number | undefined;
  for (let minute = 5; minute <= count; minute += 5) {
    history.addAll([series], from + minute * MINUTE);
    history.advance(from + minute * MINUTE);
    if (leakedAt === undefined && history.hasLeak()) leakedAt = minute;
  }
  const [pooled] = history.judge(from + count * MINUTE).pooled;
  return { leakedAt, pooled };
}

/** Lives of `hours` one after the other, each with its level by its age; returns which of them were found leaking. */
function watchLives(hours: number, lives: number, level: (minute: number, life: number) => number): number[] {
  const history = new ServiceHistory('shop', '', policy);
  const leaking = new Set<number>();
  for (let life = 0; life < lives; life += 1) {
    const from = START + life * hours * 60 * MINUTE;
    const series = seriesOf({
      blockMs: MINUTE,
      count: hours * 60 - 4,
      from,
      identity: { instance: `shop-0-${String(life)}`, lifetime: `life-${String(life)}` },
      columns: { rssMin: (minute) => level(minute, life) * MB, memoryLimitLast: () => 1000 * MB },
    });
    for (let minute = 5; minute <= hours * 60; minute += 5) {
      history.addAll([series], from + minute * MINUTE);
      history.advance(from + minute * MINUTE);
      if (history.hasLeak()) leaking.add(life);
    }
  }
  return [...leaking];
}

describe('lives of hours', () => {
  // The level of a warm-up that is not over when the life ends looks like growth in each of them.
  it('that end in their warm-up teach the level they reach', () => {
    const warming = (minute: number, life: number) => 420 - 120 * Math.exp(-minute / 90) + 5 * noise(minute + 977 * life);
    expect(watchLives(2, 40, warming)).toEqual([]);
  });

  it('that climb most of the way to their limit are a leak', () => {
    const crashing = (minute: number, life: number) => 300 + 3.6 * minute + 4 * noise(minute + 977 * life);
    expect(watchLives(3, 5, crashing).length).toBeGreaterThanOrEqual(3);
  });
});

describe('a job that runs every day at two', () => {
  const hour = 60;
  const day = 24 * hour;
  /** Steps of so many MB at these minutes, above a load of 10 MB by day. */
  const stairs =
    (...steps: readonly (readonly [minute: number, bytes: number])[]) =>
    (minute: number) =>
      300 +
      10 * Math.sin((2 * Math.PI * minute) / day) +
      2 * noise(minute) +
      steps.reduce((sum, [at, mb]) => sum + (minute < at ? 0 : mb), 0);
  const [second, third] = [3 * day + 2 * hour, 4 * day + 2 * hour];

  it('and leaks each time is found by its second run', () => {
    const { leakedAt = Number.NaN, pooled } = watch(stairs([second, 40], [third, 40]), 5);
    expect(leakedAt).toBeGreaterThan(third);
    expect(leakedAt).toBeLessThan(third + 7 * hour);
    expect(pooled).toMatchObject({ verdict: 'leak', explanation: expect.stringContaining('in a step a day about 02:00 UTC') as string });
    expect((pooled?.slopeBytesPerHour ?? 0) / ((40 * MB) / 24)).toBeCloseTo(1, 0);
  });

  it.each([
    ['takes memory once', stairs([second, 80])],
    ['takes half as much the second time', stairs([second, 55], [third, 25])],
    ['runs at another time the second day', stairs([second, 40], [third - 7 * hour, 40])],
    [
      'gives back what it took',
      (minute: number) => stairs()(minute) + (minute > second && minute % day < 8 * hour && minute % day > 2 * hour ? 40 : 0),
    ],
  ])('and %s is none', (_, level) => {
    expect(watch(level, 6).leakedAt).toBeUndefined();
  });

  it('is told from memory that flows away all day', () => {
    const slow = (minute: number) => stairs()(minute) + Math.max(0, (40 * (minute - second)) / day);
    const { leakedAt = Number.NaN } = watch(slow, 6);
    // Not by steps, but by the gates for slopes.
    expect(leakedAt).toBeGreaterThan(second + 28 * hour);
  });
});

describe('lives of a day whose load hides what they grow by', () => {
  /** From 300 MB at night to 340 MB at noon, and `grown` MB by the end of the day. */
  const day = (minute: number, life: number, grown: number) =>
    320 - 20 * Math.cos((2 * Math.PI * minute) / 1440) + 4 * noise(minute + 977 * life) + (grown * minute) / 1440;

  it('are found leaking together until one of them does not', () => {
    const leaking = watchLives(24, 20, (minute, life) => day(minute, life, life >= 7 && life < 15 ? 18 : 0));
    expect(leaking).toEqual([12, 13, 14, 15]);
  });

  it('are steady where all grow alike, or none', () => {
    expect(watchLives(24, 15, (minute, life) => day(minute, life, 0))).toEqual([]);
  });
});

describe('a lifetime', () => {
  it('with a climb as old as the process has no settled past, however long it is watched', () => {
    // The first hours of a line are a past that drifts little only because it is short.
    const { leakedAt } = watch((minute) => 300 + 0.2 * minute + noise(minute), 1.9, { heapUsedMin: (minute) => (200 + 0.2 * minute) * MB });
    expect(leakedAt).toBeUndefined();
  });

  it.each([
    ['flat', (minute: number) => 300 + 3 * noise(minute)],
    ['a sawtooth of three hours', (minute: number) => 300 + 150 * ((minute % 180) / 180)],
    ['a warm-up of two hours', (minute: number) => 500 - 300 * Math.exp(-minute / 120) + noise(minute)],
    ['a daily rhythm', (minute: number) => 400 + 80 * Math.sin((2 * Math.PI * minute) / 1440) + noise(minute)],
    ['one step', (minute: number) => (minute < 2000 ? 300 : 420) + noise(minute)],
    [
      'a dip and its recovery',
      (minute: number) => (minute < 2000 || minute > 3400 ? 400 : 250 + (150 * (minute - 2000)) / 1400) + noise(minute),
    ],
  ])('with %s is no leak', (_, level) => {
    expect(watch(level, 4).leakedAt).toBeUndefined();
  });

  it('follows its load and says so', () => {
    const load = (minute: number) => 100 + minute / 40 + 40 * Math.sin((2 * Math.PI * minute) / 1440);
    const { leakedAt, pooled } = watch((minute) => 300 + 0.6 * load(minute) + noise(minute), 4, { requestRateMean: load });
    expect(leakedAt).toBeUndefined();
    expect(pooled?.verdict).not.toBe('leak');
  });

  it('does not fear a heap whose own limit keeps the process below its limit', () => {
    const heap = (minute: number) => 100 + 0.12 * Math.max(0, minute - 1440);
    const told = (heapLimit: number) =>
      watch((minute) => 200 + heap(minute) + noise(minute), 3, {
        heapUsedMin: (minute) => heap(minute) * MB,
        heapLimitLast: () => heapLimit * MB,
      });
    expect(told(720)).toMatchObject({ leakedAt: undefined, pooled: { reason: 'awaits-collection' } });
    expect(told(3000).leakedAt).toBeDefined();
  });

  it('tells when the heap is full, where that comes before the limit', () => {
    const heap = (minute: number) => 100 + 0.1 * Math.max(0, minute - 2000);
    const { pooled } = watch((minute) => 200 + heap(minute) + noise(minute), 3, {
      heapUsedMin: (minute) => heap(minute) * MB,
      heapLiveLast: (minute) => heap(minute) * MB,
      heapLimitLast: () => 400 * MB,
    });
    const hours = ((pooled?.exhaustsAt ?? Number.NaN) - START) / 3_600_000;
    expect(pooled?.verdict).toBe('leak');
    expect(hours).toBeGreaterThan(80);
    expect(hours).toBeLessThan(87);
    expect(pooled?.explanation).toContain('heap limit');
  });

  it('waits for a full collection when only garbage grows', () => {
    const heap = (minute: number) => 100 + 0.08 * Math.max(0, minute - 1440);
    const { leakedAt, pooled } = watch((minute) => 200 + heap(minute) + noise(minute), 3, {
      heapUsedMin: (minute) => heap(minute) * MB,
      heapLiveLast: () => 90 * MB,
    });
    expect(leakedAt).toBeUndefined();
    expect(pooled).toMatchObject({ reason: 'awaits-collection', verdict: 'undecided', waitingFor: 'the next full collection' });
  });

  it('tells a leak outside the heap from one inside', () => {
    const grown = (minute: number) => 0.1 * Math.max(0, minute - 1440);
    const outside = watch((minute) => 300 + grown(minute) + noise(minute), 3, { heapUsedMin: (minute) => (150 + noise(minute)) * MB });
    expect(outside.pooled).toMatchObject({ verdict: 'leak', kind: 'native' });
    const inside = watch((minute) => 300 + grown(minute) + noise(minute), 3, {
      heapUsedMin: (minute) => (150 + grown(minute)) * MB,
      heapLiveLast: (minute) => (140 + grown(minute)) * MB,
    });
    expect(inside.pooled).toMatchObject({ verdict: 'leak', kind: 'heap' });
  });

  it('allows in its interval for swings that the level had before it grew', () => {
    const swing = (minute: number) => 20 * Math.sin((2 * Math.PI * minute) / 1440);
    const told = (level: (minute: number) => number) => {
      const { pooled } = watch((minute) => 300 + level(minute) + 0.1 * Math.max(0, minute - 4 * 1440) + noise(minute), 4.3);
      return { low: (pooled?.slopeLow ?? Number.NaN) / MB, high: (pooled?.slopeHigh ?? Number.NaN) / MB };
    };
    const swinging = told(swing);
    expect(swinging.low).toBeLessThan(6);
    expect(swinging.high).toBeGreaterThan(6);
    // Only the morning of the last day swings: nothing told beforehand, and the interval is wrong.
    expect(told((minute) => swing(Math.max(0, minute - 4 * 1440))).low).toBeGreaterThan(6);
    const still = told(() => 0);
    expect(still.high - still.low).toBeLessThan(0.3 * (swinging.high - swinging.low));
  });

  it('stays a leak while it goes on, though its settled past is forgotten block by block', () => {
    const { leakedAt, pooled } = watch((minute) => 80 + (0.32 / 60) * Math.max(0, minute - 6000) + noise(minute), 14, {
      memoryLimitLast: () => 2000 * MB,
    });
    expect(leakedAt).toBeLessThan(14 * 1440);
    expect(pooled?.verdict).toBe('leak');
  });

  it('is judged the same when everything is scaled', () => {
    const level = (minute: number) => 300 + 0.1 * Math.max(0, minute - 1440) + 2 * noise(minute);
    const plain = watch(level, 2).leakedAt;
    const doubled = watch((minute) => 2 * level(minute), 2, { memoryLimitLast: () => 2000 * MB }).leakedAt;
    expect(plain).toBeDefined();
    expect(doubled).toBe(plain);
  });

  it('is judged the same at another time of the world', () => {
    const level = (minute: number) => 300 + 0.1 * Math.max(0, minute - 1440) + 2 * noise(minute);
    const widest = Math.max(...policy.levelMs);
    expect(watch(level, 2, {}, START + 11 * widest).leakedAt).toBe(watch(level, 2).leakedAt);
  });

  it('is judged alike by every minute, every second and every fifth', () => {
    const leak = (minute: number) => 300 + 0.1 * Math.max(0, minute - 1440) + 2 * noise(minute);
    const plain = watch(leak, 2).leakedAt ?? 0;
    const toItsLimit = (1000 - 300) / 0.1;
    for (const every of [2, 5]) {
      const thinned = (level: (minute: number) => number) => (minute: number) => (minute % every === 0 ? level(minute) : Number.NaN);
      expect(Math.abs((watch(thinned(leak), 2).leakedAt ?? 0) - plain)).toBeLessThanOrEqual(0.0125 * toItsLimit);
      expect(
        watch(
          thinned((minute) => 300 + 2 * noise(minute)),
          2,
        ).leakedAt,
      ).toBeUndefined();
    }
  });

  it('is found no later when it leaks faster', () => {
    const found = [0.05, 0.1, 0.2, 0.4].map(
      (rate) => watch((minute) => 300 + rate * Math.max(0, minute - 1440) + 2 * noise(minute), 3).leakedAt ?? Number.POSITIVE_INFINITY,
    );
    expect(found).toEqual([...found].sort((a, b) => b - a));
    expect(found[0]).toBeLessThan(Number.POSITIVE_INFINITY);
  });

  it('survives a year of which only the ends were seen', () => {
    const { leakedAt, pooled } = watch((minute) => (minute < 1440 || minute > 363 * 1440 ? 300 + noise(minute) : Number.NaN), 365);
    expect(leakedAt).toBeUndefined();
    expect(pooled?.verdict).not.toBe('leak');
  });

  it('never throws, whatever it is fed', () => {
    const value = fc.oneof(fc.double(), fc.constant(Number.NaN), fc.constant(0), fc.integer({ min: -5, max: 2_000_000_000 }));
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.integer({ min: 0, max: 500_000 }), value, value), { maxLength: 60 }), (points) => {
        const times = [...new Set(points.map(([minute]) => minute))].sort((a, b) => a - b);
        const history = new ServiceHistory('shop', '', policy);
        const base = seriesOf({
          blockMs: MINUTE,
          count: times.length,
          columns: { rssMin: (index) => points[index]?.[1] ?? 0, heapUsedMin: (index) => points[index]?.[2] ?? 0 },
        });
        const series = { ...base, time: Float64Array.from(times, (minute) => START + minute * MINUTE) };
        for (const minute of times) {
          history.addAll([series], START + (minute + 1) * MINUTE);
          history.advance(START + (minute + 1) * MINUTE);
          history.judge(START + (minute + 1) * MINUTE);
        }
      }),
      { numRuns: 50 },
    );
  });
});
