/**
 * The bus within one process (embedded mode). Nothing is kept on disk, so publish resolves only when the subscriber
 * has committed past the message: who sent it keeps it until then. One partition, 0.
 */
import type { Clock } from '../clock.ts';
import { LeaklineError } from '../errors.ts';
import type { Bus, BusMessage, OutgoingMessage, SubscribeOptions, Subscription } from './bus.ts';

export interface MemoryBusOptions {
  readonly clock: Clock;
  /** Topics that are kept for their subscriber. What is published to any other is dropped at once: nobody would ever take it. */
  readonly topics: readonly string[];
  /** Bytes a topic may hold uncommitted before publish refuses with LKL_ERR_BUS_FULL. */
  readonly maxBytes?: number;
}

/** Messages per delivery: enough to fill an insert, few enough that stopping is prompt. */
const DELIVERY_MESSAGES = 256;
const REDELIVERY_DELAY_MS = 200;

interface Pending {
  readonly message: BusMessage;
  readonly settle: (error?: Error) => void;
}

export function createMemoryBus({ clock, topics, maxBytes = 64 * 1024 * 1024 }: MemoryBusOptions): Bus {
  const queues = new Map(topics.map((name) => [name, new Topic(name, clock, maxBytes)]));
  let closed = false;

  return {
    publish: async (topic, messages) => {
      if (closed) throw closing();
      await queues.get(topic)?.publish(messages);
    },
    subscribe: async (options) => {
      const queue = queues.get(options.topic);
      if (queue === undefined || queue.subscribed)
        throw new LeaklineError(
          'LKL_ERR_BUS_UNAVAILABLE',
          `topic ${options.topic} ${queue ? 'has its subscriber' : 'is not kept'} in-process`,
        );
      return Promise.resolve(queue.subscribe(options));
    },
    partitionsOf: () => Promise.resolve(1),
    ping: () => (closed ? Promise.reject(closing()) : Promise.resolve()),
    close: () => {
      closed = true;
      for (const queue of queues.values()) queue.close();
      return Promise.resolve();
    },
  };
}

const closing = () => new LeaklineError('LKL_ERR_BUS_UNAVAILABLE', 'the bus is closing: not stored, send it again');

class Topic {
  readonly name: string;
  readonly #clock: Clock;
  readonly #maxBytes: number;
  /** Uncommitted, in order; the first has offset #base. */
  #pending: Pending[] = [];
  #base = 0n;
  /** How many of #pending the subscriber has been given. */
  #delivered = 0;
  #bytes = 0;
  #options: SubscribeOptions | undefined;
  #stopped: AbortController | undefined;
  #delivering: Promise<void> | undefined;

  constructor(name: string, clock: Clock, maxBytes: number) {
    this.name = name;
    this.#clock = clock;
    this.#maxBytes = maxBytes;
  }

  get subscribed(): boolean {
    return this.#options !== undefined;
  }

  async publish(messages: readonly OutgoingMessage[]): Promise<void> {
    const bytes = messages.reduce((sum, { value }) => sum + value.length, 0);
    if (this.#bytes + bytes > this.#maxBytes) {
      throw new LeaklineError(
        'LKL_ERR_BUS_FULL',
        `${this.name} holds ${this.#bytes} bytes that are not stored yet, at most ${this.#maxBytes}: try again later`,
      );
    }
    this.#bytes += bytes;
    const stored = messages.map((message) => {
      const offset = this.#base + BigInt(this.#pending.length);
      return new Promise<void>((resolve, reject) => {
        this.#pending.push({
          message: { ...message, partition: 0, offset, timestamp: this.#clock.now() },
          settle: (error) => (error ? reject(error) : resolve()),
        });
      });
    });
    this.#deliver();
    await Promise.all(stored);
  }

  subscribe(options: SubscribeOptions): Subscription {
    const stopped = new AbortController();
    this.#options = options;
    this.#stopped = stopped;
    this.#delivered = 0;
    this.#deliver();
    return {
      partitions: () => (stopped.signal.aborted ? [] : [0]),
      commit: (nextOffsets) => {
        const next = nextOffsets.get(0);
        if (stopped.signal.aborted || (next !== undefined && next > this.#base + BigInt(this.#delivered)))
          return Promise.reject(new LeaklineError('LKL_ERR_BUS_UNAVAILABLE', `${this.name}: partition 0 is no longer owned up to there`));
        if (next !== undefined) this.#commit(next);
        return Promise.resolve();
      },
      lag: () => Promise.resolve(new Map([[0, this.#pending.length]])),
      stop: async () => {
        if (stopped.signal.aborted) return;
        stopped.abort();
        this.#options = undefined;
        this.#delivered = 0;
        options.onRevoked([0]);
        await this.#delivering;
      },
    };
  }

  close(): void {
    this.#stopped?.abort();
    this.#options = undefined;
    for (const { settle } of this.#pending.splice(0)) settle(closing());
    this.#bytes = 0;
  }

  #commit(next: bigint): void {
    if (next <= this.#base) return;
    const committed = this.#pending.splice(0, Number(next - this.#base));
    this.#base = next;
    this.#delivered -= committed.length;
    for (const { message, settle } of committed) {
      this.#bytes -= message.value.length;
      settle();
    }
  }

  #deliver(): void {
    this.#delivering ??= this.#run().finally(() => {
      this.#delivering = undefined;
      if (this.#options !== undefined && this.#delivered < this.#pending.length) this.#deliver();
    });
  }

  async #run(): Promise<void> {
    // The turn of the loop after publish: what is published in one turn is delivered together.
    await Promise.resolve();
    for (;;) {
      const options = this.#options;
      const signal = this.#stopped?.signal;
      if (options === undefined || signal === undefined || this.#delivered >= this.#pending.length) return;
      const batch = this.#pending.slice(this.#delivered, this.#delivered + DELIVERY_MESSAGES).map(({ message }) => message);
      this.#delivered += batch.length;
      try {
        await untilAborted(options.onMessages(batch), signal);
      } catch {
        if (signal.aborted) return;
        this.#delivered = 0;
        options.onRevoked([0]);
        await this.#clock.sleep(REDELIVERY_DELAY_MS, signal).catch(() => undefined);
      }
    }
  }
}

/** Ends with the work, or at once when aborted: a subscriber that waits for room must not hold up the stop. */
function untilAborted(work: Promise<void>, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const abort = () => resolve();
    signal.addEventListener('abort', abort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}
