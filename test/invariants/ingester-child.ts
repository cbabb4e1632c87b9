/**
 * The ingester as a process of its own, with sessions of 3 s, so that what a lost member delays the others stays short.
 * Arguments: brokers, address of the store, and which rule to break: `sound` breaks none. The other two show that the judge
 * notices; they wrap the bus, so what runs behind them is the product.
 */
import { startIngester } from '../../services/ingester/ingester.ts';
import type { Bus, BusMessage } from '../../shared/bus/bus.ts';
import { ensureTopics } from '../../shared/bus/kafka.ts';
import { systemClock } from '../../shared/clock.ts';
import { loadConfig } from '../../shared/config.ts';
import { createLog } from '../../shared/log.ts';
import { createLifecycle } from '../../shared/lifecycle.ts';
import { Metrics } from '../../shared/metrics.ts';
import { retry } from '../../shared/retry.ts';
import type { Batch } from '../../shared/sample.ts';
import { migrate } from '../../shared/store/migrate.ts';
import { openStore } from '../../shared/store/store.ts';
import { encodeBatch } from '../../shared/wire.ts';
import { kafkaSettings, openKafkaBus } from '../harness/kafka-topic.ts';

export const CONDUCTS = ['sound', 'commits-first', 'stamps-rows'] as const;

export type Conduct = (typeof CONDUCTS)[number];

/** Acknowledges what it was handed before anything of it is stored. */
const commitsFirst = (bus: Bus): Bus => ({
  ...bus,
  subscribe: async (options) => {
    const subscription = await bus.subscribe({
      ...options,
      onMessages: async (messages) => {
        await subscription.commit(new Map(messages.map(({ partition, offset }) => [partition, offset + 1n])));
        await options.onMessages(messages);
      },
    });
    return { ...subscription, commit: () => Promise.resolve() };
  },
});

/** Puts itself into the name of each row, so that the same message stored by another ingester makes other rows. */
const stampsRows = (bus: Bus): Bus => {
  const stamped = (message: BusMessage): BusMessage => {
    const batch = JSON.parse(message.value.toString()) as Batch;
    const instance = batch.processes.instance.map((name) => `${name}-${process.pid}`);
    return { ...message, value: encodeBatch({ ...batch, processes: { ...batch.processes, instance } }) };
  };
  return {
    ...bus,
    subscribe: (options) => bus.subscribe({ ...options, onMessages: (messages) => options.onMessages(messages.map(stamped)) }),
  };
};

const MADE: Readonly<Record<Conduct, (bus: Bus) => Bus>> = {
  sound: (bus) => bus,
  'commits-first': commitsFirst,
  'stamps-rows': stampsRows,
};

async function main(brokers: readonly string[], storeUrl: string, conduct: Conduct): Promise<void> {
  const lifecycle = createLifecycle();
  process.once('SIGTERM', () => void lifecycle.stop().finally(() => process.exit()));
  const log = createLog({ level: 'info', secrets: [] });
  const store = await openStore({ url: storeUrl });
  lifecycle.onStop('store', () => store.close());
  const patiently = { signal: lifecycle.stopping, retries: Infinity, maxDelayMs: 500 };
  await retry(() => migrate(store), patiently);
  await retry(() => ensureTopics({ ...kafkaSettings(brokers), partitions: 3 }, log), patiently);
  const bus = MADE[conduct](openKafkaBus(brokers, log));
  lifecycle.onStop('bus', () => bus.close());
  const flags = { 'ingester.maxBatchDelay': '150ms', 'ingester.rollupInterval': '500ms' };
  const { ingester: config } = loadConfig({ env: {}, flags, readFile: () => '' });
  const ingester = await startIngester({ bus, store, config, clock: systemClock, log, metrics: new Metrics() });
  lifecycle.onStop('ingester', () => ingester.stop());
}

if (process.argv[1] === import.meta.filename) {
  const [brokers = '', storeUrl = '', conduct = 'sound'] = process.argv.slice(2);
  await main(brokers.split(','), storeUrl, conduct as Conduct);
}
