/** The topics of the pipeline, on a broker that has none yet. */
import { expect, it, onTestFinished } from 'vitest';
import { TOPICS } from '../../../shared/bus/bus.ts';
import { ensureTopics } from '../../../shared/bus/kafka.ts';
import { createLog } from '../../../shared/log.ts';
import { startKafka } from '../../harness/kafka-broker.ts';
import { kafkaSettings, openKafkaBus } from '../../harness/kafka-topic.ts';
import { collect, outgoing } from './bus-conformance.ts';

it('are created once, with as many partitions as configured', async () => {
  const broker = await startKafka();
  onTestFinished(() => broker.stop());
  const settings = { ...kafkaSettings(broker.brokers), partitions: 3 };
  const log = createLog({ level: 'silent', secrets: [] });
  await ensureTopics(settings, log);
  await ensureTopics({ ...settings, partitions: 5 }, log);
  const bus = openKafkaBus(broker.brokers);
  onTestFinished(() => bus.close());
  await bus.publish(TOPICS.deadLetters, [outgoing('k', 1)]);
  const { messages, watch, subscription } = await collect({ bus, topic: TOPICS.samples });
  await bus.publish(TOPICS.samples, [outgoing('k', 1)]);
  await watch.until(() => messages.length > 0);
  expect(subscription.partitions()).toEqual([0, 1, 2]);
});
