import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { medianOf, select, theilSen } from '../../../services/detector/trend.ts';
import { noise } from './series-of.ts';

describe('theilSen', () => {
  const time = Float64Array.from({ length: 40 }, (_, index) => index * 10);

  it('finds the slope of a noisy line and covers it with its error', () => {
    const value = time.map((t, index) => 100 + 3 * t + 5 * noise(index));
    const trend = theilSen(time, value, 0, 40);
    expect(trend.slope).toBeCloseTo(3, 1);
    expect(Math.abs(trend.slope - 3)).toBeLessThan(3 * trend.standardError);
  });

  it('is not moved by a quarter of wild points', () => {
    const value = time.map((t, index) => (index % 4 === 1 ? 1e6 : 100 + 3 * t));
    expect(theilSen(time, value, 0, 40).slope).toBeCloseTo(3, 0);
  });

  it('moves and scales with its input', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 1000 }), { minLength: 5, maxLength: 64 }),
        fc.integer({ min: -1000, max: 1000 }),
        fc.integer({ min: 1, max: 50 }),
        (values, shift, scale) => {
          const at = values.map((_, index) => index);
          const plain = theilSen(at, values, 0, values.length);
          const moved = theilSen(
            at,
            values.map((value) => value * scale + shift),
            0,
            values.length,
          );
          expect(moved.slope).toBeCloseTo(plain.slope * scale, 6);
          expect(moved.first).toBeCloseTo(plain.first * scale + shift, 6);
        },
      ),
    );
  });
});

it('never takes a leak for less when more of it is added', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 0, max: 1000 }), { minLength: 10, maxLength: 40 }),
      fc.integer({ min: 1, max: 500 }),
      (values, leak) => {
        const at = values.map((_, index) => index);
        const without = theilSen(at, values, 0, values.length);
        const leaking = theilSen(
          at,
          values.map((value, index) => value + leak * index),
          0,
          values.length,
        );
        expect(leaking.slope).toBeCloseTo(without.slope + leak, 6);
        expect(leaking.standardError).toBeCloseTo(without.standardError, 6);
      },
    ),
  );
});

describe('select', () => {
  it('agrees with sorting', () => {
    fc.assert(
      fc.property(fc.array(fc.double({ noNaN: true }), { minLength: 1, maxLength: 50 }), (values) => {
        const sorted = Float64Array.from(values).sort();
        const middle = values.length >> 1;
        // A zero of either sign is as large as the other, so either may stand in the middle: added to zero both are the same.
        expect(select(Float64Array.from(values), values.length, middle) + 0).toBe((sorted[middle] as number) + 0);
      }),
    );
  });

  it('gives the mean of the middle two for an even count', () => {
    expect(medianOf([4, 1, 3, 2])).toBe(2.5);
  });
});
