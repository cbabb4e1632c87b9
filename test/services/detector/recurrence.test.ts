import { expect, it } from 'vitest';
import { NO_PAST, type Lesson } from '../../../services/detector/lesson.ts';
import { recurringFrom } from '../../../services/detector/recurrence.ts';

const lesson = (middleGrowth: number, lateGrowth: number, recurringGrowth = 0): Lesson => ({
  ...NO_PAST,
  settledMs: recurringGrowth > 0 ? 0 : 3_600_000,
  middleGrowth,
  lateGrowth,
  lastLevel: 500,
  livedMs: 86_400_000,
  growth: middleGrowth + lateGrowth,
  heapGrowth: Number.NaN,
  grownMs: 57_600_000,
  recurringGrowth,
});

const settled = [lesson(1, -1), lesson(-2, 1), lesson(0, 1)];

it('finds the lifetimes that grew alike although none of them was sure by itself', () => {
  expect(recurringFrom([...settled, lesson(20, 22), lesson(24, 18), lesson(19, 21), lesson(22, 23)])).toBeLessThanOrEqual(3);
});

it('takes lifetimes that were sure by themselves as they are', () => {
  expect(recurringFrom([...settled, lesson(20, 20, 40), lesson(21, 19, 40)])).toBe(3);
});

it('does not take warm-ups that bend for growth', () => {
  const warm = [lesson(20, 8), lesson(22, 9), lesson(21, 7), lesson(19, 8)];
  expect(recurringFrom(warm)).toBe(warm.length);
});

it('does not take noise for growth', () => {
  const noisy = [lesson(20, -15), lesson(-12, 30), lesson(25, 18), lesson(-30, 9)];
  expect(recurringFrom(noisy)).toBe(noisy.length);
});

it('says nothing of lifetimes too short to tell', () => {
  const short = Array.from({ length: 5 }, () => lesson(Number.NaN, Number.NaN));
  expect(recurringFrom(short)).toBe(short.length);
  expect(recurringFrom([])).toBe(0);
});
