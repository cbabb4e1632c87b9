/**
 * CPU that a Kafka client with nothing to do takes, each case a process of its own over one minute:
 * `npx tsx test/bench/kafka-idle.bench.ts [SECONDS]`. Starts a broker. Prints one line of JSON per case.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import kafkajs from 'kafkajs';
import { systemClock } from '../../shared/clock.ts';
import { startKafka } from '../harness/kafka-broker.ts';

const CASES = {
  'no Kafka client': 'nothing',
  'kafkajs 2.2.4 as it is, idle producer': 'stock',
  'our bus, idle producer': 'producer',
  'our bus, publishing 12 KB every 10 s': 'agent',
  'our bus, idle group member': 'member',
} as const;

type Case = (typeof CASES)[keyof typeof CASES];

const TOPIC = 'idle';

async function open(what: Case, brokers: string[]): Promise<void> {
  if (what === 'nothing') return;
  if (what === 'stock') {
    const producer = new kafkajs.Kafka({ brokers, logLevel: kafkajs.logLevel.NOTHING }).producer();
    await producer.connect();
    await producer.send({ topic: TOPIC, messages: [{ value: 'x' }] });
    return;
  }
  const { openKafkaBus } = await import('../harness/kafka-topic.ts');
  const bus = openKafkaBus(brokers);
  const message = { key: 'agent', value: Buffer.from(JSON.stringify(Array.from({ length: 1500 }, (_, index) => index * 7919))) };
  await bus.publish(TOPIC, [message]);
  if (what === 'agent') setInterval(() => void bus.publish(TOPIC, [message]), 10_000);
  if (what === 'member')
    await bus.subscribe({ topic: TOPIC, group: 'idle', onMessages: () => Promise.resolve(), onRevoked: () => undefined });
}

async function measure(what: Case, brokers: string[], seconds: number): Promise<void> {
  await open(what, brokers);
  await systemClock.sleep(3_000);
  const before = process.cpuUsage();
  await systemClock.sleep(seconds * 1000);
  const { user, system } = process.cpuUsage(before);
  process.send?.({ cpuSeconds: (user + system) / 1e6, rssMiB: Math.round(process.memoryUsage.rss() / 2 ** 20) });
  await new Promise((resolve) => setTimeout(resolve, 100));
  process.exit(0);
}

async function main(): Promise<void> {
  const [mode, brokers, length] = process.argv.slice(2);
  if (mode === 'measure') return measure(brokers as Case, (length ?? '').split(','), Number(process.argv[5]));
  const seconds = Number(mode ?? 60);
  const broker = await startKafka();
  try {
    const admin = new kafkajs.Kafka({ brokers: broker.brokers, logLevel: kafkajs.logLevel.NOTHING }).admin();
    await admin.connect();
    await admin.createTopics({ topics: [{ topic: TOPIC, numPartitions: 1 }], waitForLeaders: true });
    await admin.disconnect();
    await Promise.all(
      Object.entries(CASES).map(async ([name, what]) => {
        const child = fork(import.meta.filename, ['measure', what, broker.brokers.join(','), String(seconds)], {
          execArgv: ['--import', 'tsx'],
        });
        const [result] = (await once(child, 'message')) as [{ cpuSeconds: number; rssMiB: number }];
        console.log(
          JSON.stringify({ case: name, seconds, ...result, percentOfACore: Number(((100 * result.cpuSeconds) / seconds).toFixed(2)) }),
        );
      }),
    );
  } finally {
    await broker.stop();
  }
}

await main();
