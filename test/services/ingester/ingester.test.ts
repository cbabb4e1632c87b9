/** The ingester between a bus and a real store (chDB): nothing lost, nothing twice, nothing committed that is not stored. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it, onTestFinished, vi } from 'vitest';
import { startIngester } from '../../../services/ingester/ingester.ts';
import { TOPICS } from '../../../shared/bus/bus.ts';
import { createMemoryBus } from '../../../shared/bus/memory.ts';
import { systemClock, type Clock } from '../../../shared/clock.ts';
import { loadConfig } from '../../../shared/config.ts';
import { LeaklineError } from '../../../shared/errors.ts';
import { createLog } from '../../../shared/log.ts';
import { Metrics } from '../../../shared/metrics.ts';
import { readDeadLetters } from '../../../shared/store/dead-letters.ts';
import { migrate } from '../../../shared/store/migrate.ts';
import { openStore, type Store } from '../../../shared/store/store.ts';
import { encodeBatch } from '../../../shared/wire.ts';
import { lifetimeOf, rssOf, sampleBatch } from '../../harness/sample-batch.ts';

const directory = mkdtempSync(join(tmpdir(), 'leakline-ingester-'));
let store: Store;

beforeAll(async () => {
  store = await openStore({ path: directory });
  await migrate(store);
});
afterAll(async () => {
  await store.close();
  rmSync(directory, { recursive: true, force: true });
});

const log = createLog({ level: 'silent', secrets: [] });
const configured = (flags: Record<string, unknown>) =>
  loadConfig({ env: {}, flags: { 'ingester.maxBatchDelay': '20ms', 'ingester.rollupInterval': '50ms', ...flags }, readFile: () => '' })
    .ingester;

async function start(options: { store?: Store; flags?: Record<string, unknown>; maxBytes?: number; clock?: Clock } = {}) {
  const bus = createMemoryBus({
    clock: systemClock,
    topics: [TOPICS.samples],
    ...(options.maxBytes !== undefined && { maxBytes: options.maxBytes }),
  });
  const metrics = new Metrics();
  const ingester = await startIngester({
    bus,
    store: options.store ?? store,
    config: configured(options.flags ?? {}),
    clock: options.clock ?? systemClock,
    log,
    metrics,
  });
  onTestFinished(() => ingester.stop());
  const valueOf = async (name: string) =>
    (await metrics.registry.getSingleMetric(name)?.get())?.values.reduce((sum, { value }) => sum + value, 0) ?? 0;
  return { bus, ingester, valueOf };
}

/** The store, whose inserts fail while `away()` says so. */
const failing = (away: () => LeaklineError | undefined): Store =>
  new Proxy(store, {
    get(target, name) {
      if (name === 'insertNative')
        return async (...args: Parameters<Store['insertNative']>) => {
          const error = away();
          if (error !== undefined) throw error;
          await target.insertNative(...args);
        };
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? (value as () => unknown).bind(target) : value;
    },
  });

const message = (agent: string, seq: number, time = Date.now()) => ({ key: agent, value: encodeBatch(sampleBatch({ agent, seq, time })) });

const stored = (agent: string) =>
  store.query<{ lifetime: string; rss: number; n: number }>(
    `SELECT lifetime, rss, toUInt32(count()) AS n FROM raw_samples FINAL WHERE agent = {agent:String} GROUP BY lifetime, rss ORDER BY rss`,
    { agent },
  );

it('has stored what publish acknowledged, once, however often it is sent', async () => {
  const { bus, valueOf } = await start();
  const now = Date.now();
  const messages = [0, 1, 2].map((seq) => message('once', seq, now + seq));
  await bus.publish(TOPICS.samples, messages);
  const expected = [0, 1, 2]
    .flatMap((seq) => [0, 1].map((id) => ({ lifetime: lifetimeOf('once', id), rss: rssOf(seq, id), n: 1 })))
    .sort((a, b) => a.rss - b.rss);
  expect(await stored('once')).toEqual(expected);
  await bus.publish(TOPICS.samples, messages);
  expect(await stored('once')).toEqual(expected);
  expect(await valueOf('leakline_ingester_repeated_batches_total')).toBe(3);
  expect(await valueOf('leakline_ingester_rows_total')).toBe(12);
});

it('files what it cannot read and what it refuses, and takes the rest', async () => {
  const { bus, valueOf } = await start();
  const late = sampleBatch({ agent: 'mixed', seq: 1, time: Date.now() });
  const mixed = { ...late, samples: { ...late.samples, time: [1, late.samples.time[1]!] } };
  await bus.publish(TOPICS.samples, [
    { key: 'broken', value: Buffer.from([0x7b, 0xff, 0x00]) },
    { key: 'mixed', value: encodeBatch(mixed) },
    { key: 'newer', value: Buffer.from(JSON.stringify({ ...late, v: 2 })) },
    message('sound', 1),
  ]);
  expect(await stored('mixed')).toHaveLength(1);
  expect(await stored('sound')).toHaveLength(2);
  const letters = await readDeadLetters(store);
  expect(letters.map(({ agent, code }) => [agent, code]).sort()).toEqual([
    ['broken', 'LKL_ERR_BATCH_MALFORMED'],
    ['mixed', 'time_too_old'],
    ['newer', 'LKL_ERR_BATCH_VERSION'],
  ]);
  expect(letters.find(({ agent }) => agent === 'broken')?.payload).toEqual(Buffer.from([0x7b, 0xff, 0x00]));
  expect(await valueOf('leakline_ingester_dead_letters_total')).toBe(3);
  expect(await valueOf('leakline_ingester_refused_rows_total')).toBe(1);
});

it.each(['LKL_ERR_STORE_UNAVAILABLE', 'LKL_ERR_STORE_REFUSED'] as const)(
  'waits out %s with bounded memory, then stores everything',
  async (code) => {
    let away = true;
    const agent = `patient-${code}`;
    const { bus, ingester, valueOf } = await start({
      store: failing(() => (away ? new LeaklineError(code, 'no disk') : undefined)),
      flags: { 'ingester.maxBatchRows': 10 },
      maxBytes: 60_000,
    });
    let acknowledged = 0;
    const now = Date.now();
    const sent = Array.from({ length: 60 }, (_, seq) =>
      bus.publish(TOPICS.samples, [message(agent, seq, now + seq)]).then(() => acknowledged++),
    );
    const tooMuch = bus.publish(
      TOPICS.samples,
      Array.from({ length: 60 }, (_, seq) => message(agent, seq)),
    );
    await expect(tooMuch).rejects.toMatchObject({ code: 'LKL_ERR_BUS_FULL' });
    await vi.waitFor(() => expect(ingester.ready()).toBe(false));
    await vi.waitFor(async () => expect(await valueOf('leakline_ingester_store_failures_total')).toBeGreaterThan(2), 5_000);
    expect(acknowledged).toBe(0);
    expect(await valueOf('leakline_ingester_batches_total')).toBeLessThan(20);
    away = false;
    await Promise.all(sent);
    expect(ingester.ready()).toBe(true);
    expect(await stored(agent)).toHaveLength(120);
  },
);

it('stores what it has read before it stops, and acknowledges nothing else', async () => {
  const { bus, ingester } = await start({ flags: { 'ingester.maxBatchDelay': '1h' } });
  const sent = bus.publish(TOPICS.samples, [message('last', 0)]);
  await systemClock.sleep(20);
  await ingester.stop();
  await sent;
  expect(await stored('last')).toHaveLength(2);
  const after = bus.publish(TOPICS.samples, [message('last', 1)]);
  await bus.close();
  await expect(after).rejects.toMatchObject({ code: 'LKL_ERR_BUS_UNAVAILABLE' });
});

it('stops in bounded time when the store never answers, without acknowledging', async () => {
  const { bus, ingester } = await start({ store: failing(() => new LeaklineError('LKL_ERR_STORE_UNAVAILABLE', 'gone')) });
  const sent = bus.publish(TOPICS.samples, [message('never', 0)]);
  const outcome = expect(sent).rejects.toMatchObject({ code: 'LKL_ERR_BUS_UNAVAILABLE' });
  await vi.waitFor(() => expect(ingester.ready()).toBe(false));
  const begun = performance.now();
  await ingester.stop();
  expect(performance.now() - begun).toBeLessThan(8_000);
  await bus.close();
  await outcome;
  expect(await stored('never')).toEqual([]);
});

it('rolls up a backlog once a minute, not again and again', async () => {
  // Of the bus, whose messages are old to the ingester.
  let aheadMs = 31_000;
  let turns = 0;
  const clock: Clock = {
    ...systemClock,
    now: () => systemClock.now() + aheadMs,
    sleep: (durationMs, signal) => {
      if (durationMs === 50) turns++;
      return systemClock.sleep(durationMs, signal);
    },
  };
  const { bus } = await start({ clock });
  const send = (agent: string) => bus.publish(TOPICS.samples, [message(agent, 0), message(agent, 1, Date.now() + 1)]);
  const someTurns = async () => {
    const before = turns;
    await vi.waitFor(() => expect(turns).toBeGreaterThan(before + 6), { timeout: 20_000, interval: 20 });
  };
  const rolledUp = () => store.query(`SELECT 1 FROM minute_rollups WHERE instance LIKE 'behind-%'`);
  await send('before-behind');
  // A roll-up that began before ends.
  await someTurns();
  await send('behind');
  await someTurns();
  expect(await rolledUp()).toEqual([]);
  aheadMs += 61_000;
  await vi.waitFor(async () => expect(await rolledUp()).not.toEqual([]), { timeout: 20_000, interval: 100 });
});

it('rolls up what it stored', async () => {
  const { bus } = await start();
  const minute = Math.floor(Date.now() / 60_000) * 60_000;
  await bus.publish(TOPICS.samples, [message('rolled', 0, minute), message('rolled', 1, minute + 1)]);
  await vi.waitFor(
    async () => {
      const rows = await store.query<{ samples: number; lowest: number }>(
        `SELECT toUInt32(sum(samples)) AS samples, min(rss_min) AS lowest FROM minute_rollups FINAL WHERE instance LIKE 'rolled-%'`,
      );
      expect(rows).toEqual([{ samples: 4, lowest: rssOf(0, 0) }]);
    },
    { timeout: 20_000, interval: 100 },
  );
});
