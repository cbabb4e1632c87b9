/**
 * The store: ClickHouse, as a server or as chDB on a local directory. Statements live in the files beside this one;
 * here is only the way to run them. Faults come out as LKL_ERR_STORE_UNAVAILABLE (try again) or LKL_ERR_STORE_REFUSED.
 */
import { mkdirSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Readable } from 'node:stream';
import { LeaklineError } from '../errors.ts';
import { DEFAULT_USER_LIMITS, type Engine, type UserAnswer, type UserLimits } from './engine.ts';
import type { EncodedBlock } from './native-block.ts';
import { bindParameters, type SqlParams } from './parameters.ts';
import { ServerEngine } from './server-engine.ts';
import { toStoreError } from './store-error.ts';

export interface StoreOptions {
  /** HTTP address of a ClickHouse server. Give this or `path`. */
  readonly url?: string;
  /** Directory of the embedded store. One per process. */
  readonly path?: string;
  /** Default: leakline. */
  readonly database?: string;
  readonly username?: string;
  readonly password?: string;
  readonly readerUsername?: string;
  readonly readerPassword?: string;
  readonly userLimits?: UserLimits;
  /** Embedded only: memory the engine may take in this process. Default 2 GiB. */
  readonly maxMemoryBytes?: number;
}

interface QueryOptions {
  readonly signal?: AbortSignal | undefined;
}

export class Store {
  readonly database: string;
  readonly embedded: boolean;
  readonly userLimits: UserLimits;
  readonly #engine: Engine;
  #closed = false;

  constructor(engine: Engine, database: string, embedded: boolean, userLimits: UserLimits) {
    this.#engine = engine;
    this.database = database;
    this.embedded = embedded;
    this.userLimits = userLimits;
  }

  /** Rows as objects. `{name:Type}` in the SQL takes its value from `params`. */
  async query<Row>(sql: string, params: SqlParams = {}, options: QueryOptions = {}): Promise<Row[]> {
    const text = (await this.queryBytes(sql, 'JSONEachRow', params, options)).toString('utf8');
    return text.trim() === '' ? [] : (JSON.parse(text) as Row[]);
  }

  /** The answer in a format of ClickHouse, undecoded. */
  async queryBytes(sql: string, format: string, params: SqlParams = {}, options: QueryOptions = {}): Promise<Buffer> {
    return this.#run('query', () => this.#engine.query({ sql: bindParameters(sql, params), format, signal: options.signal }));
  }

  /** A long answer in `Native`: `take` has each piece of whole blocks to itself until it returns. Where this rejects there was none. */
  async queryBlocks(sql: string, take: (piece: Buffer) => void, params: SqlParams = {}, options: QueryOptions = {}): Promise<void> {
    await this.#run('query', () => this.#engine.queryBlocks({ sql: bindParameters(sql, params), signal: options.signal }, take));
  }

  /** A statement by people, already checked by user-sql.ts, on the read-only connection. */
  async userQuery(sql: string, format: string, options: QueryOptions = {}): Promise<UserAnswer> {
    return this.#run('query', () => this.#engine.userQuery({ sql, format, signal: options.signal }));
  }

  async command(sql: string, params: SqlParams = {}): Promise<void> {
    await this.#run('command', () => this.#engine.command(bindParameters(sql, params)));
  }

  /** Resolves once the rows are in the table for good. An empty block is no insert. */
  async insertNative(table: string, block: EncodedBlock): Promise<void> {
    if (block.rows === 0) return;
    await this.#run(`insert into ${table}`, () =>
      this.#engine.insert(`INSERT INTO ${table} (${block.columns.join(', ')}) FORMAT Native`, block.body),
    );
  }

  /** For tables with few rows; samples go through insertNative. */
  async insertRows(table: string, rows: readonly Readonly<Record<string, unknown>>[]): Promise<void> {
    const first = rows[0];
    if (first === undefined) return;
    const body = Buffer.from(rows.map((row) => JSON.stringify(row)).join('\n'));
    await this.#run(`insert into ${table}`, () =>
      this.#engine.insert(`INSERT INTO ${table} (${Object.keys(first).join(', ')}) FORMAT JSONEachRow`, body),
    );
  }

  async ping(): Promise<void> {
    await this.query('SELECT 1 AS one');
  }

  async createDatabase(): Promise<void> {
    await this.#run('create database', () => this.#engine.createDatabase());
  }

  /** A tar of everything as of one moment, for restore.ts. Whoever gets it reads it to its end or destroys it. */
  async backup(): Promise<Readable> {
    return this.#run('backup', () => this.#engine.backup());
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#engine.close();
  }

  async #run<Result>(what: string, work: () => Promise<Result>): Promise<Result> {
    if (this.#closed) throw new LeaklineError('LKL_ERR_STORE_REFUSED', `${what}: the store is closed`);
    try {
      return await work();
    } catch (error) {
      throw toStoreError(error, what);
    }
  }
}

/** Opens the store; the embedded one makes its directory and database. Does not migrate, and does not retry. */
export async function openStore(options: StoreOptions): Promise<Store> {
  const { database = 'leakline', userLimits = DEFAULT_USER_LIMITS } = options;
  if ((options.url === undefined) === (options.path === undefined)) {
    throw new LeaklineError('LKL_ERR_CONFIG', 'the store needs either a url (ClickHouse server) or a path (embedded), not both');
  }
  if (options.url !== undefined) {
    const { username = 'default', password = '', readerUsername = '', readerPassword = '' } = options;
    const engine = new ServerEngine({ url: options.url, database, username, password, readerUsername, readerPassword, userLimits });
    return new Store(engine, database, false, userLimits);
  }
  const path = resolve(options.path ?? '');
  mkdirSync(path, { recursive: true });
  try {
    // Only here: the engine's library is 138 MiB of resident memory, of which a service with a server behind it needs nothing.
    const { EmbeddedEngine } = await import('./embedded-engine.ts');
    const engine = await EmbeddedEngine.open({ path, database, userLimits, maxMemoryBytes: options.maxMemoryBytes ?? 2 * 1024 ** 3 });
    return new Store(engine, database, true, userLimits);
  } catch (error) {
    throw toStoreError(error, `open ${path}`);
  }
}
