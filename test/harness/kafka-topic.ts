/** Topics of a test's own on the shared broker, and a bus to them. */
import { randomBytes } from 'node:crypto';
import kafkajs from 'kafkajs';
import { createKafkaBus } from '../../shared/bus/kafka.ts';
import type { KafkaSettings } from '../../shared/bus/kafka-client.ts';
import { systemClock } from '../../shared/clock.ts';
import { loadConfig } from '../../shared/config.ts';
import { createLog } from '../../shared/log.ts';

const silent = createLog({ level: 'silent', secrets: [] });

export function kafkaSettings(brokers: readonly string[]): KafkaSettings {
  const flags = { 'bus.kind': 'kafka', 'bus.brokers': [...brokers] };
  return loadConfig({ env: {}, flags, readFile: () => '' }).bus;
}

/** Sessions of 3 s: what a killed member delays the others in tests. */
export const openKafkaBus = (brokers: readonly string[], log = silent) =>
  createKafkaBus({ settings: kafkaSettings(brokers), clock: systemClock, log, sessionTimeoutMs: 3_000 });

export async function createTopic(
  brokers: readonly string[],
  partitions: number,
  configEntries: kafkajs.IResourceConfigEntry[] = [],
): Promise<string> {
  const admin = new kafkajs.Kafka({ brokers: [...brokers], logLevel: kafkajs.logLevel.NOTHING }).admin();
  const topic = `test-${randomBytes(6).toString('hex')}`;
  await admin.connect();
  try {
    await admin.createTopics({ topics: [{ topic, numPartitions: partitions, configEntries }], waitForLeaders: true });
  } finally {
    await admin.disconnect();
  }
  return topic;
}

/** How far a consumer group has come in a topic, as the broker knows it. */
export class GroupOffsets {
  readonly #admin: kafkajs.Admin;
  readonly #topic: string;
  readonly #group: string;

  constructor(brokers: readonly string[], topic: string, group: string) {
    this.#admin = new kafkajs.Kafka({ brokers: [...brokers], logLevel: kafkajs.logLevel.NOTHING }).admin();
    this.#topic = topic;
    this.#group = group;
  }

  /** Messages that were committed, and that were not, over all partitions. */
  async read(): Promise<{ committed: number; lag: number }> {
    return this.#connected(async () => {
      const [topic] = await this.#admin.fetchOffsets({ groupId: this.#group, topics: [this.#topic] });
      const ends = await this.#admin.fetchTopicOffsets(this.#topic);
      const committed = (topic?.partitions ?? []).reduce((sum, { offset }) => sum + Math.max(0, Number(offset)), 0);
      return { committed, lag: ends.reduce((sum, { high }) => sum + Number(high), 0) - committed };
    });
  }

  /** Back to the first message. Throws while the group has members. */
  async rewind(): Promise<void> {
    await this.#connected(async () => {
      const ends = await this.#admin.fetchTopicOffsets(this.#topic);
      await this.#admin.setOffsets({
        groupId: this.#group,
        topic: this.#topic,
        partitions: ends.map(({ partition, low }) => ({ partition, offset: low })),
      });
    });
  }

  async #connected<Result>(work: () => Promise<Result>): Promise<Result> {
    await this.#admin.connect();
    try {
      return await work();
    } finally {
      await this.#admin.disconnect();
    }
  }
}
