/** Ingesters that know nothing of each other, in one consumer group before one store: they share the work, and every row is stored once. */
import { afterAll, beforeAll, expect, inject, it, onTestFinished } from 'vitest';
import { startIngester } from '../../../services/ingester/ingester.ts';
import { TOPICS, type Bus } from '../../../shared/bus/bus.ts';
import { systemClock } from '../../../shared/clock.ts';
import { loadConfig } from '../../../shared/config.ts';
import { createLog } from '../../../shared/log.ts';
import { Metrics } from '../../../shared/metrics.ts';
import type { Store } from '../../../shared/store/store.ts';
import { encodeBatch } from '../../../shared/wire.ts';
import { createTopic, openKafkaBus } from '../../harness/kafka-topic.ts';
import { sampleBatch } from '../../harness/sample-batch.ts';
import { until } from '../../harness/until.ts';
import { temporaryStore } from '../../shared/store/fixture.ts';

const PARTITIONS = 6;
const AGENTS = 24;
const PROCESSES = 5;
const PATIENCE_MS = 120_000;

let store: Store;
let close: () => Promise<void>;
let topic: string;
let bus: Bus;
let seq = 0;

beforeAll(async () => {
  ({ store, close } = await temporaryStore());
  const brokers = inject('kafkaBrokers');
  topic = await createTopic(brokers, PARTITIONS);
  bus = openKafkaBus(brokers);
});
afterAll(async () => {
  await bus.close();
  await close();
});

async function join() {
  const own = openKafkaBus(inject('kafkaBrokers'));
  const metrics = new Metrics();
  const ingester = await startIngester({
    bus: { ...own, subscribe: (options) => own.subscribe({ ...options, topic: options.topic === TOPICS.samples ? topic : options.topic }) },
    store,
    config: loadConfig({ env: {}, flags: { 'ingester.maxBatchDelay': '50ms' }, readFile: () => '' }).ingester,
    clock: systemClock,
    log: createLog({ level: 'silent', secrets: [] }),
    metrics,
  });
  const leave = async () => {
    await ingester.stop();
    await own.close();
  };
  onTestFinished(leave);
  const rows = async () =>
    (await metrics.registry.getSingleMetric('leakline_ingester_rows_total')?.get())?.values.reduce((sum, { value }) => sum + value, 0) ?? 0;
  return { rows, leave };
}

/** One batch of every agent. */
async function publish(): Promise<void> {
  const time = Date.now();
  await bus.publish(
    topic,
    Array.from({ length: AGENTS }, (_, index) => {
      const agent = `agent-${String(index)}`;
      return { key: agent, value: encodeBatch(sampleBatch({ agent, seq, time: time + seq, processes: PROCESSES })) };
    }),
  );
  seq++;
}

/** As people read them. */
const stored = async () => (await store.query<{ rows: number }>('SELECT toUInt32(count()) AS rows FROM samples'))[0]!.rows;

const published = () => seq * AGENTS * PROCESSES;

/** Each of them stores something, while batches come. */
const allStore = (...members: { rows: () => Promise<number> }[]) =>
  until(
    'each of them stores rows',
    async () => {
      await publish();
      return Promise.all(members.map(({ rows }) => rows()));
    },
    (rows) => rows.every((count) => count > 0),
    PATIENCE_MS,
  );

/** No more can come than was published: what is delivered again has the same names. */
const allIsStored = async () => {
  await until('all rows', stored, (rows) => rows >= published(), PATIENCE_MS);
  expect(await stored()).toBe(published());
};

it('two share the partitions, and every row is stored once', { timeout: 300_000 }, async () => {
  const [first, second] = [await join(), await join()];
  await allStore(first, second);
  await allIsStored();
  const before = [await first.rows(), await second.rows()] as const;
  for (let round = 0; round < 40; round++) await publish();
  await allIsStored();
  const share = [(await first.rows()) - before[0], (await second.rows()) - before[1]];
  expect(Math.min(...share)).toBeGreaterThan(0);
  expect(share[0]! + share[1]!).toBeGreaterThanOrEqual(40 * AGENTS * PROCESSES);
});

it('one more joins and one leaves in the middle of it, and every row is stored once', { timeout: 300_000 }, async () => {
  const [first, second] = [await join(), await join()];
  await allStore(first, second);
  const third = await join();
  await allStore(first, second, third);
  const flow = async () => {
    for (let round = 0; round < 20; round++) await publish();
  };
  await Promise.all([first.leave(), flow()]);
  await allIsStored();
});
