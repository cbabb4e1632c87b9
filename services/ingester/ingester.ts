/**
 * Moves batches from the bus into the store: decode, collect, insert, and only then commit. It alone writes samples.
 * Exactly once rests on two things: nothing is committed before it is stored, and storing a row again changes nothing
 * (rows are named by service, instance, lifetime and time; rollups are recomputed from them).
 */
import { hostname } from 'node:os';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { TOPICS, type Bus, type BusMessage, type Subscription } from '../../shared/bus/bus.ts';
import type { Clock } from '../../shared/clock.ts';
import type { Config } from '../../shared/config.ts';
import { LeaklineError } from '../../shared/errors.ts';
import type { Logger } from '../../shared/log.ts';
import type { Metrics } from '../../shared/metrics.ts';
import { retry } from '../../shared/retry.ts';
import { SeriesLimit } from '../../shared/series-limit.ts';
import { insertDeadLetters, type DeadLetter } from '../../shared/store/dead-letters.ts';
import { saveIngesterReport } from '../../shared/store/ingester-reports.ts';
import { rollUpHours, rollUpMinutes } from '../../shared/store/rollups.ts';
import { tabulate, type ProcessTable } from '../../shared/store/process-table.ts';
import type { Store } from '../../shared/store/store.ts';
import { BatchScanner } from '../../shared/wire-scan.ts';
import { decodeBatch, type DecodedBatch } from '../../shared/wire.ts';
import { BlockBuilder } from './batch.ts';
import { BlockWriter, PendingBlock } from './block-writer.ts';
import { LETTER_LIMITS, LetterBudget, refusedByStore, refusedRows, toMessage, unreadable } from './dead-letter.ts';
import { ingesterMetrics, type IngesterMetrics } from './ingester-metrics.ts';
import { IngesterTally } from './ingester-tally.ts';
import { KnownAgents } from './known-agents.ts';
import { repeat, type Pace } from './pace.ts';
import { SeenBatches } from './seen-batches.ts';

export interface IngesterOptions {
  readonly bus: Bus;
  readonly store: Store;
  readonly config: Config['ingester'];
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
}

export interface Ingester {
  /** False while the store does not take what was read. */
  ready(): boolean;
  /** Stores and commits what was read, as far as the store answers within a few seconds, and leaves the group. */
  stop(): Promise<void>;
}

export const INGESTER_GROUP = 'leakline-ingester';

/** Other work of the process gets its turn after so many bytes were decoded. */
const BYTES_PER_TURN = 256 * 1024;
/** Messages held beside the rows made of them, until these are stored. With as much in the insert under way, twice that is the most. */
const HELD_BYTES = 64 * 1024 * 1024;
/** A producer may date a message as it likes; months far apart in one insert are more than the store takes. */
const ARRIVED_WITHIN_MS = 400 * 86_400_000;
const FLOOD_TOLD_EVERY_MS = 60_000;
const LAST_FLUSH_MS = 5_000;
const REPORT_INTERVAL_MS = 10_000;
const STORE_RETRY_MAX_MS = 2_000;
/** Minutes take a ninth of the time as long as that is enough for what arrives. */
const MINUTES_PACE = { rest: 8, longestRestMs: 30_000 };
/**
 * A twentieth: they read all minutes of the hour again, however few are new, so waiting makes no more of it. But a turn may be long
 * because the store was frozen, which says nothing of the next.
 */
const HOURS_PACE = { rest: 19, longestRestMs: 180_000 };
/** A backlog goes through the same hour for a long time; what is rolled up of it meanwhile is rolled up again. */
const BACKLOG_REST_MS = 60_000;
/** Messages that are older when they are stored are a backlog. */
const BEHIND_MS = 30_000;

export async function startIngester(options: IngesterOptions): Promise<Ingester> {
  const room = new IngesterRoom(options);
  await room.start();
  return room;
}

class IngesterRoom implements Ingester {
  readonly #options: IngesterOptions;
  readonly #tally = new IngesterTally();
  readonly #metrics: IngesterMetrics;
  readonly #writer: BlockWriter;
  readonly #stopping = new AbortController();
  /** Ends the retries of the last flush. */
  readonly #giveUp = new AbortController();
  readonly #seen = new SeenBatches();
  readonly #budget = new LetterBudget(LETTER_LIMITS);
  readonly #builder: BlockBuilder;
  readonly #scanner = new BatchScanner();
  readonly #known = new KnownAgents();
  readonly #limit: SeriesLimit;
  #letters: DeadLetter[] = [];
  #floodToldAt = -Infinity;
  /** When the oldest of what is collected was read; undefined = nothing is. */
  #collectingSince: number | undefined;
  #flushing: Promise<void> | undefined;
  /** How often each partition was taken away. */
  #revocations = new Map<number, number>();
  #subscription: Subscription | undefined;
  #storeAway = false;
  /** The last insert was of a backlog. */
  #isBehind = false;
  /** Milliseconds UTC; 0 = none yet. */
  #lastInsertAt = 0;
  #loops: Promise<void>[] = [];

  constructor(options: IngesterOptions) {
    this.#options = options;
    this.#metrics = ingesterMetrics(options.metrics, this.#tally);
    this.#writer = new BlockWriter(options.store, this.#metrics);
    const { resolution, maxServicesPerAgent, maxSeriesPerAgent } = options.config;
    this.#builder = new BlockBuilder(resolution);
    this.#limit = new SeriesLimit({ services: maxServicesPerAgent, series: maxSeriesPerAgent });
  }

  async start(): Promise<void> {
    const { bus, config } = this.#options;
    this.#subscription = await bus.subscribe({
      topic: TOPICS.samples,
      group: INGESTER_GROUP,
      onMessages: (messages) => this.#take(messages),
      onRevoked: (partitions) => {
        for (const partition of partitions) this.#revocations.set(partition, (this.#revocations.get(partition) ?? 0) + 1);
        this.#builder.uncover(partitions);
      },
    });
    this.#loops = [
      this.#repeat({ intervalMs: config.rollupInterval, ...MINUTES_PACE }, this.#rollingUp(rollUpMinutes)),
      this.#repeat({ intervalMs: config.rollupInterval, ...HOURS_PACE }, this.#rollingUp(rollUpHours)),
      this.#repeat({ intervalMs: REPORT_INTERVAL_MS, rest: 0, longestRestMs: 0 }, () => this.#report()),
    ];
  }

  ready(): boolean {
    return !this.#storeAway && !this.#stopping.signal.aborted;
  }

  async stop(): Promise<void> {
    this.#stopping.abort(new Error('stopping'));
    const timer = setTimeout(() => this.#giveUp.abort(new Error('stopping')), LAST_FLUSH_MS);
    await this.#flushing;
    await this.#flush();
    clearTimeout(timer);
    await this.#subscription?.stop();
    await Promise.all(this.#loops);
  }

  async #take(messages: readonly BusMessage[]): Promise<void> {
    const before = new Map(this.#revocations);
    let bytes = 0;
    for (const message of messages) {
      const { partition, offset } = message;
      if (this.#isFull()) await this.#untilThereIsRoom();
      // What was taken away is delivered again from its last commit; covering it now would skip what lies between.
      if (this.#stopping.signal.aborted) return;
      if (this.#revocations.get(partition) !== before.get(partition)) continue;
      this.#collect(message);
      this.#builder.cover(partition, offset + 1n);
      bytes += message.value.length;
      if (bytes > BYTES_PER_TURN) {
        bytes = 0;
        this.#schedule();
        await nextTurn();
      }
    }
    this.#schedule();
  }

  #isFull(): boolean {
    const { rows, bytes } = this.#builder;
    return rows >= this.#options.config.maxBatchRows || bytes >= HELD_BYTES || this.#letters.length >= LETTER_LIMITS.letters;
  }

  /** Nothing more is read meanwhile. */
  async #untilThereIsRoom(): Promise<void> {
    const { clock } = this.#options;
    const since = clock.now();
    while (this.#isFull()) await (this.#flushing ??= this.#startFlush());
    this.#metrics.countPaused(Math.max(0, clock.now() - since));
  }

  #arrivalOf({ timestamp }: BusMessage): number {
    const now = this.#options.clock.now();
    return Math.abs(now - timestamp) <= ARRIVED_WITHIN_MS ? timestamp : now;
  }

  #collect(delivered: BusMessage): void {
    const { maxFuture, maxAge } = this.#options.config;
    const at = this.#arrivalOf(delivered);
    const message = at === delivered.timestamp ? delivered : { ...delivered, timestamp: at };
    const arrival = { at, maxFutureMs: maxFuture, maxAgeMs: maxAge };
    this.#metrics.batches.inc();
    const scanned = this.#scanner.scan(message.value, arrival, (agent) => this.#known.find(agent, message.timestamp));
    if (scanned !== undefined) {
      if (this.#seen.isRepeated(scanned)) this.#metrics.countRepeated(scanned.time.length);
      this.#builder.addSamples({ ...scanned, processes: scanned.known.table }, message);
      return;
    }
    try {
      const decoded = decodeBatch(message.value, arrival, (agent) => this.#limit.admitting(agent, at));
      this.#metrics.countProblems(decoded.problems);
      if (this.#seen.isRepeated(decoded.batch)) this.#metrics.countRepeated(decoded.batch.samples.time.length);
      this.#builder.add(decoded.batch, this.#tabulate(message, decoded), message);
      this.#keep(refusedRows(message, decoded));
    } catch (error) {
      if (!(error instanceof LeaklineError)) throw error;
      this.#keep(unreadable(message, error));
    }
  }

  /** Remembered for the scanner only while nothing about the batch has to be counted again when it repeats. */
  #tabulate(message: BusMessage, { batch, problems }: DecodedBatch): ProcessTable {
    const isSound = problems.refused.size + problems.cleared.size + problems.normalised.size === 0;
    const text = isSound ? this.#scanner.processesOf(message.value) : undefined;
    return text === undefined ? tabulate(batch.processes) : this.#known.learn(batch.agent, text, batch.processes, message.timestamp);
  }

  #keep(letter: DeadLetter | undefined): void {
    if (letter === undefined) return;
    const now = this.#options.clock.now();
    const isKept = this.#budget.take(letter, now);
    this.#metrics.countLetter(letter.code, isKept);
    if (isKept) this.#letters.push(letter);
    else if (now - this.#floodToldAt >= FLOOD_TOLD_EVERY_MS) {
      this.#floodToldAt = now;
      const { agent, code, reason } = letter;
      this.#options.log.error({ agent, code, reason }, 'more dead letters than are kept; the rest is only counted and stays on the bus');
    }
  }

  /** Flushes now when there is enough, or when the oldest has waited long enough. */
  #schedule(): void {
    const { clock, config } = this.#options;
    this.#metrics.bufferedRows.set(this.#builder.rows);
    this.#metrics.bufferedBytes.set(this.#builder.bytes);
    if (this.#builder.isEmpty && this.#letters.length === 0) return;
    if (this.#isFull()) this.#flushing ??= this.#startFlush();
    if (this.#collectingSince !== undefined) return;
    const since = (this.#collectingSince = clock.now());
    clock.sleep(config.maxBatchDelay, this.#stopping.signal).then(
      () => {
        if (this.#collectingSince === since) this.#flushing ??= this.#startFlush();
      },
      () => undefined,
    );
  }

  #startFlush(): Promise<void> {
    return this.#flush().finally(() => {
      this.#flushing = undefined;
      if (!this.#stopping.signal.aborted) this.#scheduleAgain();
    });
  }

  /** What was collected during a flush may be due already. */
  #scheduleAgain(): void {
    const { clock, config } = this.#options;
    const since = this.#collectingSince;
    if (since !== undefined && clock.now() - since >= config.maxBatchDelay) this.#flushing ??= this.#startFlush();
    else this.#schedule();
  }

  async #flush(): Promise<void> {
    const block = this.#builder.take();
    const newest = block.messages.reduce((at, { timestamp }) => Math.max(at, timestamp), -Infinity);
    this.#isBehind = block.messages.length > 0 && this.#options.clock.now() - newest > BEHIND_MS;
    const letters = this.#letters;
    this.#letters = [];
    this.#collectingSince = undefined;
    const { rows } = block.samples;
    if (block.messages.length + letters.length + block.nextOffsets.size === 0) return;
    try {
      await this.#store(new PendingBlock(block), letters);
    } catch (error) {
      this.#options.log.warn({ rows, err: describe(error) }, 'stopped before the store took everything; it is delivered again');
      return;
    }
    this.#builder.giveBack(block.samples);
    await this.#commit(block.nextOffsets);
  }

  /** Tries until the store has it; meanwhile nothing more is read than fits, and the bus keeps the membership alive. */
  async #store(pending: PendingBlock, letters: readonly DeadLetter[]): Promise<void> {
    const { log } = this.#options;
    const { rows } = pending.block.samples;
    const insert = async () => {
      await this.#writer.write(pending);
      await this.#storeLetters([...letters, ...pending.refused.map(({ message, error }) => refusedByStore(message, error))]);
    };
    await retry(insert, {
      signal: this.#giveUp.signal,
      retries: Infinity,
      maxDelayMs: STORE_RETRY_MAX_MS,
      onFailure: (error, attempt) => {
        this.#metrics.countStoreFailure();
        if (!this.#storeAway) log.error({ rows, err: error.message, attempt }, 'store does not take samples, trying again');
        this.#storeAway = true;
      },
    });
    if (this.#storeAway) log.info('store takes samples again');
    this.#storeAway = false;
    this.#lastInsertAt = this.#options.clock.now();
    this.#metrics.countStored(rows - pending.refusedRows);
    for (const { message, error } of pending.refused) {
      this.#metrics.countLetter(error.code, true);
      log.error(
        { agent: message.key, partition: message.partition, err: error.message },
        'set aside what the store refuses, in dead_letters',
      );
    }
  }

  async #storeLetters(letters: readonly DeadLetter[]): Promise<void> {
    if (letters.length === 0) return;
    try {
      await insertDeadLetters(this.#options.store, letters);
    } catch (error) {
      throw new LeaklineError('LKL_ERR_STORE_UNAVAILABLE', describe(error), { cause: error });
    }
    await this.#publishLetters(letters);
  }

  /** A copy for who watches the topic. The store has them already, so this never holds up samples. */
  async #publishLetters(letters: readonly DeadLetter[]): Promise<void> {
    try {
      await this.#options.bus.publish(TOPICS.deadLetters, letters.map(toMessage));
    } catch (error) {
      this.#options.log.warn({ letters: letters.length, err: describe(error) }, 'dead letters are in the store but not on their topic');
    }
  }

  async #commit(nextOffsets: ReadonlyMap<number, bigint>): Promise<void> {
    try {
      await this.#subscription?.commit(nextOffsets);
    } catch (error) {
      // Stored but not committed: delivered again, here or elsewhere, to no effect.
      this.#options.log.debug({ err: describe(error) }, 'not committed');
    }
  }

  async #report(): Promise<void> {
    const { store, clock, log } = this.#options;
    const lag = await this.#subscription?.lag().catch((error: unknown) => {
      log.warn({ err: describe(error) }, 'how far behind this ingester is cannot be told');
      return undefined;
    });
    this.#metrics.lag.reset();
    const lags = [...(lag ?? [])].map(([partition, messages]) => {
      this.#metrics.lag.set({ partition }, messages);
      return { kind: 'lag_messages', key: String(partition), value: messages } as const;
    });
    const counted = this.#tally.take();
    const entries = [...lags, ...counted, { kind: 'last_insert_at', key: '', value: this.#lastInsertAt } as const];
    try {
      await saveIngesterReport(store, { at: clock.now(), ingester: `${hostname()}/${process.pid}`, entries });
    } catch (error) {
      this.#tally.putBack(counted);
      throw error;
    }
  }

  /** One ingester of the group does it: the one that owns partition 0. */
  #rollingUp(stage: typeof rollUpMinutes): () => Promise<void> {
    const { clock, store } = this.#options;
    let endedAt = clock.now();
    return async () => {
      if (this.#subscription?.partitions().includes(0) !== true || this.#storeAway) return;
      if (this.#isBehind && clock.now() - endedAt < BACKLOG_REST_MS) return;
      const done = this.#metrics.rollupSeconds.startTimer();
      await stage(store, { signal: this.#stopping.signal });
      done();
      endedAt = clock.now();
    };
  }

  #repeat(pace: Pace, work: () => Promise<void>): Promise<void> {
    const { clock, log } = this.#options;
    return repeat({ pace, clock, log, signal: this.#stopping.signal, work });
  }
}

const describe = (error: unknown): string => (error instanceof Error ? error.message : String(error));
