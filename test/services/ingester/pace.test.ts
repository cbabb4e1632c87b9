/** The pace of work that does what gathered since its last turn. */
import { expect, it } from 'vitest';
import type { Clock } from '../../../shared/clock.ts';
import { createLog } from '../../../shared/log.ts';
import { repeat, type Pace } from '../../../services/ingester/pace.ts';

const log = createLog({ level: 'silent', secrets: [] });

/** Turns of work that takes `share` of the time since its turn before, and two seconds; how long each had to wait, seconds. */
async function gapsOf(pace: Pace, share: number, turns: number): Promise<number[]> {
  const stopping = new AbortController();
  let now = 0;
  const clock: Clock = {
    now: () => now,
    sleep: async (ms, signal) => {
      signal?.throwIfAborted();
      now += ms;
      await Promise.resolve();
    },
  };
  const gaps: number[] = [];
  let doneUpTo = 0;
  const work = () => {
    const gap = now - doneUpTo;
    doneUpTo = now;
    gaps.push(gap / 1000);
    now += gap * share + 2_000;
    if (gaps.length === turns) stopping.abort(new Error('enough'));
    return gaps.length === 2 ? Promise.reject(new Error('this turn fails')) : Promise.resolve();
  };
  await repeat({ pace, clock, log, signal: stopping.signal, work });
  return gaps;
}

const pace = { intervalMs: 10_000, rest: 8, longestRestMs: 30_000 };

it('rests so many times as long as the work took', async () => {
  const gaps = await gapsOf(pace, 0, 5);
  // The turn that fails tells nothing of how long one takes.
  expect(gaps).toEqual([10, 18, 18, 18, 18]);
});

it('comes to an even pace where the work needs more than that share', async () => {
  const gaps = await gapsOf(pace, 0.4, 200);
  // gap = what it takes for the gap before + the longest rest
  expect(gaps.at(-1)).toBeCloseTo((2 + 30) / (1 - 0.4), 3);
  expect(Math.max(...gaps)).toBeLessThan(54);
  const without = await gapsOf({ ...pace, longestRestMs: Infinity }, 0.4, 20);
  expect(without.at(-1)).toBeGreaterThan(1e6);
});
