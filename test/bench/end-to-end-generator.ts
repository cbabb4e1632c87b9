/**
 * Sends a made-up fleet's flushes at their scheduled moments, for end-to-end.bench.ts, whose child it is: 50 rows a message, every
 * agent once in ten seconds, those of 20 ms at a time. Ten times a second follows a probe, on one partition after the other: a
 * message of one row whose time is the scheduled moment. It sends no slower when nobody keeps up.
 */
import { Agent, request } from 'node:http';
import kafkajs from 'kafkajs';
import { TOPICS } from '../../shared/bus/bus.ts';
import { connectKafka } from '../../shared/bus/kafka-client.ts';
import { gzipCodec } from '../../shared/bus/kafka-gzip.ts';
import { systemClock } from '../../shared/clock.ts';
import { createLog } from '../../shared/log.ts';
import { encodeBatch } from '../../shared/wire.ts';
import { kafkaSettings } from '../harness/kafka-topic.ts';
import { sampleBatch } from '../harness/sample-batch.ts';
import { PROCESSES } from './fleet-messages.ts';
import { StreamedAgent, timesAt, wrap } from './fleet-stream.ts';

const TICK_MS = 20;
const TICKS_PER_INTERVAL = 500;
export const PROBE_MS = 100;
/** A request to the broker has so many messages at most, one a partition. */
const CONNECTIONS = 32;

export interface Schedule {
  readonly rowsPerSecond: number;
  readonly seconds: number;
  readonly partitions: number;
  /** Brokers, or the address of a gateway. */
  readonly to: { readonly brokers: string[] } | { readonly gateway: string };
}

/** What it says when all is acknowledged. */
export interface Sent {
  readonly rows: number;
  /** How late the sending of a tick began at worst: the generator's own fault. */
  readonly lateMs: number;
  /** Per probe: from the scheduled moment until the bus had it. */
  readonly probesOnBusMs: readonly number[];
}

interface Message {
  readonly key: string;
  readonly gzip: Buffer;
}

/** Resolves once all are acknowledged. One message a partition, from the first on, or from the one that is named. */
type Send = (messages: readonly Message[], firstPartition?: number) => Promise<void>;

async function openProducer(brokers: string[]): Promise<Send> {
  const kafka = connectKafka(kafkaSettings(brokers), createLog({ level: 'silent', secrets: [] }));
  const producer = kafka.producer({ createPartitioner: kafkajs.Partitioners.DefaultPartitioner, retry: { retries: 0 } });
  await producer.connect();
  // kafkajs gets the number of a message for its value and asks the codec for the compressed record, which is there already.
  const prepared = new Map<number, Buffer>();
  const compress = ({ buffer }: { readonly buffer: Buffer }) => Promise.resolve(prepared.get(buffer.readUInt32LE(buffer.length - 5))!);
  kafkajs.CompressionCodecs[kafkajs.CompressionTypes.GZIP] = () => ({ ...gzipCodec, compress });
  let next = 0;
  return async (messages, firstPartition = 0) => {
    const first = next;
    const numbered = messages.map(({ gzip }, index) => {
      const value = Buffer.alloc(4);
      next = (next + 1) % 2 ** 31;
      value.writeUInt32LE(next);
      prepared.set(next, gzip);
      return { partition: firstPartition + index, value };
    });
    await producer.sendBatch({
      acks: -1,
      compression: kafkajs.CompressionTypes.GZIP,
      topicMessages: [{ topic: TOPICS.samples, messages: numbered }],
    });
    for (let index = 1; index <= messages.length; index++) prepared.delete((first + index) % 2 ** 31);
  };
}

function openPoster(gateway: string): Send {
  const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS });
  const headers = { 'content-type': 'application/json', 'content-encoding': 'gzip' };
  const post = ({ gzip }: Message) =>
    new Promise<void>((resolve, reject) => {
      const sending = request(`${gateway}/v1/samples`, { method: 'POST', agent, headers: { ...headers, 'content-length': gzip.length } });
      sending.once('error', reject);
      sending.once('response', (response) => {
        response.resume();
        if (response.statusCode === 200) response.once('end', resolve);
        else reject(new Error(`the gateway answered ${String(response.statusCode)}`));
      });
      sending.end(gzip);
    });
  return async (messages) => {
    await Promise.all(messages.map(post));
  };
}

async function generate({ rowsPerSecond, seconds, partitions, to }: Schedule, untilStart: () => Promise<number>): Promise<Sent> {
  const wrapping = 'brokers' in to ? 'record' : 'body';
  const send = 'brokers' in to ? await openProducer(to.brokers) : openPoster(to.gateway);
  const perTick = Math.max(1, Math.round((rowsPerSecond * TICK_MS) / 1000 / PROCESSES));
  const agents = Array.from({ length: perTick * TICKS_PER_INTERVAL }, (_, index) => new StreamedAgent(index, wrapping));
  const ticks = (seconds * 1000) / TICK_MS;
  const startAt = await untilStart();
  let probed = 0;
  const probesOnBusMs: number[] = [];
  const sending = new Set<Promise<void>>();
  let failure: unknown;
  let lateMs = 0;
  for (let tick = 0; tick < ticks && failure === undefined; tick++) {
    const at = startAt + tick * TICK_MS;
    await systemClock.sleep(Math.max(0, at - systemClock.now()));
    lateMs = Math.max(lateMs, systemClock.now() - at);
    const times = timesAt(at);
    const from = (tick % TICKS_PER_INTERVAL) * perTick;
    const seq = Math.floor(tick / TICKS_PER_INTERVAL);
    const messages = agents.slice(from, from + perTick).map((agent) => ({ key: agent.name, gzip: agent.flush(seq, at, times) }));
    const requests = [];
    for (let first = 0; first < messages.length; first += partitions) requests.push(send(messages.slice(first, first + partitions)));
    if ((tick * TICK_MS) % PROBE_MS === 0) {
      const partition = probed % partitions;
      const key = `probe-${partition}`;
      const number = probed++;
      const probe = encodeBatch(sampleBatch({ agent: key, seq: number, time: at, processes: 1 }));
      const taken = send([{ key, gzip: wrap(key, probe, wrapping) }], partition);
      requests.push(taken.then(() => void (probesOnBusMs[number] = systemClock.now() - at)));
    }
    const sent: Promise<void> = Promise.all(requests)
      .then(() => undefined)
      .catch((error: unknown) => void (failure ??= error))
      .finally(() => sending.delete(sent));
    sending.add(sent);
  }
  await Promise.all(sending);
  if (failure !== undefined) throw failure as Error;
  return { rows: ticks * perTick * PROCESSES + probed, lateMs, probesOnBusMs };
}

/** Only as somebody's child: says `ready` when everything is encoded, waits for the moment to start, says what it sent and stays. */
if (process.send !== undefined && process.argv[1] === import.meta.filename) {
  const told = new Promise<number>((resolve) => process.once('message', (startAt: number) => resolve(startAt)));
  const sent = await generate(JSON.parse(process.argv[2] ?? '') as Schedule, () => {
    process.send?.('ready');
    return told;
  });
  process.once('disconnect', () => process.exit(0));
  process.send(sent);
}
