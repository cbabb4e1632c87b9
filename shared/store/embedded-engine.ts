/**
 * chDB inside this process. One data directory per process; every connection ("lane") runs one query at a time, lanes run
 * side by side, so a long read never holds up an insert. Each running query takes one of libuv's four threads: inserts may
 * have one, everything else together two, of which commands (roll-ups take seconds) have one at most, and one is left for files.
 */
import { mkdirSync, rmSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import {
  ClickHouseLogLevel,
  createClient,
  type ClickHouseClient,
  type ClickHouseClientConfigOptions,
  type ClickHouseSettings,
} from '@clickhouse/client';
import { Session, type ChdbResult } from 'chdb';
import { createChdbConnection } from 'chdb/connection';
import { archive, freeze, FROZEN_FOLDER, type Frozen } from './backup.ts';
import { DiskGuard } from './disk-guard.ts';
import {
  QUERY_TIMEOUT_MS,
  WRITE_SETTINGS,
  userSettings,
  type Engine,
  type EngineQuery,
  type UserAnswer,
  type UserLimits,
} from './engine.ts';
import { quoteString } from './parameters.ts';

/** At most so many at once, first come first served. */
class Gate {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(permits: number) {
    this.#free = permits;
  }

  async run<Result>(work: () => Promise<Result>): Promise<Result> {
    if (this.#free > 0) this.#free--;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#free++;
      else next();
    }
  }
}

/** How long close() waits for a running query. */
const CLOSE_GRACE_MS = 5000;

/** One connection: what is asked of it runs in order. */
class Lane {
  readonly #path: string;
  readonly #gate: Gate;
  /** What a new connection is told first. */
  readonly #setUp: string;
  #client: ClickHouseClient | undefined;
  #tail: Promise<unknown> = Promise.resolve();

  constructor(path: string, gate: Gate, setUp: string) {
    this.#path = path;
    this.#gate = gate;
    this.#setUp = setUp;
  }

  /** The signal gives up the wait, not the work: chDB cannot interrupt a query, so the lane stays taken until its time cap. */
  run(sql: string, format: string, signal?: AbortSignal): Promise<UserAnswer> {
    const result = this.hold(() => this.#gate.run(() => this.#execute(sql, format, signal)));
    return signal === undefined ? result : abortable(result, signal);
  }

  /** Nothing runs on this lane meanwhile. */
  hold<Result>(work: () => Promise<Result>): Promise<Result> {
    const result = this.#tail.then(work);
    this.#tail = result.catch(() => undefined);
    return result;
  }

  async #execute(sql: string, format: string, signal: AbortSignal | undefined): Promise<UserAnswer> {
    signal?.throwIfAborted();
    try {
      this.#client ??= await this.#connect();
      return await collect(this.#client, sql, format);
    } catch (error) {
      // chDB 26.7 answers the query after a failed one with what the failed one had begun to say: never use it again.
      await this.#client?.close();
      this.#client = undefined;
      throw error;
    }
  }

  async #connect(): Promise<ClickHouseClient> {
    // chDB's declaration of the same interface is not as strict about absent properties as this project is.
    const connection = createChdbConnection({ path: this.#path }) as unknown as NonNullable<ClickHouseClientConfigOptions['connection']>;
    const client = createClient({ connection, log: { level: ClickHouseLogLevel.OFF } });
    await collect(client, this.#setUp, 'TSV');
    return client;
  }

  /** What still runs after the grace ends with the process; chDB closes the connection behind it. */
  async close(): Promise<void> {
    const grace = new AbortController();
    await Promise.race([this.#tail, delay(CLOSE_GRACE_MS, undefined, { signal: grace.signal }).catch(() => undefined)]);
    grace.abort();
    await this.#client?.close();
  }
}

async function collect(client: ClickHouseClient, sql: string, format: string): Promise<UserAnswer> {
  const { stream, summary } = await client.exec({ query: sql, clickhouse_settings: { default_format: format } as ClickHouseSettings });
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return { body: chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks), rows: Number(summary?.result_rows ?? 0) };
}

/** A port that nobody listens at: what it is handed is freed. */
const nowhere = new MessageChannel().port1;
nowhere.close();

/**
 * Now rather than at the next collection. Buffers that pile up make the collector look through all that is kept, and each new one is
 * memory that the system has to clear first: a sixth of what it costs to read the rows of a fleet.
 */
function release(buffer: ArrayBufferLike): void {
  nowhere.postMessage(undefined, [buffer as ArrayBuffer]);
}

function abortable<Result>(work: Promise<Result>, signal: AbortSignal): Promise<Result> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason instanceof Error ? signal.reason : new Error('aborted'));
    if (signal.aborted) onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}

const READ_SETTINGS: readonly (readonly [string, string])[] = [
  ['max_execution_time', String(QUERY_TIMEOUT_MS / 1000)],
  ['output_format_json_quote_64bit_integers', '0'],
  ['output_format_json_array_of_rows', '1'],
];

const INSERTS = /^\s*INSERT\b/i;

const assignments = (settings: readonly (readonly [string, string])[]) =>
  settings.map(([name, value]) => `SET ${name} = ${/^\d+$/.test(value) ? value : quoteString(value)}`).join('; ');

/**
 * Through a file: data behind the statement ends for chDB at the first empty line, which binary formats may hold anywhere.
 * The file is gone before the kernel would write it out, so it costs a copy (5 ms for 13 MB) and no disk.
 */
export function insertFromFile(prefix: string, file: string): string {
  const [, into = '', settings = '', format = ''] = /^(.*?)(\sSETTINGS\s.*)?\sFORMAT\s+(\w+)\s*$/is.exec(prefix) ?? [];
  return `${into} FROM INFILE ${quoteString(file)} COMPRESSION 'none'${settings} FORMAT ${format}`;
}

export interface EmbeddedStatement {
  readonly sql: string;
  /** Format of the answer where the statement names none. */
  readonly format: string;
  readonly settings: readonly (readonly [string, string])[];
  /** Values of `{name:Type}` places, as text; null is NULL. */
  readonly params?: Readonly<Record<string, string | null>>;
  readonly queue: Queue;
}

/** Where a statement waits its turn: rows that are brought along, what the engine changes by itself (INSERT … SELECT too), reads. */
export type Queue = 'inserts' | 'commands' | 'reads';

export interface EmbeddedOptions {
  readonly path: string;
  readonly database: string;
  readonly userLimits: UserLimits;
  /** Memory the engine may take in this process, all queries and merges together. */
  readonly maxMemoryBytes: number;
}

export class EmbeddedEngine implements Engine {
  readonly #path: string;
  readonly #database: string;
  readonly #shared = new Gate(2);
  readonly #inserts = new Gate(1);
  /** Passed before #shared, so that a read always has a place there. */
  readonly #commands = new Gate(1);
  readonly #session: Session;
  readonly #writer: Lane;
  readonly #inserter: Lane;
  readonly #bodies: string;
  /** What a connection for reads is told first. */
  readonly #reading: string;
  readonly #readers: readonly Lane[];
  readonly #user: Lane;
  readonly #guarding: Lane;
  readonly #guard: DiskGuard;
  #nextReader = 0;
  #nextBody = 0;

  private constructor(options: EmbeddedOptions) {
    this.#path = options.path;
    this.#database = options.database;
    // The first connection starts the engine, with what can only be said at its start.
    this.#session = new Session(options.path, {
      connectionArgs: [
        `--max_server_memory_usage=${String(options.maxMemoryBytes)}`,
        '--mark_cache_size=134217728',
        '--background_pool_size=2',
      ],
    });
    const use = `USE ${options.database}`;
    const memory = ['max_memory_usage', String(Math.floor(options.maxMemoryBytes / 2))] as const;
    const writing = `${use}; ${assignments([memory, ...WRITE_SETTINGS])}`;
    this.#reading = `${use}; ${assignments([memory, ...READ_SETTINGS])}`;
    this.#writer = new Lane(options.path, this.#shared, writing);
    this.#inserter = new Lane(options.path, this.#inserts, writing);
    this.#readers = [new Lane(options.path, this.#shared, this.#reading), new Lane(options.path, this.#shared, this.#reading)];
    this.#user = new Lane(options.path, this.#shared, `${use}; ${assignments(userSettings(options.userLimits))}`);
    this.#guarding = new Lane(options.path, new Gate(1), writing);
    this.#guard = new DiskGuard({
      path: options.path,
      database: options.database,
      ask: async (sql) => (await this.#guarding.run(sql, 'TSVRaw')).body.toString('utf8'),
      // Every permit there is. One at a time does this: two would wait for each other.
      alone: (work) => this.#shared.run(() => this.#shared.run(() => this.#inserts.run(work))),
    });
    this.#bodies = join(options.path, 'insert-bodies');
    rmSync(this.#bodies, { recursive: true, force: true });
    mkdirSync(this.#bodies, { mode: 0o700 });
    rmSync(join(options.path, FROZEN_FOLDER), { recursive: true, force: true });
  }

  static async open(options: EmbeddedOptions): Promise<EmbeddedEngine> {
    const engine = new EmbeddedEngine(options);
    await engine.createDatabase();
    await engine.#guard.start();
    return engine;
  }

  async query({ sql, format, signal }: EngineQuery): Promise<Buffer> {
    const lane = this.#readers[this.#nextReader++ % this.#readers.length]!;
    return (await this.#guard.read(() => lane.run(sql, format, signal))).body;
  }

  /** On a connection of its own, as a stream has it to itself. What is given up ends at its next block. */
  queryBlocks({ sql, signal }: Omit<EngineQuery, 'format'>, take: (piece: Buffer) => void): Promise<void> {
    const done = this.#guard.read(() => this.#shared.run(() => this.#stream(sql, signal, take)));
    return signal === undefined ? done : abortable(done, signal);
  }

  async #stream(sql: string, signal: AbortSignal | undefined, take: (piece: Buffer) => void): Promise<void> {
    signal?.throwIfAborted();
    await this.#connected(this.#reading, async (session) => {
      for await (const chunk of session.queryStream(sql, { format: 'Native', ...(signal === undefined ? {} : { signal }) })) {
        const { buffer, byteOffset, byteLength } = chunk.raw();
        take(Buffer.from(buffer, byteOffset, byteLength));
        release(buffer);
      }
    });
  }

  /** A connection that is told `setUp` first and is gone with the work. */
  async #connected<Result>(setUp: string, work: (session: Session) => Promise<Result>): Promise<Result> {
    const session = new Session(this.#path);
    try {
      await session.queryAsync(setUp);
      return await work(session);
    } finally {
      session.close();
    }
  }

  userQuery({ sql, format, signal }: EngineQuery): Promise<UserAnswer> {
    return this.#guard.read(() => this.#user.run(sql, format, signal));
  }

  async command(sql: string): Promise<void> {
    if (INSERTS.test(sql)) await this.#guard.requireSpace();
    await this.#guard.write(() => this.#writer.run(sql, 'TSV'));
  }

  async insert(prefix: string, body: Buffer): Promise<void> {
    await this.#guard.requireSpace();
    const file = this.bodyFile();
    try {
      await writeFile(file, body, { mode: 0o600 });
      await this.#guard.write(() => this.#inserter.run(insertFromFile(prefix, file), 'TSV'));
    } finally {
      await rm(file, { force: true });
    }
  }

  /** A fresh path for the body of an insert. Whoever writes it removes it. */
  bodyFile(): string {
    return join(this.#bodies, String(this.#nextBody++));
  }

  /**
   * One statement on a connection of its own (it costs less than a millisecond), so that settings end with it.
   * Inserts wait neither behind reads nor behind commands.
   */
  async execute(statement: EmbeddedStatement): Promise<ChdbResult> {
    const run = () => this.#execute(statement);
    switch (statement.queue) {
      case 'inserts':
        await this.#guard.requireSpace();
        return this.#guard.write(() => this.#inserts.run(run));
      case 'commands':
        if (INSERTS.test(statement.sql)) await this.#guard.requireSpace();
        return this.#guard.write(() => this.#commands.run(() => this.#shared.run(run)));
      case 'reads':
        return this.#guard.read(() => this.#shared.run(run));
    }
  }

  #execute({ sql, format, settings, params = {} }: EmbeddedStatement): Promise<ChdbResult> {
    const hasParams = Object.keys(params).length > 0;
    return this.#connected(`USE ${this.#database}; ${assignments(settings)}`, (session) =>
      hasParams ? session.queryBindAsync(sql, params, { format }) : session.queryAsync(sql, { format }),
    );
  }

  async createDatabase(): Promise<void> {
    await this.#session.queryAsync(`CREATE DATABASE IF NOT EXISTS ${this.#database}`);
  }

  /** All that writes is held while links are made; the tar is read behind its back. */
  async backup(): Promise<Readable> {
    let copy: Readable | undefined;
    const work = async () => {
      this.#guard.requireSound();
      copy = archive(await this.#freeze());
      return copy;
    };
    try {
      return await this.#guard.write(() => this.#writer.hold(() => this.#commands.run(() => this.#inserts.run(work))));
    } catch (error) {
      copy?.destroy();
      throw error;
    }
  }

  async #freeze(): Promise<Frozen> {
    const session = new Session(this.#path);
    try {
      return await freeze(session, this.#path, this.#database);
    } finally {
      session.close();
    }
  }

  async close(): Promise<void> {
    await this.#guard.stop();
    await Promise.all([this.#inserter, this.#writer, ...this.#readers, this.#user, this.#guarding].map((lane) => lane.close()));
    this.#session.close();
  }
}
