/** The bus over Kafka. */
import type { Admin, Kafka } from 'kafkajs';
import type { Clock } from '../clock.ts';
import type { Logger } from '../log.ts';
import { TOPICS, type Bus } from './bus.ts';
import { bounded, connectKafka, type KafkaSettings } from './kafka-client.ts';
import { createKafkaPublisher } from './kafka-publisher.ts';
import { subscribeToKafka } from './kafka-subscription.ts';

export interface KafkaBusOptions {
  readonly settings: KafkaSettings;
  readonly clock: Clock;
  readonly log: Logger;
  /** How long a silent group member keeps its partitions: what a killed ingester delays its successor. */
  readonly sessionTimeoutMs?: number;
}

/** Connects when first used; throws LKL_ERR_CONFIG on settings that cannot work. */
export function createKafkaBus({ settings, clock, log, sessionTimeoutMs = 10_000 }: KafkaBusOptions): Bus {
  const kafka = connectKafka(settings, log);
  const publisher = createKafkaPublisher(kafka);
  const stops = new Set<() => Promise<void>>();
  const admin = createAdmin(kafka);

  return {
    publish: (topic, messages) => publisher.publish(topic, messages),
    subscribe: (options) => {
      const subscription = subscribeToKafka(kafka, {
        ...options,
        clock,
        log,
        sessionTimeoutMs,
        lagOf: (partitions) => admin.run((client) => lagOf(client, options.topic, options.group, partitions), 'reading the lag'),
      });
      stops.add(() => subscription.stop());
      return Promise.resolve(subscription);
    },
    partitionsOf: (topic) =>
      admin.run(
        async (client) => (await client.fetchTopicMetadata({ topics: [topic] })).topics[0]?.partitions.length ?? 0,
        `reading the partitions of ${topic}`,
      ),
    ping: async () => {
      await admin.run((client) => client.listTopics(), `reaching Kafka at ${settings.brokers.join(', ')}`);
    },
    close: async () => {
      await Promise.all([publisher.close(), admin.close(), ...[...stops].map((stop) => stop())]);
    },
  };
}

/** One admin connection, made when first needed and again after a failure. */
function createAdmin(kafka: Kafka) {
  let current: Promise<Admin> | undefined;
  const connect = async () => {
    const admin = kafka.admin();
    await admin.connect();
    return admin;
  };
  const close = async () => {
    const admin = await current?.catch(() => undefined);
    current = undefined;
    await admin?.disconnect().catch(() => undefined);
  };
  return {
    close,
    run: async <Result>(call: (admin: Admin) => Promise<Result>, doing: string): Promise<Result> => {
      current ??= connect();
      try {
        return await bounded(current.then(call), doing);
      } catch (error) {
        void close();
        throw error;
      }
    },
  };
}

async function lagOf(admin: Admin, topic: string, group: string, partitions: readonly number[]): Promise<ReadonlyMap<number, number>> {
  const [ends, committed] = await Promise.all([admin.fetchTopicOffsets(topic), admin.fetchOffsets({ groupId: group, topics: [topic] })]);
  const commits = new Map(committed[0]?.partitions.map(({ partition, offset }) => [partition, Number(offset)]));
  return new Map(
    ends
      .filter(({ partition }) => partitions.includes(partition))
      .map(({ partition, high, low }) => [partition, Math.max(0, Number(high) - Math.max(commits.get(partition) ?? -1, Number(low)))]),
  );
}

/**
 * Creates the topics that are missing. The broker stamps messages with its own clock, which is the arrival time that rules
 * on late samples refer to, and turns whatever compression a sender chose into the one every consumer here can read.
 */
export async function ensureTopics(settings: KafkaSettings, log: Logger): Promise<void> {
  const admin = createAdmin(connectKafka(settings, log));
  const topic = (name: string, numPartitions: number) => ({
    topic: name,
    numPartitions,
    replicationFactor: settings.replicationFactor,
    configEntries: [
      { name: 'message.timestamp.type', value: 'LogAppendTime' },
      { name: 'compression.type', value: 'gzip' },
    ],
  });
  try {
    await admin.run(async (client) => {
      const existing = await client.listTopics();
      const missing = [
        topic(TOPICS.samples, settings.partitions),
        topic(TOPICS.deadLetters, 1),
        topic(TOPICS.detectorShards, settings.partitions),
      ].filter((candidate) => !existing.includes(candidate.topic));
      if (missing.length > 0) await client.createTopics({ topics: missing, waitForLeaders: true });
    }, 'creating topics');
  } finally {
    await admin.close();
  }
}
