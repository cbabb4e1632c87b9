/**
 * Keeps a full disk from costing the embedded store a row. chDB (26.7) does not say when a write to a file fails: the
 * statement succeeds and leaves a part that is cut short, in an insert or in a merge that nobody asked for. But it counts such
 * writes. So nothing is written while there is little space, the count is read after each write and every few seconds, and when
 * it has risen, what was written since is refused and every table is loaded anew. The engine then compares each part with its
 * checksums, sets aside those cut short, and goes back to the parts they were merged from, which it keeps for eight minutes.
 */
import { statfs } from 'node:fs/promises';
import { systemClock } from '../clock.ts';
import { LeaklineError } from '../errors.ts';
import { floorBytes } from './disk-space.ts';
import { quoteString } from './parameters.ts';
import { NOT_ENOUGH_SPACE } from './store-error.ts';

export interface DiskGuardOptions {
  /** Where the store is. */
  readonly path: string;
  readonly database: string;
  /** Runs a statement at once, whatever else waits; the answer is tab separated. */
  readonly ask: (sql: string) => Promise<string>;
  /** Runs work while nothing else is asked of the engine. */
  readonly alone: (work: () => Promise<void>) => Promise<void>;
}

/** Far less than the engine keeps what it has merged. */
const LOOK_EVERY_MS = 5_000;
/** An answer that came sooner took too little memory to be put on the disk in between. */
const MAY_HAVE_SPILLED_MS = 100;
/** Parts carry the time they were begun at, in seconds. */
const LONGEST_WRITE_MS = 120_000;

const COUNT = `SELECT sum(value) FROM system.events WHERE event = 'WriteBufferFromFileDescriptorWriteFailed'`;

const lines = (answer: string): string[] => answer.split('\n').filter((line) => line !== '');

const noSpace = (text: string, cause?: unknown) =>
  new LeaklineError('LKL_ERR_STORE_UNAVAILABLE', text, { cause, details: { engineCode: NOT_ENOUGH_SPACE } });

export class DiskGuard {
  readonly #options: DiskGuardOptions;
  /** Of this process, as last read. */
  #failedWrites = 0;
  /** When no write had failed that was not made good. */
  #soundAt = systemClock.now();
  #mustMend = false;
  /** Tables that are to be loaded anew; some may be detached. */
  readonly #toAttach = new Set<string>();
  #mending: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: DiskGuardOptions) {
    this.#options = options;
  }

  async start(): Promise<void> {
    this.#failedWrites = await this.#count();
    this.#timer = setInterval(() => {
      // What cannot be asked now is asked at the next turn.
      this.#look().catch(() => undefined);
    }, LOOK_EVERY_MS).unref();
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#mending;
  }

  /** Throws where rows must not be written for lack of space. */
  async requireSpace(): Promise<void> {
    const { path } = this.#options;
    const { bavail, blocks, bsize } = await statfs(path);
    const floor = floorBytes(blocks * bsize);
    if (bavail * bsize >= floor) return;
    throw noSpace(
      `the disk of ${path} has ${toMiB(bavail * bsize)} MiB left and nothing is written below ${toMiB(floor)} MiB: free some, or shorten the retention`,
    );
  }

  /** Throws while parts may be there that were cut short. */
  requireSound(): void {
    if (!this.#mustMend && this.#mending === undefined) return;
    throw noSpace('the disk was full, and what could not be written is being made good: try again in a moment');
  }

  write<Result>(work: () => Promise<Result>): Promise<Result> {
    return this.#vouchFor(work, 0);
  }

  read<Result>(work: () => Promise<Result>): Promise<Result> {
    return this.#vouchFor(work, MAY_HAVE_SPILLED_MS);
  }

  async #vouchFor<Result>(work: () => Promise<Result>, fromMs: number): Promise<Result> {
    const before = this.#failedWrites;
    const startedAt = performance.now();
    let result: Result;
    try {
      result = await work();
    } catch (error) {
      // It may have met a part that is about to be set aside.
      const failed = await this.#look().catch(() => before);
      throw failed > before || this.#mending !== undefined ? noSpace(`the disk is full: ${textOf(error)}`, error) : error;
    }
    if (performance.now() - startedAt < fromMs || (await this.#look()) === before) return result;
    throw noSpace('the disk is full: something could not be written meanwhile');
  }

  async #look(): Promise<number> {
    const at = systemClock.now();
    const count = await this.#count();
    if (count > this.#failedWrites) this.#mustMend = true;
    this.#failedWrites = count;
    if (this.#mustMend) this.#mending ??= this.#mend();
    else if (this.#mending === undefined) this.#soundAt = at;
    return count;
  }

  /** Never throws: what did not work is tried again after the next look. */
  async #mend(): Promise<void> {
    const { alone } = this.#options;
    try {
      await alone(async () => {
        // A write that fails from here on calls for another turn.
        this.#mustMend = false;
        await this.#loadTablesAnew();
        await this.#dropWhatWasSetAside();
      });
    } catch {
      this.#mustMend = true;
    } finally {
      this.#mending = undefined;
    }
  }

  async #loadTablesAnew(): Promise<void> {
    const { ask, database } = this.#options;
    const tables = await ask(`SELECT name FROM system.tables WHERE database = ${quoteString(database)} AND engine LIKE '%MergeTree'`);
    // With what a turn that broke off has left behind.
    for (const table of lines(tables)) this.#toAttach.add(table);
    for (const table of this.#toAttach) {
      await ask(`DETACH TABLE IF EXISTS ${table} SYNC`);
      await ask(`ATTACH TABLE IF NOT EXISTS ${table}`);
      this.#toAttach.delete(table);
    }
  }

  /** Their rows were refused when they came, or are in the parts that took their place. What is older is left to people. */
  async #dropWhatWasSetAside(): Promise<void> {
    const { ask, database } = this.#options;
    const since = Math.floor((this.#soundAt - LONGEST_WRITE_MS) / 1000);
    const parts = await ask(
      `SELECT table, name FROM system.detached_parts
      WHERE database = ${quoteString(database)} AND reason = 'broken-on-start' AND modification_time >= fromUnixTimestamp(${since})`,
    );
    for (const [table, name] of lines(parts).map((line) => line.split('\t')))
      await ask(`ALTER TABLE ${table} DROP DETACHED PART ${quoteString(name!)} SETTINGS allow_drop_detached = 1`);
  }

  async #count(): Promise<number> {
    return Number(await this.#options.ask(COUNT));
  }
}

const toMiB = (bytes: number): string => (bytes / 1024 ** 2).toFixed(0);

const textOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
