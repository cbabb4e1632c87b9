import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { BlockColumn } from '../../../shared/series.ts';
import { readChart } from '../../../shared/store/chart.ts';
import { curveStepMs, readCurves } from '../../../shared/store/curves.ts';
import { readFleet } from '../../../shared/store/fleet.ts';
import { rollUp } from '../../../shared/store/rollups.ts';
import { insertExits, insertSamples } from '../../../shared/store/samples.ts';
import { readSeries } from '../../../shared/store/series.ts';
import type { Store } from '../../../shared/store/store.ts';
import { columnsOf, temporaryStore, type SampleRow } from './fixture.ts';

let store: Store;
let close: () => Promise<void>;
const HOUR = 3_600_000;
const base = Math.floor(Date.now() / HOUR) * HOUR - 6 * HOUR;

/** Ten-second samples for two and a half hours with a hole, of two services; one has no `anon` of its own. */
const rows: SampleRow[] = ['checkout', 'basket'].flatMap((service, which) =>
  Array.from({ length: 900 }, (_, tick): SampleRow | undefined => {
    if (tick >= 300 && tick < 420) return undefined;
    const wave = Math.round(1e6 * Math.sin(tick / 7));
    return {
      service,
      instance: `${service}-0`,
      lifetime: which.toString(16).padStart(16, '0'),
      process_started_at: base - 5000,
      time: base + tick * 10_000 + which,
      rss: 5e7 + tick * 1000 + wave,
      ...(which === 0 ? { anon: 4e7 + wave } : { cgroup_anon: 3e7 + wave }),
      ...(tick % 5 === 0 ? { heap_live: 2e7 + tick } : {}),
      requests: tick * 3,
      memory_limit: 1e9,
    };
  }).filter((row) => row !== undefined),
);

beforeAll(async () => {
  ({ store, close } = await temporaryStore());
  await insertSamples(store, columnsOf(rows));
  await insertExits(store, [
    {
      process: {
        lifetime: '0000000000000001',
        service: 'basket',
        environment: 'production',
        version: '1.4.0',
        host: 'host-1',
        instance: 'basket-0',
        pid: 4242,
        process_started_at: base - 5000,
        runtime: 'nodejs',
      },
      time: base + 9_000_000,
      reason: 'exit',
    },
  ]);
  await rollUp(store);
});
afterAll(() => close());

/** Blocks in the plainest way: floor(time / width), every column over the samples of the block. */
function naiveBlocks(service: string, blockMs: number) {
  const groups = new Map<number, SampleRow[]>();
  for (const row of rows.filter((candidate) => candidate.service === service)) {
    const start = Math.floor(row.time / blockMs) * blockMs;
    groups.set(start, [...(groups.get(start) ?? []), row]);
  }
  return [...groups].map(([start, group]) => {
    const known = (name: 'rss' | 'anon' | 'cgroup_anon' | 'heap_live' | 'requests' | 'memory_limit') =>
      group.map((row) => row[name]).filter((value) => value !== undefined);
    const min = (values: number[]) => (values.length === 0 ? Number.NaN : Math.min(...values));
    const anon = known('anon');
    const expected: Partial<Record<BlockColumn, number>> = {
      rssMin: min(known('rss')),
      rssMax: Math.max(...known('rss')),
      rssLast: known('rss').at(-1)!,
      anonMin: min(anon.length === 0 ? known('cgroup_anon') : anon),
      heapLiveLast: known('heap_live').at(-1) ?? Number.NaN,
      requestsLast: known('requests').at(-1)!,
      memoryLimitLast: 1e9,
      sampleCount: group.length,
      workingSetMin: Number.NaN,
      requestRateMean: Number.NaN,
    };
    return { start, expected };
  });
}

describe('readSeries', () => {
  it.each([10_000, 30_000, 45_000, 60_000, 90_000, 300_000, HOUR, 2 * HOUR])(
    'gives blocks of %i ms as anybody would count them',
    async (blockMs) => {
      const series = await readSeries(store, { from: base, to: base + 4 * HOUR, blockMs });
      expect(series.map(({ service }) => service)).toEqual(['basket', 'checkout']);
      for (const { service, time, columns } of series) {
        const naive = naiveBlocks(service, blockMs);
        expect([...time]).toEqual(naive.map(({ start }) => start));
        for (const column of Object.keys(naive[0]!.expected) as BlockColumn[]) {
          expect([...columns[column]], `${service} ${column}`).toEqual(naive.map(({ expected }) => expected[column]));
        }
      }
    },
  );

  it('knows whose series it is and when it ended', async () => {
    const [basket, checkout] = await readSeries(store, { from: base, to: base + 4 * HOUR, blockMs: 60_000 });
    expect(basket).toMatchObject({
      service: 'basket',
      environment: 'production',
      version: '1.4.0',
      instance: 'basket-0',
      lifetime: '0000000000000001',
      runtime: 'nodejs',
      startedAt: base - 5000,
      endedAt: base + 9_000_000,
    });
    expect(checkout).not.toHaveProperty('endedAt');
  });

  it('reads only the services asked for, environment included', async () => {
    const range = { from: base, to: base + 4 * HOUR, blockMs: 60_000 };
    const one = await readSeries(store, { ...range, services: [{ service: 'checkout', environment: 'production' }] });
    expect(one.map(({ service }) => service)).toEqual(['checkout']);
    expect(await readSeries(store, { ...range, services: [{ service: 'checkout', environment: 'staging' }] })).toEqual([]);
    expect(await readSeries(store, { ...range, services: [] })).toEqual([]);
    expect(await readSeries(store, { ...range, instance: 'basket-0' })).toHaveLength(1);
  });
});

describe('readCurves', () => {
  it('keeps to the number of points', async () => {
    const query = { service: 'checkout', environment: 'production', from: base, to: base + 3 * HOUR };
    for (const points of [10, 60, 500]) {
      const [curve] = await readCurves(store, { ...query, points });
      expect(curve!.time.length).toBeLessThanOrEqual(points + 1);
    }
  });

  it('chooses steps people can read', () => {
    expect(curveStepMs(HOUR, 360)).toBe(10_000);
    expect(curveStepMs(24 * HOUR, 300)).toBe(300_000);
    expect(curveStepMs(90 * 24 * HOUR, 300)).toBe(12 * HOUR);
  });
});

describe('readChart', () => {
  const range = { from: base, to: base + 3 * HOUR };

  it.each(['anonMin', 'rssLast', 'heapLiveLast'] as const)('draws %s as the blocks have it, at any width', async (column) => {
    for (const service of ['checkout', 'basket'])
      for (const points of [2, 4, 20, 400]) {
        const query = { service, environment: 'production', ...range, points };
        const [series] = await readCurves(store, query);
        const { curves, stepMs } = await readChart(store, { ...query, column });
        const known = [...series!.time.keys()].filter((at) => Number.isFinite(series!.columns[column][at]));
        expect(stepMs).toBe(series!.blockMs);
        expect(curves).toEqual([
          {
            instance: `${service}-0`,
            version: '1.4.0',
            lifetime: series!.lifetime,
            time: known.map((at) => series!.time[at]),
            values: known.map((at) => series!.columns[column][at]),
          },
        ]);
      }
  });

  it('says which signals there are and the newest limit, from samples, minutes and hours alike', async () => {
    for (const points of [2, 20, 1000])
      for (const service of ['checkout', 'basket'])
        expect(await readChart(store, { service, environment: 'production', ...range, points, column: 'workingSetMin' })).toMatchObject({
          curves: [],
          told: ['anonMin', 'rssLast', 'heapLiveLast'],
          memoryLimitBytes: 1e9,
        });
  });

  it('knows nothing of who is not there', async () => {
    const query = { service: 'checkout', environment: 'staging', ...range, points: 4, column: 'rssLast' } as const;
    expect(await readChart(store, query)).toMatchObject({ curves: [], told: [], memoryLimitBytes: 0 });
  });
});

describe('readFleet', () => {
  const meanOf = (service: string, from: number, to: number) => {
    const samples = rows.filter((row) => row.service === service && row.time >= from && row.time < to);
    return samples.reduce((sum, { rss = 0 }) => sum + rss, 0) / samples.length;
  };

  it.each([
    ['hours', 3, HOUR],
    ['minutes', 12, 900_000],
  ])('gives a row per service with a sparkline, from %s', async (_, points, stepMs) => {
    const fleet = await readFleet(store, { from: base, to: base + 4 * HOUR, points: (points * 4) / 3 });
    expect(fleet).toMatchObject({ from: base, stepMs });
    expect(fleet.rows.map(({ service }) => service)).toEqual(['basket', 'checkout']);
    const checkout = fleet.rows[1]!;
    expect(checkout).toMatchObject({ environment: 'production', runtimes: ['nodejs'], versions: ['1.4.0'], instances: 1, lifetimes: 1 });
    expect(checkout.lastSeen).toBe(base + 899 * 10_000);
    for (const { service, rssBytes, levelBytes } of fleet.rows) {
      expect(rssBytes).toHaveLength((4 * HOUR) / stepMs);
      rssBytes.forEach((bytes, step) => {
        const mean = meanOf(service, base + step * stepMs, base + (step + 1) * stepMs);
        if (Number.isNaN(mean)) expect(bytes).toBeNaN();
        else expect(bytes).toBeCloseTo(mean, 3);
      });
      expect(levelBytes).toBe(rssBytes.filter(Number.isFinite).at(-1));
    }
  });
});
