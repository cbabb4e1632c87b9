/** A store that takes nothing for long, before a topic that holds far more than may be held: reading stops, then everything arrives. */
import { afterAll, beforeAll, expect, inject, it } from 'vitest';
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

const MIB = 1024 * 1024;
const MESSAGES = 400;
const PROCESSES = 100;

let store: Store;
let close: () => Promise<void>;

beforeAll(async () => ({ store, close } = await temporaryStore()));
afterAll(() => close());

/** Few rows and many bytes: 32 labels of 250 characters each. */
function message(seq: number) {
  const agent = `wide-${seq % 4}`;
  const batch = sampleBatch({ agent, seq, time: Date.now(), processes: PROCESSES });
  const labels = Object.fromEntries(Array.from({ length: 32 }, (_, index) => [`label-${index}`, String(seq).padStart(250, 'x')]));
  return {
    key: agent,
    value: encodeBatch({ ...batch, processes: { ...batch.processes, labels: batch.processes.labels.map(() => labels) } }),
  };
}

it('holds no more than it may, pauses, stays a member, and stores all once the store answers', { timeout: 240_000 }, async () => {
  const brokers = inject('kafkaBrokers');
  const topic = await createTopic(brokers, 2);
  const bus = openKafkaBus(brokers);
  let bytes = 0;
  for (let seq = 0; seq < MESSAGES; seq++) {
    const one = message(seq);
    bytes += one.value.length;
    await bus.publish(topic, [one]);
  }
  expect(bytes).toBeGreaterThan(300 * MIB);

  let open: () => void = () => undefined;
  const opened = new Promise<void>((resolve) => (open = resolve));
  const slow = new Proxy(store, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name, target);
      if (typeof value !== 'function') return value;
      const call = (value as (...args: unknown[]) => unknown).bind(target);
      return name === 'insertNative' ? async (...args: unknown[]) => opened.then(() => call(...args)) : call;
    },
  });
  const onTopic: Bus = {
    ...bus,
    subscribe: (options) => bus.subscribe({ ...options, topic: options.topic === TOPICS.samples ? topic : options.topic }),
  };
  const metrics = new Metrics();
  const { ingester: config } = loadConfig({ env: {}, flags: {}, readFile: () => '' });
  const log = createLog({ level: 'silent', secrets: [] });
  const ingester = await startIngester({ bus: onTopic, store: slow, config, clock: systemClock, log, metrics });
  const valueOf = async (name: string) =>
    (await metrics.registry.getSingleMetric(`leakline_ingester_${name}`)?.get())?.values.reduce((sum, { value }) => sum + value, 0) ?? 0;

  // Full: one block waits for the store, the next one for room.
  let before = 0;
  let looks = 0;
  const read = await until(
    'reading to stop',
    () => valueOf('batches_total'),
    (count) => {
      looks = count > 0 && count === before ? looks + 1 : 0;
      before = count;
      return looks === 8;
    },
    120_000,
  );
  const messageBytes = bytes / MESSAGES;
  expect(await valueOf('buffered_bytes')).toBeLessThanOrEqual(64 * MIB + messageBytes);
  expect(read * messageBytes).toBeLessThanOrEqual(2 * (64 * MIB + messageBytes));
  expect(read).toBeLessThan(MESSAGES / 2);

  open();
  await until(
    'all rows',
    () => store.query<{ n: number }>("SELECT toUInt32(count()) AS n FROM samples WHERE startsWith(agent, 'wide-')"),
    (rows) => rows[0]?.n === MESSAGES * PROCESSES,
    120_000,
  );
  expect(await valueOf('paused_seconds_total')).toBeGreaterThan(0);
  expect(await valueOf('repeated_batches_total')).toBe(0);
  await ingester.stop();
  await bus.close();
});
