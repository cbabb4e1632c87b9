import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { takenBack, type Life } from '../../../services/detector/taken-back.ts';
import { noise, START } from './series-of.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

/** Lives one after the other, from each one's growth in its middle and its last third. */
function livesOf(hours: number, thirds: readonly (readonly [middle: number, late: number])[]): Life[] {
  return thirds.map(([middleGrowth, lateGrowth], index) => ({
    startedAt: START + index * hours * HOUR,
    livedMs: hours * HOUR,
    growth: middleGrowth + lateGrowth,
    grownMs: (hours * HOUR * 2) / 3,
    heapGrowth: 0.9 * (middleGrowth + lateGrowth),
    middleGrowth,
    lateGrowth,
    lastLevel: 500 + middleGrowth + lateGrowth,
  }));
}

const times = <Value>(count: number, make: (index: number) => Value) => Array.from({ length: count }, (_, index) => make(index));
/** What each life does by itself: half a percent of the level. */
const usual = (index: number) => [2.5 * noise(index + 1), 2.5 * noise(index + 501)] as const;
const grows = (middle: number, late: number) => (index: number) => {
  const [first, second] = usual(index + 100);
  return [first + middle, second + late] as const;
};

describe('what restarts take back', () => {
  it('is growth of the lives since some restart that those before had not', () => {
    const found = takenBack(livesOf(24, [...times(8, usual), ...times(6, grows(6, 6))]), DAY);
    expect(found).toMatchObject({ lives: 6, since: START + 8 * DAY, grownMs: 16 * HOUR });
    expect(found?.growth).toBeGreaterThan(9);
    expect(found?.growth).toBeLessThan(15);
    expect((found?.heapGrowth ?? 0) / (found?.growth ?? 1)).toBeCloseTo(0.9);
  });

  it('is held against lives that began at the same time of day, for the load of a day grows in the morning of each', () => {
    const nightAndDay = (index: number) => (index % 2 === 0 ? ([-20, -20] as const) : ([20, 20] as const));
    const swinging = (leak: number) => (index: number) => {
      const [first, second] = usual(index);
      const [middle, late] = nightAndDay(index);
      return [first + middle + leak, second + late + leak] as const;
    };
    expect(takenBack(livesOf(12, times(24, swinging(0))), DAY)).toBeUndefined();
    const leaking = [...times(12, swinging(0)), ...times(12, (index) => swinging(6)(index + 12))];
    expect(takenBack(livesOf(12, leaking), DAY)).toMatchObject({ lives: 12 });
  });

  it('is not noise', () => {
    expect(takenBack(livesOf(24, times(30, usual)), DAY)).toBeUndefined();
  });

  it('is not a week-end that is calmer than the days before and after it', () => {
    const weekdays = (day: number) => (day % 7 >= 5 ? usual(day) : grows(6, 6)(day));
    for (let days = 1; days <= 28; days += 1)
      expect(takenBack(livesOf(24, times(days, weekdays)), DAY), `day ${String(days)}`).toBeUndefined();
  });

  it('is not a warm-up that became larger', () => {
    expect(takenBack(livesOf(24, [...times(8, usual), ...times(8, grows(14, 3))]), DAY)).toBeUndefined();
  });

  it('is told of replicas that start together as of one: five that share a calmer week are not five weeks', () => {
    const replicas = (lives: readonly Life[]) =>
      lives.flatMap((life) => times(5, (replica) => ({ ...life, startedAt: life.startedAt + replica * 600_000 })));
    const leaking = livesOf(24, [...times(8, usual), ...times(6, grows(6, 6))]);
    expect(takenBack(replicas(leaking), DAY)).toEqual(takenBack(leaking, DAY));
    expect(takenBack([...replicas(leaking)].reverse(), DAY)).toEqual(takenBack(leaking, DAY));
    const noisy = (more: number) => (index: number) => [7.5 * noise(index + 1) + more, 7.5 * noise(index + 501) + more] as const;
    const barely = livesOf(24, [...times(8, noisy(0)), ...times(6, (index) => noisy(4)(index + 8))]);
    expect(takenBack(replicas(barely), DAY)).toBeUndefined();
  });

  it('is over once lives grow no more than they used to', () => {
    const leaking = [...times(8, usual), ...times(6, grows(6, 6))];
    expect(takenBack(livesOf(24, [...leaking, ...times(1, usual)]), DAY)).toBeUndefined();
  });

  it('is not said of lives that differ in length, are too few, or too short to tell', () => {
    const lives = livesOf(24, [...times(8, usual), ...times(6, grows(6, 6))]);
    expect(takenBack(lives.slice(6), DAY)).toBeUndefined();
    expect(
      takenBack([...lives.slice(0, 8).map((life) => ({ ...life, livedMs: life.livedMs / 2 })), ...lives.slice(8)], DAY),
    ).toBeUndefined();
    expect(takenBack([...lives.slice(0, -1), { ...(lives.at(-1) as Life), growth: Number.NaN }], DAY)).toBeUndefined();
    expect(takenBack([], DAY)).toBeUndefined();
  });

  it('does not depend on units, on when the history began, or on what all lives grow by', () => {
    const lives = livesOf(24, [...times(8, usual), ...times(6, grows(6, 6))]);
    const found = takenBack(lives, DAY);
    fc.assert(
      fc.property(fc.double({ min: 1e-3, max: 1e9, noNaN: true }), fc.integer({ min: 0, max: 400 }), (scale, days) => {
        const other = lives.map((life) => ({
          ...life,
          startedAt: life.startedAt + days * DAY,
          growth: scale * life.growth,
          heapGrowth: scale * life.heapGrowth,
          middleGrowth: scale * life.middleGrowth,
          lateGrowth: scale * life.lateGrowth,
          lastLevel: scale * life.lastLevel,
        }));
        const same = takenBack(other, DAY);
        expect(same?.lives).toBe(found?.lives);
        expect((same?.growth ?? 0) / scale).toBeCloseTo(found?.growth ?? 0, 6);
      }),
    );
  });

  it('never throws, whatever the lives', () => {
    const figure = fc.oneof(fc.constant(Number.NaN), fc.constant(0), fc.double({ min: -1e12, max: 1e12, noNaN: true }));
    const life = fc.record({
      startedAt: fc.integer({ min: 0, max: 2 ** 41 }),
      livedMs: fc.integer({ min: 0, max: 1e9 }),
      growth: figure,
      grownMs: figure,
      heapGrowth: figure,
      middleGrowth: figure,
      lateGrowth: figure,
      lastLevel: figure,
    });
    fc.assert(
      fc.property(fc.array(life, { maxLength: 20 }), (lives) => {
        expect(() => takenBack(lives, DAY)).not.toThrow();
      }),
    );
  });
});
