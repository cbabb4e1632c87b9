/** Rows cut into lifetimes here must tell what the engine tells when it gathers them itself. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Series } from '../../../shared/series.ts';
import { readMigrations, renderMigration } from '../../../shared/store/migrate.ts';
import { rollUp, rollUpMinutes } from '../../../shared/store/rollups.ts';
import { insertExits, insertSamples } from '../../../shared/store/samples.ts';
import { readSeriesInBatches } from '../../../shared/store/series-batches.ts';
import { BatchArrays, readSeriesByRows, readToldColumns } from '../../../shared/store/series-rows.ts';
import { readSeries } from '../../../shared/store/series.ts';
import type { Store } from '../../../shared/store/store.ts';
import { columnsOf, temporaryStore, type SampleRow } from './fixture.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const base = Math.floor(Date.now() / HOUR) * HOUR - 8 * HOUR;

let store: Store;
let close: () => Promise<void>;

/** Lifetimes of a service tell other columns than those of the next, some only now and then, and all have a hole at another place. */
function samplesOf(service: string, which: number, lifetime: string): SampleRow[] {
  return Array.from({ length: 5 * 120 }, (_, tick) => ({
    service,
    instance: `${service}-${String(which % 2)}`,
    lifetime,
    process_started_at: base - 1000 * which,
    time: base + tick * 30_000 + which,
    rss: 5e7 + 1000 * tick + which,
    ...(which % 3 === 0 ? { anon: 4e7 + tick } : which % 3 === 1 ? { cgroup_anon: 3e7 + tick } : {}),
    ...(which % 2 === 0 && tick % 7 === 0 ? { heap_live: 2e7 + tick, heap_used: 2.5e7 + tick } : {}),
    ...(tick > 300 ? { requests: tick } : {}),
    memory_limit: 1e9,
  })).filter((_, tick) => tick < 40 * which || tick > 40 * which + 170);
}

const life = (number: number) => number.toString(16).padStart(16, '0');

beforeAll(async () => {
  ({ store, close } = await temporaryStore());
  const known = ['basket', 'cart', 'checkout', 'search'].flatMap((service, index) =>
    [0, 1, 2].flatMap((one) => samplesOf(service, 3 * index + one, life(3 * index + one))),
  );
  await insertSamples(store, columnsOf(known));
  const [process_started_at, time] = [base - 4000, base + 4 * HOUR];
  const identity = { environment: 'production', version: '1.4.0', host: 'host-1', pid: 4242, runtime: 'nodejs' } as const;
  await insertExits(store, [
    { process: { lifetime: life(4), service: 'cart', instance: 'cart-0', process_started_at, ...identity }, time, reason: 'exit' },
  ]);
  await rollUp(store);
});
afterAll(() => close());

async function byRows(...asked: Parameters<typeof readSeriesByRows>): Promise<Series[] | undefined> {
  const services = await readSeriesByRows(...asked);
  return services === undefined ? undefined : [...services].flat();
}

const range = { from: base, to: base + 6 * HOUR };

async function inBatches(blockMs: number): Promise<Series[]> {
  const all: Series[] = [];
  for await (const batch of readSeriesInBatches(store, { ...range, blockMs })) all.push(...structuredClone(batch));
  return all;
}

it.each([HOUR, MINUTE])('of %i ms are those that the engine gathers', async (blockMs) => {
  const gathered = await readSeries(store, { ...range, blockMs });
  expect(gathered).toHaveLength(12);
  expect(gathered.filter(({ endedAt }) => endedAt !== undefined)).toHaveLength(1);
  expect(await byRows(store, { ...range, blockMs })).toEqual(gathered);
  expect(await inBatches(blockMs)).toEqual(gathered);
});

it.each([
  { from: base + 90 * MINUTE, to: base + 150 * MINUTE, blockMs: MINUTE },
  { ...range, blockMs: MINUTE, columns: ['anonMin', 'heapLiveLast', 'objectsMin'] as const },
  { ...range, blockMs: HOUR, columns: ['rssMin', 'sampleCount', 'timeLast'] as const },
  { ...range, blockMs: HOUR, names: { first: 'cart', before: 'search' } },
  { ...range, blockMs: HOUR, names: { first: 'checkout', before: undefined } },
  { ...range, blockMs: MINUTE, shards: { count: 3, owned: [0, 2] } },
  { from: base - 4 * HOUR, to: base - HOUR, blockMs: HOUR },
])('of part of it are those that the engine gathers: %o', async (query) => {
  const found = await byRows(store, query);
  expect(found).toBeDefined();
  expect(found).toEqual(await readSeries(store, query));
});

it('are the same in arrays that held others before, and where more columns are told of others', async () => {
  const shared = { arrays: new BatchArrays(), told: await readToldColumns(store, { ...range, blockMs: HOUR }) };
  for (const first of ['basket', 'checkout', 'search']) {
    const query = { ...range, blockMs: HOUR, names: { first, before: `${first}~` } };
    const found = await byRows(store, query, shared);
    expect(found).toHaveLength(3);
    expect(found).toEqual(await readSeries(store, query));
  }
});

it('knows a lifetime that is rolled up but not among the lifetimes yet', async () => {
  await store.command(`DELETE FROM lifetimes WHERE lifetime IN ('${life(1)}', '${life(7)}')`);
  for (const blockMs of [MINUTE, HOUR]) {
    const found = await byRows(store, { ...range, blockMs });
    expect(found).toHaveLength(12);
    expect(found).toEqual(await readSeries(store, { ...range, blockMs }));
  }
});

it('knows whose hours are that were rolled up before they had a number for it', async () => {
  const query = { ...range, blockMs: HOUR };
  const hashed = 'SELECT uniqExact(lifetime_hash) AS hashes, uniqExact(lifetime) AS lifetimes FROM hour_rollups';
  const before = await store.query(hashed);
  expect(before).toEqual([{ hashes: 12, lifetimes: 12 }]);
  const { text } = readMigrations().find(({ name }) => name === '019_lifetime_hash.sql')!;
  await store.command('ALTER TABLE hour_rollups DROP COLUMN lifetime_hash');
  for (const statement of renderMigration(text, { cluster: '', rawSeconds: 0, rollupSeconds: 0 })) {
    await store.command(statement);
    expect(await store.query(hashed)).toEqual(before);
    expect(await byRows(store, query)).toEqual(await readSeries(store, query));
  }
});

it('leaves it to the engine where there are no rollups of that width', async () => {
  expect(await byRows(store, { ...range, blockMs: 5 * MINUTE })).toBeUndefined();
});

it('keeps apart what goes by the lifetime of another, also before it is among the lifetimes', async () => {
  await insertSamples(store, columnsOf([...samplesOf('twin', 3, life(3)), ...samplesOf('search', 10, life(9))]));
  for (const [rollUpNow, blockMs] of [
    [rollUpMinutes, MINUTE],
    [rollUp, HOUR],
  ] as const) {
    await rollUpNow(store, { isThorough: true });
    const gathered = await readSeries(store, { ...range, blockMs });
    expect(gathered).toHaveLength(14);
    expect(await byRows(store, { ...range, blockMs })).toEqual(gathered);
    expect(await inBatches(blockMs)).toEqual(gathered);
  }
});
