/** Replicas judged together show growth that each of them hides in its noise, and nothing that one alone would not be told of. */
import { describe, expect, it } from 'vitest';
import type { Judgement } from '../../../shared/judgement.ts';
import type { Series } from '../../../shared/series.ts';
import { GridWalk } from '../../../services/detector/grid-walk.ts';
import { policyFor } from '../../../services/detector/policy.ts';
import { MB, noise, START, seriesOf } from './series-of.ts';
import { replicasBehindNoise } from './noisy-replicas.ts';

const MINUTE = 60_000;
const STEP = 5 * MINUTE;
const DAY = 1440;
const policy = policyFor('production');

/** The first judgement of the service that is a leak, and the minute it was made. */
function firstLeak(series: readonly Series[], days: number): { minute: number; judgement: Judgement } | undefined {
  const walk = new GridWalk('shop', '', policy, STEP);
  for (let at = START + STEP; at <= START + days * DAY * MINUTE; at += STEP) {
    walk.replay(at, series, []);
    if (!walk.history.hasLeak()) continue;
    const judgement = walk.history.judge(at).pooled.find(({ verdict }) => verdict === 'leak') as Judgement;
    return { minute: (at - START) / MINUTE, judgement };
  }
  return undefined;
}

const growing = (minute: number) => 0.2 * Math.max(0, minute - 2 * DAY);

describe('five replicas that leak behind their noise', () => {
  const series = replicasBehindNoise(5, 4, growing);
  const together = firstLeak(series, 4);
  const alone = series.map((one) => firstLeak([one], 4)?.minute ?? Number.POSITIVE_INFINITY);

  it('are found before any of them would be by itself', () => {
    expect(together?.minute).toBeGreaterThan(2 * DAY);
    expect(together?.minute).toBeLessThan(Math.min(...alone) - 120);
  });

  it('say that they were judged together, and name those that grow', () => {
    expect(together?.judgement.explanation).toContain('seen over 5 instances together');
    expect(together?.judgement.instances.length).toBeGreaterThanOrEqual(2);
    expect(together?.judgement.confidence).toBeGreaterThan(0.75);
    expect(together?.judgement.confidence).toBeLessThan(0.99);
  });
});

it('what three show at once needs less of the way to the limit than what one shows', () => {
  const series = Array.from({ length: 3 }, (_, replica) =>
    seriesOf({
      blockMs: MINUTE,
      count: 4 * DAY,
      identity: { instance: `shop-${String(replica)}`, lifetime: `life-${String(replica)}` },
      columns: {
        rssMin: (minute) => (300 + 0.5 * growing(minute) + 2 * noise(minute + 977 * replica)) * MB,
        memoryLimitLast: () => 2000 * MB,
      },
    }),
  );
  const together = (firstLeak(series, 4)?.minute ?? Number.NaN) - 2 * DAY;
  const alone = (firstLeak([series[0] as Series], 4)?.minute ?? Number.NaN) - 2 * DAY;
  expect(together).toBeGreaterThan(0);
  expect(together).toBeLessThan(0.7 * alone);
});

it('one that does not grow is not named with the others', () => {
  const series = replicasBehindNoise(5, 4, (minute, replica) => (replica === 3 ? 0 : growing(minute)));
  const found = firstLeak(series, 4);
  expect(found?.judgement.instances.length).toBeGreaterThanOrEqual(2);
  expect(found?.judgement.instances).not.toContain('shop-3');
});

it('the leak of one among five is found when it is found alone', () => {
  const series = replicasBehindNoise(5, 4, (minute, replica) => (replica === 2 ? 3 * growing(minute) : 0));
  const found = firstLeak(series, 4);
  expect(found?.judgement.instances).toEqual(['shop-2']);
  expect(found?.minute).toBe(firstLeak([series[2] as Series], 4)?.minute);
});

it('noise alone and a load that all share are no leak', () => {
  expect(
    firstLeak(
      replicasBehindNoise(5, 4, () => 0),
      6,
    ),
  ).toBeUndefined();
  expect(
    firstLeak(
      replicasBehindNoise(5, 4, (minute) => 40 * Math.sin((2 * Math.PI * minute) / DAY)),
      6,
    ),
  ).toBeUndefined();
});

it('another version, or what is told by another signal, is no replica', () => {
  const series = replicasBehindNoise(2, 4, growing);
  const alone = Math.min(...series.map((one) => firstLeak([one], 4)?.minute ?? Number.POSITIVE_INFINITY));
  const [first, second] = series as [Series, Series];
  const byAnon = seriesOf({
    blockMs: MINUTE,
    count: 4 * DAY,
    identity: { instance: second.instance, lifetime: second.lifetime },
    columns: { anonMin: (minute) => second.columns.rssMin[minute] as number, memoryLimitLast: () => 1000 * MB },
  });
  expect(firstLeak([first, { ...second, version: 'v2' }], 4)?.minute).toBe(alone);
  expect(firstLeak([first, byAnon], 4)?.minute).toBe(alone);
});
