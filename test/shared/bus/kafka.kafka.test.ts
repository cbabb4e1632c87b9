/** The bus over a real Kafka broker: the promises of every bus, groups, membership, sizes, and what kafkajs gets wrong. */
import { createRequire } from 'node:module';
import kafkajs from 'kafkajs';
import { describe, expect, inject, it, onTestFinished, vi } from 'vitest';
import { createKafkaBus } from '../../../shared/bus/kafka.ts';
import { systemClock } from '../../../shared/clock.ts';
import { createLog } from '../../../shared/log.ts';
import { createTopic, kafkaSettings, openKafkaBus } from '../../harness/kafka-topic.ts';
import { busConformance, collect, outgoing, textOf, type BusUnderTest } from './bus-conformance.ts';

const brokers = inject('kafkaBrokers');
const log = createLog({ level: 'silent', secrets: [] });

const open = async (partitions = 1): Promise<BusUnderTest> => ({
  bus: openKafkaBus(brokers),
  topic: await createTopic(brokers, partitions),
});

async function opened(partitions = 1): Promise<BusUnderTest> {
  const under = await open(partitions);
  onTestFinished(() => under.bus.close());
  return under;
}

busConformance('Kafka', () => open());

describe('a consumer group', () => {
  it('shares partitions, and hands over what was not committed when a member comes and goes', async () => {
    const under = await opened(4);
    const keys = Array.from({ length: 40 }, (_, index) => `key-${index}`);
    const first = await collect(under);
    await under.bus.publish(
      under.topic,
      keys.map((key) => outgoing(key, 0)),
    );
    await first.watch.until(() => first.messages.length === 40);

    const second = await collect(under);
    await first.watch.until(() => first.revoked.length > 0);
    // Nothing was committed: both together get all of it again.
    const seen = () => new Set([...first.messages.slice(40), ...second.messages].map(textOf));
    await vi.waitFor(() => expect(seen().size).toBe(40), { timeout: 30_000, interval: 50 });
    await vi.waitFor(() => {
      const owned = [...first.subscription.partitions(), ...second.subscription.partitions()].sort();
      expect(owned).toEqual([0, 1, 2, 3]);
      expect(second.subscription.partitions()).toHaveLength(2);
    }, 30_000);

    const foreign = second.subscription.partitions()[0]!;
    await expect(first.subscription.commit(new Map([[foreign, 1n]]))).rejects.toMatchObject({ code: 'LKL_ERR_BUS_UNAVAILABLE' });

    await second.subscription.stop();
    await vi.waitFor(() => expect(first.subscription.partitions()).toHaveLength(4), 30_000);
  });

  it('stays a member while its subscriber takes longer than the session', async () => {
    const under = await opened();
    let release: () => void = () => undefined;
    const { messages, revoked, watch, commitAll } = await collect(under, {
      onMessages: () => new Promise<void>((resolve) => (release = resolve)),
    });
    await under.bus.publish(under.topic, [outgoing('a', 0)]);
    await watch.until(() => messages.length === 1);
    await systemClock.sleep(7_000);
    expect(revoked).toEqual([]);
    await commitAll();
    release();
    await under.bus.publish(under.topic, [outgoing('a', 1)]);
    await watch.until(() => messages.length === 2);
    expect(messages.map(textOf)).toEqual(['a:0', 'a:1']);
  });
});

describe('publishing', () => {
  it('sends many at once in order, each acknowledged', async () => {
    const under = await opened();
    const big = Buffer.alloc(300_000, 'x');
    const sent = Array.from({ length: 30 }, (_, index) =>
      under.bus.publish(under.topic, [{ key: 'k', value: Buffer.concat([Buffer.from(`${String(index).padStart(3)}|`), big]) }]),
    );
    await Promise.all(sent);
    const { messages, watch } = await collect(under);
    await watch.until(() => messages.length === 30);
    expect(messages.map((message) => Number(textOf(message).slice(0, 3)))).toEqual(Array.from({ length: 30 }, (_, index) => index));
  });

  it('loses and doubles nothing when an answer of the broker is lost', async () => {
    const under = await opened();
    await under.bus.publish(under.topic, [outgoing('warm', 0)]);
    const load = createRequire(import.meta.url);
    const Broker = load('kafkajs/src/broker/index.js') as { prototype: { produce(request: object): Promise<object> } };
    const { KafkaJSConnectionClosedError } = load('kafkajs/src/errors.js') as {
      KafkaJSConnectionClosedError: new (message: string, options: object) => Error;
    };
    // eslint-disable-next-line @typescript-eslint/unbound-method -- called with the broker it belongs to
    const produce = Broker.prototype.produce;
    let losses = 3;
    Broker.prototype.produce = async function (request) {
      const answer = await produce.call(this, request);
      const [host = '', port] = brokers[0]!.split(':');
      if (losses-- > 0) throw new KafkaJSConnectionClosedError('answer lost', { host, port: Number(port) });
      return answer;
    };
    onTestFinished(() => void (Broker.prototype.produce = produce));
    await Promise.all(
      Array.from({ length: 12 }, async (_, index) => {
        await systemClock.sleep(index * 40);
        await under.bus.publish(under.topic, [outgoing('a', index)]);
      }),
    );
    const { messages, watch } = await collect(under);
    await watch.until(() => messages.length >= 13);
    await systemClock.sleep(500);
    expect(messages.map(textOf).sort()).toEqual(['warm:0', ...Array.from({ length: 12 }, (_, index) => `a:${index}`)].sort());
  });

  it('says so when a message is too large even compressed', async () => {
    const bus = openKafkaBus(brokers);
    onTestFinished(() => bus.close());
    const topic = await createTopic(brokers, 1, [{ name: 'max.message.bytes', value: '1000' }]);
    const noise = Buffer.from(Array.from({ length: 5000 }, () => Math.floor(Math.random() * 256)));
    await expect(bus.publish(topic, [{ key: 'k', value: noise }])).rejects.toMatchObject({ code: 'LKL_ERR_BATCH_TOO_LARGE', retry: false });
    await bus.publish(topic, [outgoing('k', 1)]);
  });

  it('names the mend when the topic does not exist', async () => {
    const bus = openKafkaBus(brokers);
    onTestFinished(() => bus.close());
    await expect(bus.publish('no-such-topic', [outgoing('k', 1)])).rejects.toMatchObject({
      code: 'LKL_ERR_BUS_UNAVAILABLE',
      message: expect.stringContaining('leakline migrate') as string,
    });
  });

  it('fails in bounded time when no broker is there', async () => {
    const bus = createKafkaBus({ settings: kafkaSettings(['127.0.0.1:1']), clock: systemClock, log });
    const started = performance.now();
    await expect(bus.publish('t', [outgoing('k', 1)])).rejects.toMatchObject({ code: 'LKL_ERR_BUS_UNAVAILABLE' });
    await expect(bus.ping()).rejects.toMatchObject({ code: 'LKL_ERR_BUS_UNAVAILABLE' });
    expect(performance.now() - started).toBeLessThan(32_000);
    await bus.close();
  });
});

describe('a message that inflates without end', () => {
  it('is handed over empty, and the partition goes on', async () => {
    const under = await opened();
    const raw = new kafkajs.Kafka({ brokers, logLevel: kafkajs.logLevel.NOTHING }).producer();
    await raw.connect();
    onTestFinished(() => raw.disconnect());
    const bomb = { key: 'bomb', value: Buffer.alloc(100 * 1024 * 1024) };
    const compression = kafkajs.CompressionTypes.GZIP;
    await raw.send({ topic: under.topic, compression, messages: [{ key: 'first', value: 'x' }, bomb, { key: 'third', value: 'y' }] });
    await under.bus.publish(under.topic, [outgoing('a', 0)]);
    const { messages, watch } = await collect(under);
    await watch.until(() => messages.length === 4);
    expect(messages.map(textOf)).toEqual(['', '', '', 'a:0']);
    expect(messages.map(({ offset }) => offset)).toEqual([0n, 1n, 2n, 3n]);
  });
});
