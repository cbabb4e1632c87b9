/**
 * Publishing to Kafka: idempotent, compressed, keyed. One request is in flight at a time and everything that waits goes
 * with the next one. More than one would be unsafe: after a lost answer kafkajs hands the sequence numbers of the failed
 * request to whichever comes next, and the broker drops that one as a duplicate although it acknowledges it (measured:
 * of 12 concurrent sends and 3 lost answers, one acknowledged message was missing and one there twice).
 * For the same reason a producer is thrown away after a request whose outcome is unknown.
 */
import kafkajs, { type Kafka, type Producer, type TopicMessages } from 'kafkajs';
import { LeaklineError } from '../errors.ts';
import type { OutgoingMessage } from './bus.ts';
import { bounded } from './kafka-client.ts';

export interface KafkaPublisher {
  publish(topic: string, messages: readonly OutgoingMessage[]): Promise<void>;
  close(): Promise<void>;
}

/** Uncompressed bytes per request: below the broker's default max.message.bytes whatever the compression. */
const REQUEST_BYTES = 900_000;
const QUEUE_BYTES = 64 * 1024 * 1024;
/** Per message beside key and value: record header, lengths. */
const MESSAGE_OVERHEAD_BYTES = 128;

interface Waiting {
  readonly topic: string;
  readonly message: OutgoingMessage;
  readonly bytes: number;
  readonly settle: (error?: Error) => void;
}

export function createKafkaPublisher(kafka: Kafka): KafkaPublisher {
  const waiting: Waiting[] = [];
  let queuedBytes = 0;
  let sending: Promise<void> | undefined;
  let producer: Producer | undefined;
  let closed = false;

  const connected = async (): Promise<Producer> => {
    if (producer !== undefined) return producer;
    const fresh = kafka.producer({
      idempotent: true,
      maxInFlightRequests: 1,
      retry: { retries: 4, initialRetryTime: 100, maxRetryTime: 1_000 },
      createPartitioner: kafkajs.Partitioners.DefaultPartitioner,
    });
    try {
      await fresh.connect();
    } catch (error) {
      discard(fresh);
      throw error;
    }
    return (producer = fresh);
  };

  const discard = (old: Producer | undefined) => {
    producer = undefined;
    old?.disconnect().catch(() => undefined);
  };

  const send = async (request: readonly Waiting[]): Promise<void> => {
    const topics = [...new Set(request.map(({ topic }) => topic))];
    const topicMessages: TopicMessages[] = topics.map((topic) => ({
      topic,
      messages: request
        .filter((entry) => entry.topic === topic)
        .map(({ message: { key, value, headers } }) => ({ key, value, ...(headers && { headers: { ...headers } }) })),
    }));
    try {
      const publishing = connected().then((ready) =>
        ready.sendBatch({ acks: -1, compression: kafkajs.CompressionTypes.GZIP, topicMessages }),
      );
      await bounded(publishing, `publishing to ${topics.join(', ')}`);
      for (const { settle } of request) settle();
    } catch (error) {
      discard(producer);
      for (const { settle } of request) settle(error as LeaklineError);
    }
  };

  const sendAll = async (): Promise<void> => {
    // What is published in one turn of the loop goes in one request.
    await Promise.resolve();
    while (waiting.length > 0) {
      let bytes = 0;
      let count = 0;
      for (const entry of waiting) {
        if (count > 0 && bytes + entry.bytes > REQUEST_BYTES) break;
        bytes += entry.bytes;
        count++;
      }
      await send(waiting.splice(0, count));
      queuedBytes -= bytes;
    }
  };

  return {
    publish: async (topic, messages) => {
      if (closed) throw new LeaklineError('LKL_ERR_BUS_UNAVAILABLE', `publishing to ${topic}: the bus is closed`);
      const entries = messages.map((message) => ({ message, bytes: message.value.length + message.key.length + MESSAGE_OVERHEAD_BYTES }));
      const bytes = entries.reduce((sum, entry) => sum + entry.bytes, 0);
      if (queuedBytes > 0 && queuedBytes + bytes > QUEUE_BYTES)
        throw new LeaklineError('LKL_ERR_BUS_FULL', `${queuedBytes} bytes wait for Kafka, at most ${QUEUE_BYTES} may: try again later`);
      queuedBytes += bytes;
      const sent = entries.map(
        (entry) =>
          new Promise<void>((resolve, reject) => {
            waiting.push({ topic, ...entry, settle: (error) => (error ? reject(error) : resolve()) });
          }),
      );
      sending ??= sendAll().finally(() => (sending = undefined));
      await Promise.all(sent);
    },
    close: async () => {
      closed = true;
      await sending;
      const last = producer;
      producer = undefined;
      await last?.disconnect();
    },
  };
}
