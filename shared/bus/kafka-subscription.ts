/**
 * One member of a Kafka consumer group. Positions start at the last commit after every rebalance and every restart, so
 * whatever was handed out and not committed comes again. kafkajs restarts nothing here: after any crash of its consumer a
 * new one is built, so there is one way back and not two.
 */
import type { Consumer, EachBatchPayload, Kafka } from 'kafkajs';
import type { Clock } from '../clock.ts';
import { LeaklineError } from '../errors.ts';
import type { Logger } from '../log.ts';
import type { BusMessage, SubscribeOptions, Subscription } from './bus.ts';
import { describe } from './kafka-client.ts';
import { isOfCurrentGeneration } from './kafkajs-cures.ts';

export interface KafkaSubscribeOptions extends SubscribeOptions {
  readonly clock: Clock;
  readonly log: Logger;
  /** A member that is silent this long loses its partitions. */
  readonly sessionTimeoutMs: number;
  /** Messages not yet committed on the given partitions. */
  readonly lagOf: (partitions: readonly number[]) => Promise<ReadonlyMap<number, number>>;
}

const REBUILD_MIN_MS = 250;
const REBUILD_MAX_MS = 10_000;
/** Bytes of one fetch as they travel: bounds what is inflated at once. */
const FETCH_BYTES = 4 * 1024 * 1024;
/** Longest a fetch waits for something new: bounds how long stop takes. An idle member makes one request in that time. */
const FETCH_WAIT_MS = 1_000;

type Payload = Pick<EachBatchPayload, 'batch' | 'heartbeat' | 'resolveOffset'>;

export function subscribeToKafka(kafka: Kafka, options: KafkaSubscribeOptions): Subscription {
  const member = new Member(kafka, options);
  const running = member.run();
  return {
    partitions: () => member.partitions(),
    commit: (nextOffsets) => member.commit(nextOffsets),
    lag: () => options.lagOf(member.partitions()),
    stop: async () => {
      member.stopping.abort(new Error('stopping'));
      await running;
    },
  };
}

class Member {
  readonly stopping = new AbortController();
  readonly #kafka: Kafka;
  readonly #options: KafkaSubscribeOptions;
  #consumer: Consumer | undefined;
  /** Per partition owned now: the offset after the last message handed out under this assignment, −1 = none yet. */
  #handedOut = new Map<number, bigint>();
  /** Changes whenever partitions are taken away. */
  #assignment = 0;
  /** Deliveries one after the other, also across assignments. */
  #delivering: Promise<void> = Promise.resolve();
  #rebuildDelayMs = REBUILD_MIN_MS;
  /** Gives the present consumer up: a new one starts from the last commit. */
  #lose: (error: Error) => void = () => undefined;

  constructor(kafka: Kafka, options: KafkaSubscribeOptions) {
    this.#kafka = kafka;
    this.#options = options;
  }

  partitions(): number[] {
    return [...this.#handedOut.keys()].sort((a, b) => a - b);
  }

  async run(): Promise<void> {
    const { clock, log, topic, group } = this.#options;
    const { signal } = this.stopping;
    while (!signal.aborted) {
      const error = await this.#runConsumer();
      this.#revoke();
      if (error === undefined) return;
      log.warn({ topic, group, retryInMs: this.#rebuildDelayMs }, `consumer lost: ${describe(error)}`);
      await clock.sleep(this.#rebuildDelayMs * (0.5 + Math.random() / 2), signal).catch(() => undefined);
      this.#rebuildDelayMs = Math.min(this.#rebuildDelayMs * 2, REBUILD_MAX_MS);
    }
  }

  /** Runs until stopped (undefined) or until the consumer is beyond repair (why). */
  async #runConsumer(): Promise<Error | undefined> {
    const { topic, group, sessionTimeoutMs } = this.#options;
    const { signal } = this.stopping;
    const consumer = this.#kafka.consumer({
      groupId: group,
      sessionTimeout: sessionTimeoutMs,
      rebalanceTimeout: Math.max(30_000, sessionTimeoutMs),
      heartbeatInterval: Math.floor(sessionTimeoutMs / 4),
      maxWaitTimeInMs: FETCH_WAIT_MS,
      maxBytes: FETCH_BYTES,
      retry: { retries: 4, initialRetryTime: 100, maxRetryTime: 1_000, restartOnFailure: () => Promise.resolve(false) },
    });
    const ended = new Promise<Error | undefined>((resolve) => {
      this.#lose = resolve;
      consumer.on(consumer.events.CRASH, ({ payload }) => resolve(payload.error));
      if (signal.aborted) resolve(undefined);
      signal.addEventListener('abort', () => resolve(undefined), { once: true });
    });
    consumer.on(consumer.events.REBALANCING, () => this.#revoke());
    consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => this.#assign(payload.memberAssignment[topic] ?? []));
    this.#consumer = consumer;
    try {
      const started = this.#start(consumer);
      started.catch(() => undefined);
      return await Promise.race([started.then(() => ended), ended]);
    } catch (error) {
      return error instanceof Error ? error : new Error(describe(error));
    } finally {
      this.#consumer = undefined;
      await consumer.disconnect().catch(() => undefined);
    }
  }

  async #start(consumer: Consumer): Promise<void> {
    await consumer.connect();
    await consumer.subscribe({ topic: this.#options.topic, fromBeginning: true });
    await consumer.run({ autoCommit: false, eachBatchAutoResolve: false, eachBatch: (payload) => this.#handle(payload) });
  }

  #assign(partitions: readonly number[]): void {
    this.#revoke();
    this.#handedOut = new Map(partitions.map((partition) => [partition, -1n]));
    this.#rebuildDelayMs = REBUILD_MIN_MS;
    this.#options.log.info({ topic: this.#options.topic, partitions }, 'partitions assigned');
  }

  #revoke(): void {
    this.#assignment++;
    const lost = this.partitions();
    this.#handedOut = new Map();
    if (lost.length > 0) this.#options.onRevoked(lost);
  }

  async #handle({ batch, heartbeat, resolveOffset }: Payload): Promise<void> {
    const { partition } = batch;
    const assignment = this.#assignment;
    const isCurrent = () => assignment === this.#assignment && this.#handedOut.has(partition) && isOfCurrentGeneration(batch);
    if (!isCurrent() || this.stopping.signal.aborted) return;
    const messages = batch.messages.map((message): BusMessage => {
      const headers = Object.entries(message.headers ?? {}).map(([name, value]) => [name, String(value)] as const);
      return {
        key: message.key?.toString() ?? '',
        value: message.value ?? Buffer.alloc(0),
        ...(headers.length > 0 && { headers: Object.fromEntries(headers) }),
        partition,
        offset: BigInt(message.offset),
        timestamp: Number(message.timestamp),
      };
    });
    const delivered = this.#delivering.then(async () => {
      if (!isCurrent()) return;
      this.#handedOut.set(partition, BigInt(batch.lastOffset()) + 1n);
      try {
        await this.#options.onMessages(messages);
      } catch (error) {
        if (isCurrent()) this.#lose(error instanceof Error ? error : new Error(describe(error)));
        throw error;
      }
    });
    this.#delivering = delivered.catch(() => undefined);
    await this.#keepAlive(delivered, heartbeat);
    if (isCurrent()) resolveOffset(batch.lastOffset());
  }

  /** Heartbeats while the delivery is pending. Ends early when stopping or when the group says the membership is over. */
  async #keepAlive(delivered: Promise<void>, heartbeat: () => Promise<void>): Promise<void> {
    const { sessionTimeoutMs } = this.#options;
    const { signal } = this.stopping;
    let timer: NodeJS.Timeout | undefined;
    let abort: () => void = () => undefined;
    let failures = 0;
    const over = new Promise<void>((resolve, reject) => {
      const beat = async () => {
        try {
          await heartbeat();
          failures = 0;
        } catch (error) {
          // The network may come back before the session ends; a verdict of the broker will not change.
          const isVerdict = error instanceof Error && error.name === 'KafkaJSProtocolError';
          if (!isVerdict && ++failures < 4) return;
          this.#revoke();
          reject(error instanceof Error ? error : new Error(describe(error)));
        }
      };
      timer = setInterval(() => void beat(), Math.floor(sessionTimeoutMs / 4));
      abort = resolve;
      signal.addEventListener('abort', abort);
    });
    try {
      await Promise.race([delivered, over]);
    } finally {
      signal.removeEventListener('abort', abort);
      clearInterval(timer);
    }
  }

  async commit(nextOffsets: ReadonlyMap<number, bigint>): Promise<void> {
    const { topic } = this.#options;
    const consumer = this.#consumer;
    for (const [partition, next] of nextOffsets) {
      if (consumer === undefined || next > (this.#handedOut.get(partition) ?? -1n)) {
        throw new LeaklineError('LKL_ERR_BUS_UNAVAILABLE', `${topic}: partition ${partition} is no longer owned up to offset ${next}`, {
          details: { partition },
        });
      }
    }
    if (nextOffsets.size === 0) return;
    try {
      await consumer?.commitOffsets([...nextOffsets].map(([partition, next]) => ({ topic, partition, offset: String(next) })));
    } catch (error) {
      throw new LeaklineError('LKL_ERR_BUS_UNAVAILABLE', `${topic}: commit failed: ${describe(error)}`, { cause: error });
    }
  }
}
