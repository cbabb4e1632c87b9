/** Whatever comes over the bus: it gets a named reason and a counter, its neighbours are stored, and the partition goes on. */
import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest';
import { startIngester } from '../../../services/ingester/ingester.ts';
import { TOPICS, type Bus } from '../../../shared/bus/bus.ts';
import { createMemoryBus } from '../../../shared/bus/memory.ts';
import { systemClock } from '../../../shared/clock.ts';
import { loadConfig } from '../../../shared/config.ts';
import { createLog } from '../../../shared/log.ts';
import { Metrics } from '../../../shared/metrics.ts';
import { readDeadLetters } from '../../../shared/store/dead-letters.ts';
import type { Store } from '../../../shared/store/store.ts';
import { encodeBatch } from '../../../shared/wire.ts';
import { sampleBatch } from '../../harness/sample-batch.ts';
import { temporaryStore } from '../../shared/store/fixture.ts';

let store: Store;
let close: () => Promise<void>;

beforeAll(async () => ({ store, close } = await temporaryStore()));
afterAll(() => close());

const log = createLog({ level: 'silent', secrets: [] });
const { ingester: config } = loadConfig({ env: {}, flags: { 'ingester.maxBatchDelay': '20ms' }, readFile: () => '' });

async function start(bus: Bus = createMemoryBus({ clock: systemClock, topics: [TOPICS.samples] })) {
  const metrics = new Metrics();
  const ingester = await startIngester({ bus, store, config, clock: systemClock, log, metrics });
  onTestFinished(() => ingester.stop());
  const counted = async (name: string, labels: Record<string, string>) => {
    const values = (await metrics.registry.getSingleMetric(`leakline_ingester_${name}_total`)?.get())?.values ?? [];
    return values.filter((value) => Object.entries(labels).every(([label, wanted]) => value.labels[label] === wanted))[0]?.value ?? 0;
  };
  return { bus, counted };
}

const now = Date.now();
const sound = (agent: string) => sampleBatch({ agent, seq: 0, time: now });
const json = (value: unknown) => Buffer.from(JSON.stringify(value));
/** A sound batch of the agent `bad` with parts of it replaced, as JSON writes them. */
const withSamples = (samples: object) => json({ ...sound('bad'), samples: { ...sound('bad').samples, ...samples } });
const withProcesses = (processes: object) => json({ ...sound('bad'), processes: { ...sound('bad').processes, ...processes } });
const rows = (count: number) => Array.from({ length: count }, () => 0);

const UNREADABLE: readonly (readonly [what: string, code: string, value: () => Buffer])[] = [
  ['nothing', 'LKL_ERR_BATCH_MALFORMED', () => Buffer.alloc(0)],
  ['bytes that are no text', 'LKL_ERR_BATCH_MALFORMED', () => Buffer.from([0x1f, 0x8b, 0xff, 0x00, 0x80])],
  ['a message torn in the middle', 'LKL_ERR_BATCH_MALFORMED', () => encodeBatch(sound('bad')).subarray(0, 300)],
  ['a message nested a million deep', 'LKL_ERR_BATCH_MALFORMED', () => Buffer.from('['.repeat(1_000_000))],
  [
    'fields nested a hundred thousand deep',
    'LKL_ERR_BATCH_MALFORMED',
    () => Buffer.from(`{"v":1,"agent":${'{"a":'.repeat(100_000)}1${'}'.repeat(100_000)}}`),
  ],
  [
    'a number no JSON has',
    'LKL_ERR_BATCH_MALFORMED',
    () =>
      Buffer.from(
        withSamples({ rss: ['@', 1] })
          .toString()
          .replace('"@"', 'NaN'),
      ),
  ],
  ['columns of unequal length', 'LKL_ERR_BATCH_MALFORMED', () => withProcesses({ pid: [1] })],
  ['no version', 'LKL_ERR_BATCH_MALFORMED', () => json({ ...sound('bad'), v: undefined })],
  ['version 0', 'LKL_ERR_BATCH_MALFORMED', () => json({ ...sound('bad'), v: 0 })],
  ['a version as text', 'LKL_ERR_BATCH_MALFORMED', () => json({ ...sound('bad'), v: '1' })],
  ['a version of the future', 'LKL_ERR_BATCH_VERSION', () => json({ ...sound('bad'), v: 2 })],
  ['40 MB', 'LKL_ERR_BATCH_TOO_LARGE', () => Buffer.alloc(40_000_000, 0x20)],
  ['100,001 rows', 'LKL_ERR_BATCH_TOO_LARGE', () => withSamples({ process: rows(100_001), time: rows(100_001) })],
  ['20,001 processes', 'LKL_ERR_BATCH_TOO_LARGE', () => withProcesses({ lifetime: rows(20_001) })],
];

it.each(UNREADABLE)('%s: %s, and the partition goes on', async (what, code, value) => {
  const { bus, counted } = await start();
  const key = `unreadable ${what}`;
  await bus.publish(TOPICS.samples, [
    { key: 'before', value: encodeBatch(sound(`before ${what}`)) },
    { key, value: value() },
    { key: 'after', value: encodeBatch(sound(`after ${what}`)) },
  ]);
  expect(await counted('dead_letters', { code })).toBe(1);
  const letters = (await readDeadLetters(store)).filter(({ agent }) => agent === key);
  expect(letters.map((letter) => letter.code)).toEqual([code]);
  expect(letters[0]?.payload.length).toBe(Math.min(value().length, 1024 * 1024));
  const stored = await store.query<{ agent: string }>(
    'SELECT DISTINCT toString(agent) AS agent FROM raw_samples WHERE endsWith(agent, {what:String}) ORDER BY agent',
    { what: ` ${what}` },
  );
  expect(stored.map(({ agent }) => agent)).toEqual([`after ${what}`, `before ${what}`]);
});

const DAY_MS = 86_400_000;

it.each([
  ['a sample of next week', 'time_in_future', () => withSamples({ time: [now + 7 * DAY_MS, now] })],
  ['a sample of last month', 'time_too_old', () => withSamples({ time: [now - 30 * DAY_MS, now] })],
  ['a sample before the epoch', 'time_too_old', () => withSamples({ time: [-1e15, now] })],
  ['a time that is text', 'time_not_a_number', () => withSamples({ time: ['soon', now] })],
  ['a row of no process', 'process_index', () => withSamples({ process: [9, 1] })],
  ['a process without a name', 'process_identity', () => withProcesses({ lifetime: ['?', sound('bad').processes.lifetime[1]] })],
])('%s is refused alone: %s', async (_what, reason, value) => {
  await store.command('TRUNCATE TABLE dead_letters');
  const { bus, counted } = await start();
  await bus.publish(TOPICS.samples, [{ key: 'bad', value: value() }]);
  expect(await counted('refused_rows', { reason })).toBe(1);
  expect(await counted('rows', {})).toBe(1);
  expect(await readDeadLetters(store)).toMatchObject([{ agent: 'bad', code: reason, payload: value() }]);
});

it.each([
  ['a negative value', { rss: [-1, 1] }],
  ['a value beyond what is exact', { rss: [2 ** 60, 1] }],
  ['a fraction of a byte', { rss: [0.5, 1] }],
  ['a value that is text', { rss: ['NaN', 1] }],
])('%s becomes absent and is counted', async (_what, samples) => {
  await store.command('TRUNCATE TABLE raw_samples');
  const { bus, counted } = await start();
  await bus.publish(TOPICS.samples, [{ key: 'bad', value: withSamples(samples) }]);
  expect(await counted('cleared_values', { column: 'rss' })).toBe(1);
  expect(await store.query('SELECT rss FROM samples ORDER BY instance')).toEqual([{ rss: null }, { rss: 1 }]);
});

it('takes a message that its producer dated in the year 100,000 as arriving now', async () => {
  const inner = createMemoryBus({ clock: systemClock, topics: [TOPICS.samples] });
  const dated: Bus = {
    ...inner,
    subscribe: (options) =>
      inner.subscribe({
        ...options,
        onMessages: (messages) => options.onMessages(messages.map((message) => ({ ...message, timestamp: 3.1e15 }))),
      }),
  };
  const { bus, counted } = await start(dated);
  await bus.publish(TOPICS.samples, [
    { key: 'dated', value: encodeBatch(sound('dated')) },
    { key: 'dated', value: Buffer.from('?') },
  ]);
  expect(await counted('rows', {})).toBe(2);
  expect((await readDeadLetters(store)).filter(({ agent }) => agent === 'dated')).toHaveLength(1);
});

it('takes a thousand services of an agent that names a million, refuses and tells the rest, in flat memory', async () => {
  await store.command('TRUNCATE TABLE raw_samples');
  await store.command('TRUNCATE TABLE dead_letters');
  const { bus, counted } = await start();
  const perMessage = 10_000;
  const messageOf = (no: number) => {
    const ids = Array.from({ length: perMessage }, (_, index) => no * perMessage + index);
    const all = (value: string) => ids.map(() => value);
    const processes = {
      lifetime: ids.map((id) => id.toString(16).padStart(16, '0')),
      service: ids.map((id) => `request-${id}`),
      instance: all('i'),
      environment: all('e'),
      version: all('v'),
      host: all('h'),
      pid: ids.map(() => 1),
      process_started_at: ids.map(() => now),
      runtime: all('go'),
      labels: ids.map(() => ({})),
    };
    const samples = { process: [...ids.keys()], time: ids.map(() => now), rss: ids.map(() => 1) };
    return { key: 'flood', value: json({ ...sound('flood'), seq: no, processes, samples }) };
  };
  let after10 = 0;
  for (let no = 0; no < 100; no++) {
    await bus.publish(TOPICS.samples, [messageOf(no)]);
    if (no === 10) after10 = process.memoryUsage().rss;
  }
  expect(process.memoryUsage().rss - after10).toBeLessThan(200e6);
  expect(await counted('refused_rows', { reason: 'too_many_services' })).toBe(999_000);
  expect(await store.query('SELECT toUInt32(uniqExact(service)) AS services FROM raw_samples')).toEqual([{ services: 1000 }]);
  expect(await counted('dead_letters', { code: 'too_many_services' })).toBe(100);
  // 20 a minute, and the minute may have changed meanwhile.
  const letters = await readDeadLetters(store);
  expect(letters.length + (await counted('dead_letters_dropped', { code: 'too_many_services' }))).toBe(100);
  expect(letters.length).toBeLessThanOrEqual(40);
  expect(new Set(letters.map(({ code }) => code))).toEqual(new Set(['too_many_services']));
  await bus.publish(TOPICS.samples, [{ key: 'another', value: encodeBatch(sound('another')) }]);
  expect(await store.query("SELECT toUInt32(count()) AS n FROM samples WHERE agent = 'another'")).toEqual([{ n: 2 }]);
});
