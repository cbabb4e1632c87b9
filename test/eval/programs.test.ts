/** The recordings of real programs: each can be read, and what it shows is what its truth says. */
import { readdirSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { policyFor } from '../../services/detector/policy.ts';
import type { CaseLifetime } from './corpus-case.ts';
import { PROGRAMS } from './program-roster.ts';
import { programCase, programCases, recordedLifetime, TIME_STRETCH } from './programs.ts';
import { fileOf, readIndex, RECORDINGS, type Recording } from './recording.ts';
import { detect, STEP_MS } from './walk.ts';

const index = readIndex();
const MIB = 2 ** 20;

const known = (values: readonly number[] | undefined) => (values ?? []).filter((value) => value > 0);

/** Lowest value between two shares of the recording from `onsetAt` on: what lies under the garbage. */
function floorBetween(values: readonly number[] | undefined, time: readonly number[], onsetAt: number, low: number, high: number): number {
  const end = time.at(-1) as number;
  const inside = (values ?? []).filter((_, row) => {
    const share = ((time[row] as number) - onsetAt) / (end - onsetAt);
    return share >= low && share <= high;
  });
  return Math.min(...known(inside));
}

function growthSince(values: readonly number[] | undefined, { time }: CaseLifetime, onsetAt: number): number {
  return floorBetween(values, time, onsetAt, 0.8, 1) - floorBetween(values, time, onsetAt, 0, 0.2);
}

describe('the set', () => {
  it('has every program in both parts, and nothing else', () => {
    expect(index.map(({ name }) => name)).toEqual(PROGRAMS.flatMap(({ name }) => [`${name}-dev`, `${name}-held`]).sort());
    const files = readdirSync(RECORDINGS).filter((file) => file.endsWith('.gz'));
    expect(files.sort()).toEqual(index.map(({ name }) => basename(fileOf(name))).sort());
  });

  it.each(['nodejs', 'python', 'jvm', 'go'])('has at least two leaks and two that are none for %s', (runtime) => {
    const own = index.filter((recording) => recording.runtime === runtime && recording.part === 'held');
    expect(own.filter(({ leak }) => leak).length).toBeGreaterThanOrEqual(2);
    expect(own.filter(({ leak }) => !leak).length).toBeGreaterThanOrEqual(2);
  });

  it('stays small', () => {
    const bytes = readdirSync(RECORDINGS).reduce((sum, file) => sum + statSync(join(RECORDINGS, file)).size, 0);
    expect(bytes).toBeLessThan(3 * MIB);
  });

  it('is not the same twice: the parts differ', async () => {
    for (const { name } of PROGRAMS) {
      const [dev, held] = index.filter(({ program }) => program === name);
      expect(JSON.stringify(dev?.parameters)).not.toBe(JSON.stringify(held?.parameters));
      const [one, other] = await Promise.all([recordedLifetime(dev as Recording), recordedLifetime(held as Recording)]);
      expect(one.rss).not.toEqual(other.rss);
    }
  });
});

describe.each(index)('$name', (recording) => {
  it('was looked at once a second, and its heap was seen', async () => {
    const { time, rss, anon, heapUsed } = await recordedLifetime(recording);
    expect(time.length).toBeGreaterThan(200);
    const span = (time.at(-1) as number) - (time[0] as number);
    expect(time.length).toBeGreaterThan((0.97 * span) / 1_000);
    expect(time.every((at, row) => row === 0 || at > (time[row - 1] as number))).toBe(true);
    expect(known(rss)).toHaveLength(time.length);
    expect(rss.every((bytes, row) => bytes >= (anon?.[row] ?? 0))).toBe(true);
    // Python's probe rations itself on a busy machine; between two of its readings the heap is not known.
    expect(known(heapUsed).length).toBeGreaterThan((recording.runtime === 'python' ? 0.3 : 0.95) * time.length);
  });

  it('tells the truth', async () => {
    const lifetime = await recordedLifetime(recording);
    const { time, rss, heapUsed, heapCommitted } = lifetime;
    const first = time[0] as number;
    const last = time.at(-1) as number;
    const { limitBytes, kind, onsetAt = first, exhaustsAt = Number.NaN } = recording;
    if (!recording.leak) {
      expect(Math.max(...rss)).toBeLessThan(limitBytes);
      // It has stood as high before: the last fifth has gone no further than what came before it.
      const before = Math.max(...rss.slice(0, Math.floor(0.8 * rss.length)));
      expect(floorBetween(rss, time, first, 0.8, 1)).toBeLessThan(1.02 * before);
      return;
    }
    // A process tells its onset before the agent first sees it, by a few seconds.
    expect(onsetAt).toBeGreaterThan(first - 10_000);
    expect(last - onsetAt).toBeGreaterThan(200_000);
    if (recording.reachedLimit === true) {
      expect(exhaustsAt).toBe(last);
      const isHeapFull = Math.max(...known(heapUsed)) > 0.85 * Math.max(...known(heapCommitted));
      expect(isHeapFull || Math.max(...rss) >= limitBytes).toBe(true);
    } else {
      expect(exhaustsAt).toBeGreaterThan(last);
      expect(Math.max(...rss)).toBeLessThan(limitBytes);
    }
    const grown = growthSince(rss, lifetime, onsetAt);
    expect(grown).toBeGreaterThan(0.15 * limitBytes);
    // Committed rather than used: where a collector lets garbage grow with what lives, the heap is more than its floor.
    const share = growthSince(heapCommitted, lifetime, onsetAt) / grown;
    if (kind === 'heap') expect(share).toBeGreaterThan(0.5);
    else expect(share).toBeLessThan(0.35);
  });
});

describe('as cases', () => {
  it('a second became a minute, the truth with it', async () => {
    const cases = await programCases('held');
    expect(cases.map(({ name }) => name)).toEqual(index.filter(({ part }) => part === 'held').map(({ name }) => name));
    for (const { name, truth, lifetimes } of cases) {
      const recording = index.find((one) => one.name === name) as Recording;
      const time = (lifetimes[0] as CaseLifetime).time;
      const recorded = (await recordedLifetime(recording)).time;
      expect((time.at(-1) as number) - (time[0] as number)).toBe(TIME_STRETCH * ((recorded.at(-1) as number) - (recorded[0] as number)));
      if (truth === undefined) continue;
      expect((truth.exhaustsAt - truth.onsetAt) / TIME_STRETCH).toBe((recording.exhaustsAt ?? 0) - (recording.onsetAt ?? 0));
    }
  });

  it('profile minutes says of a recording what it says of the stretched one at its own time scale', async () => {
    const minutes = policyFor('minutes');
    const production = policyFor('production');
    const { patienceUnsettled, patienceGarbage } = minutes;
    for (const recording of index.filter(({ part }) => part === 'dev')) {
      const stretched = await programCase(recording);
      const [lifetime] = stretched.lifetimes as [CaseLifetime];
      const raw = await recordedLifetime(recording);
      const offset = (lifetime.time[0] as number) - TIME_STRETCH * (raw.time[0] as number);
      const asRecorded = detect({ ...stretched, lifetimes: [raw] }, minutes, STEP_MS / TIME_STRETCH);
      const asStretched = detect(stretched, { ...production, patienceUnsettled, patienceGarbage });
      expect(asStretched.map(({ at, kind }) => `${kind} ${at}`)).toEqual(
        asRecorded.map(({ at, kind }) => `${kind} ${at * TIME_STRETCH + offset}`),
      );
    }
  });
});
