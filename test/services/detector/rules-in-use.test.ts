import { describe, expect, it } from 'vitest';
import { RulesInUse } from '../../../services/detector/rules-in-use.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const START = Date.UTC(2026, 0, 5);
const MB = 1e6;

/** One-minute samples of one lifetime; NaN = no sample. */
function alarmsOf(hours: number, level: (minute: number) => number, limitBytes = 1000 * MB) {
  const rules = new RulesInUse();
  for (let minute = 0; minute < hours * 60; minute += 1)
    rules.add('shop-0', START + minute * MINUTE, level(minute), level(minute), limitBytes);
  rules.end();
  return rules.alarms;
}

const hoursIn = (times: readonly number[]) => times.map((at) => (at - START) / HOUR);

describe('+15 % in 30 minutes', () => {
  it('alarms once while the step is within its half hour, and not on less', () => {
    const { plus15 } = alarmsOf(12, (minute) => (minute < 120 ? 300 : 346) * MB);
    expect(plus15.count).toBe(1);
    // The first block in which the step is the median.
    expect(hoursIn(plus15.times)).toEqual([2 + 5 / 60]);
    expect(alarmsOf(12, (minute) => (minute < 120 ? 300 : 344) * MB).plus15.count).toBe(0);
  });

  it('is armed again after six quiet hours', () => {
    const twice = (gap: number) => alarmsOf(24, (minute) => (minute < 120 ? 300 : minute < 120 + gap ? 400 : 600) * MB).plus15.count;
    expect(twice(5 * 60)).toBe(1);
    expect(twice(7 * 60)).toBe(2);
  });

  it('says nothing where the half hour before is missing', () => {
    expect(alarmsOf(4, (minute) => (minute < 60 ? 300 : minute < 100 ? NaN : 400) * MB).plus15.count).toBe(0);
  });
});

describe('predict_linear', () => {
  const ramp = (perHour: number) => (minute: number) => (400 + (perHour * minute) / 60) * MB;

  it('alarms once six hours, four fifths of them covered, foresee the limit within a day for an hour', () => {
    const { predictLinear } = alarmsOf(12, ramp(30));
    expect(predictLinear.count).toBe(1);
    // The first block ends at five minutes: 4.8 hours later the window is covered, an hour later the alarm is due.
    expect(hoursIn(predictLinear.times)[0]).toBeCloseTo(5 / 60 + 4.8 + 1 + 2 / 60, 1);
  });

  it('foresees exactly the line', () => {
    expect(alarmsOf(6.8, ramp(20)).predictLinear.count).toBe(0);
    const [at] = alarmsOf(20, ramp(20)).predictLinear.times;
    // 400 + 20·t + 480 > 1000 from t = 6 h on, and an hour's wait.
    expect(((at ?? 0) - START) / HOUR).toBeCloseTo(7, 0);
  });

  it('says nothing without a limit', () => {
    expect(alarmsOf(24, ramp(100), 0).predictLinear.count).toBe(0);
  });
});

describe('several lifetimes', () => {
  it('are one service: alarms within six hours are one, and each lifetime is held against its own past', () => {
    const rules = new RulesInUse();
    for (let minute = 0; minute < 600; minute += 1) {
      for (const [instance, step] of [
        ['a', 120],
        ['b', 240],
      ] as const)
        rules.add(instance, START + minute * MINUTE, (minute < step ? 300 : 400) * MB, (minute < step ? 300 : 400) * MB, 0);
    }
    rules.end();
    expect(rules.alarms.plus15.count).toBe(1);
    // A new lifetime that starts higher has not risen.
    const restarted = new RulesInUse();
    for (let minute = 0; minute < 240; minute += 1)
      restarted.add(
        minute < 120 ? 'a-0' : 'a-1',
        START + minute * MINUTE,
        (minute < 120 ? 300 : 600) * MB,
        (minute < 120 ? 300 : 600) * MB,
        0,
      );
    restarted.end();
    expect(restarted.alarms.plus15.count).toBe(0);
  });
});
