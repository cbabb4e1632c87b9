import { describe, expect, it } from 'vitest';
import { leastNeeded, neededShare, type Seen } from '../../../services/detector/patience.ts';
import { policyFor } from '../../../services/detector/policy.ts';
import { newReading, Resolution } from '../../../services/detector/resolution.ts';
import type { Surroundings } from '../../../services/detector/surroundings.ts';
import { MB, START } from './series-of.ts';

const HOUR = 3_600_000;
const policy = policyFor('production');
const around: Surroundings = {
  startedAt: START,
  knownSince: START,
  heldBefore: Number.NEGATIVE_INFINITY,
  usualRise: 0,
  settledMs: 0,
  recurringGrowth: 0,
  teeth: false,
  limitBytes: 1000 * MB,
  heapLimitBytes: 0,
  besideBytes: 0,
  replicas: 1,
};
const seen: Seen = { watchedMs: 6 * HOUR, grown: 100 * MB, noise: 6 * MB, level: 500 * MB, ceiling: 1000 * MB, garbage: 'none' };

/** Hours at one level before growth of six hours. */
function after(calmHours: number): { readonly level: Resolution; readonly from: number } {
  const level = new Resolution(HOUR);
  for (let hour = 0; hour < calmHours + 6; hour += 1) {
    const memory = (400 + Math.max(0, hour - calmHours + 1) * 16) * MB;
    level.add({ ...newReading(), time: START + hour * HOUR, memory });
  }
  level.advance(START + (calmHours + 6) * HOUR);
  return { level, from: calmHours };
}

function needed(calmHours: number, more: Partial<Seen> = {}, beside: Partial<Surroundings> = {}): number {
  const { level, from } = after(calmHours);
  return neededShare(level, from, { ...seen, ...more }, { ...around, ...beside }, policy);
}

describe('of the way to the limit is needed', () => {
  it('little after a settled past, much by growth as old as its process', () => {
    expect(needed(40)).toBeCloseTo(policy.patienceSettled);
    expect(needed(0)).toBeCloseTo(1.8 * policy.patienceUnsettled);
  });

  it('less by growth as old as its process, once it has climbed for longer than the load of a day does', () => {
    const knownFor = [0, 6, 12, 20].map((hours) => needed(0, {}, { knownSince: START - hours * HOUR }) / policy.patienceUnsettled);
    expect(knownFor[0]).toBeCloseTo(1.8);
    expect(knownFor[1]).toBeLessThan(1.8);
    expect(knownFor[1]).toBeGreaterThan(1);
    expect(knownFor.slice(2)).toEqual([1, 1]);
  });

  it('less the cleaner growth out of a settled past is', () => {
    const byNoise = [0.6, 3, 6, 12, 60].map((mb) => needed(40, { noise: mb * MB }));
    expect(byNoise).toEqual([...byNoise].sort((a, b) => a - b));
    expect(byNoise[0]).toBeLessThan(0.5 * (byNoise[2] as number));
    expect(needed(40, { noise: 0 })).toBe(leastNeeded(seen.watchedMs, around, policy));
  });

  it('less by a process without a past that has filled most of its limit', () => {
    const full = [0.5, 0.7, 0.8, 0.9, 1].map((share) => needed(0, { level: share * 1000 * MB }));
    expect(full[1]).toBe(full[0]);
    expect(full.slice(1)).toEqual([...full.slice(1)].sort((a, b) => b - a));
    expect(full[4]).toBeLessThan(0.3);
    // Where twice the level stands for a limit nobody set one with room to spare.
    expect(needed(0, { level: 950 * MB }, { limitBytes: 0 })).toBe(needed(0, { level: 500 * MB }, { limitBytes: 0 }));
  });

  it('nearly all by what may be garbage, until its limit is about to be reached', () => {
    expect(needed(0, { garbage: 'possible', level: 900 * MB })).toBe(0.9);
    expect(needed(0, { garbage: 'possible', level: 990 * MB })).toBeLessThan(0.85);
    expect(needed(0, { level: 990 * MB }, { teeth: true })).toBe(0.9);
    expect(needed(40, { garbage: 'known' })).toBe(policy.patienceCollection);
  });

  it('less of what replicas show together', () => {
    expect(needed(40, {}, { replicas: 3 })).toBeLessThan(0.5 * needed(40));
  });
});
