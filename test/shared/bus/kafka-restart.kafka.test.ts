/** The broker goes away in the middle: killed, restarted. Nothing acknowledged is lost, and both sides come back by themselves. */
import { expect, it, onTestFinished } from 'vitest';
import { systemClock } from '../../../shared/clock.ts';
import { retry } from '../../../shared/retry.ts';
import { startKafka } from '../../harness/kafka-broker.ts';
import { createTopic, openKafkaBus } from '../../harness/kafka-topic.ts';
import { collect, outgoing, textOf } from './bus-conformance.ts';

it.each(['kill', 'restart'] as const)('survives a %s of the broker', async (how) => {
  const broker = await startKafka();
  onTestFinished(() => broker.stop());
  const bus = openKafkaBus(broker.brokers);
  onTestFinished(() => bus.close());
  const topic = await createTopic(broker.brokers, 2);
  const { messages, watch, commitAll } = await collect({ bus, topic }, { onMessages: () => commitAll().catch(() => undefined) });

  const acknowledged: string[] = [];
  const stop = new AbortController();
  const publishing = (async () => {
    for (let index = 0; !stop.signal.aborted; index++) {
      await retry(() => bus.publish(topic, [outgoing('a', index), outgoing('b', index)]), {
        retries: Infinity,
        signal: AbortSignal.timeout(120_000),
        maxDelayMs: 500,
      });
      acknowledged.push(`a:${index}`, `b:${index}`);
      watch.changed();
      await systemClock.sleep(5);
    }
  })();
  await watch.until(() => acknowledged.length > 50);
  if (how === 'kill') {
    await broker.kill();
    await systemClock.sleep(2_000);
    await broker.start();
  } else await broker.restart();
  const before = acknowledged.length;
  await watch.until(() => acknowledged.length > before + 50);
  stop.abort();
  await publishing;
  const seen = () => new Set(messages.map(textOf));
  await watch.until(() => acknowledged.every((text) => seen().has(text)));
  // Committed as it went: a new member is given nothing of it but what the crash left uncommitted.
  expect(messages.length).toBeLessThan(acknowledged.length * 2);
});
