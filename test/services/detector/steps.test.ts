import { expect, it } from 'vitest';
import { isStepped } from '../../../services/detector/steps.ts';
import { theilSen } from '../../../services/detector/trend.ts';
import { noise } from './series-of.ts';

function stepped(level: (block: number) => number, count = 40): boolean {
  const time = Array.from({ length: count }, (_, block) => block * 3_600_000);
  const values = time.map((_, block) => 500 + level(block) + 2 * noise(block));
  return isStepped(time, values, 0, count, theilSen(time, values, 0, count).slope);
}

/** Sum of the heights of the steps that lie behind. */
const stairs = (steps: Readonly<Record<number, number>>) => (block: number) =>
  Object.entries(steps).reduce((sum, [at, height]) => sum + (block >= Number(at) ? height : 0), 0);

it('takes no ramp for steps, noisy, bent or with a tooth now and then', () => {
  expect(stepped((block) => 2 * block)).toBe(false);
  expect(stepped((block) => 2 * block + 10 * noise(7 * block))).toBe(false);
  expect(stepped((block) => 0.05 * block * block)).toBe(false);
  expect(stepped((block) => 2 * block + 3 * (block % 5))).toBe(false);
});

it('knows one, two and three jumps, also under noise', () => {
  expect(stepped(stairs({ 17: 60 }))).toBe(true);
  expect(stepped(stairs({ 10: 40, 27: 50 }))).toBe(true);
  expect(stepped(stairs({ 5: 40, 9: 25, 30: 60 }))).toBe(true);
  expect(stepped((block) => stairs({ 10: 40, 27: 50 })(block) + 5 * noise(3 * block))).toBe(true);
});

it('takes even stairs for a job that leaks each time it runs', () => {
  expect(stepped(stairs({ 8: 40, 18: 42, 28: 38 }))).toBe(false);
  expect(stepped(stairs({ 6: 30, 12: 30, 18: 30, 24: 30, 30: 30, 36: 30 }))).toBe(false);
});

it('is not misled by a single jump on top of a ramp, unless it is most of the growth', () => {
  expect(stepped((block) => 2 * block + stairs({ 20: 15 })(block))).toBe(false);
  expect(stepped((block) => 0.5 * block + stairs({ 20: 80 })(block))).toBe(true);
});
