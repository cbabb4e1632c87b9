import fc from 'fast-check';
import { expect, it } from 'vitest';
import { LookTimes } from '../../../services/agent/look-times.ts';

it('names a look by the clock as long as the clock goes on', () => {
  const times = new LookTimes();
  expect([1_000, 1_250, 9_000].map((now) => times.next(now))).toEqual([1_000, 1_250, 9_000]);
});

it('gives the next millisecond when two looks fall into one', () => {
  const times = new LookTimes();
  expect([5, 5, 5].map((now) => times.next(now))).toEqual([5, 6, 7]);
});

it('gives no moment twice, wherever the clock is set', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 50 }), { maxLength: 200 }), (clock) => {
      const times = new LookTimes();
      expect(new Set(clock.map((now) => times.next(now))).size).toBe(clock.length);
    }),
  );
});

it('gives no moment of the day before twice when the clock is set back by that day', () => {
  const times = new LookTimes();
  const day = Array.from({ length: 8_640 }, (_, index) => times.next(index * 10_000));
  expect(day).not.toContain(times.next(0));
});
