/** Topics of a test's own on the shared broker, and a bus to them. */
import { randomBytes } from 'node:crypto';
import kafkajs from 'kafkajs';
import { createKafkaBus } from '../../shared/bus/kafka.ts';
import type { KafkaSettings } from '../../shared/bus/kafka-client.ts';
import { systemClock } from '../../shared/clock.ts';
import { loadConfig } from '../../shared/config.ts';
import { createLog } from '../../shared/log.ts';

const log = createLog({ level: 'silent', secrets: [] });

export function kafkaSettings(brokers: readonly string[]): KafkaSettings {
  const flags = { 'bus.kind': 'kafka', 'bus.brokers': [...brokers] };
  return loadConfig({ env: {}, flags, readFile: () => '' }).bus;
}

/** Sessions of 3 s: what a killed member delays the others in tests. */
export const openKafkaBus = (brokers: readonly string[]) =>
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
