import { expect, it } from 'vitest';
import { shapeOf } from '../../../services/detector/shape.ts';
import { noise } from './series-of.ts';

const HOUR = 3_600_000;

function shape(level: (hour: number) => number) {
  const time = Array.from({ length: 60 }, (_, hour) => hour * HOUR);
  return shapeOf(
    time,
    time.map((_, hour) => 500 + level(hour) + 0.5 * noise(hour)),
    0,
    60,
    0,
    60,
  );
}

it('knows a line, a curve that levels off and one that creeps', () => {
  expect(shape((hour) => 2 * hour).kind).toBe('line');
  const saturating = shape((hour) => 100 * (1 - Math.exp(-hour / 12)));
  expect(saturating.kind).toBe('saturating');
  expect(saturating.ceiling).toBeGreaterThan(590);
  expect(saturating.ceiling).toBeLessThan(612);
  expect(shape((hour) => 20 * Math.log1p(hour / 0.5)).kind).not.toBe('line');
});

it('sees the line beneath a cache that fills', () => {
  expect(shape((hour) => 100 * (1 - Math.exp(-hour / 6)) + 1.5 * hour).kind).toBe('line');
});

it('lets nothing but its scale follow from the unit of the level', () => {
  const level = (hour: number) => 100 * (1 - Math.exp(-hour / 12));
  const time = Array.from({ length: 60 }, (_, hour) => hour * HOUR);
  const values = time.map((_, hour) => 500 + level(hour) + 0.5 * noise(hour));
  const once = shapeOf(time, values, 0, 60, 0, 60);
  const scaled = shapeOf(
    time,
    values.map((value) => 1e6 * value),
    0,
    60,
    0,
    60,
  );
  expect(scaled.kind).toBe(once.kind);
  expect(scaled.ceiling / 1e6).toBeCloseTo(once.ceiling, 3);
});
