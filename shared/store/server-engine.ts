/** A ClickHouse server over HTTP, by the official client. */
import { Readable } from 'node:stream';
import { ClickHouseLogLevel, createClient, type ClickHouseClient, type ClickHouseSettings } from '@clickhouse/client';
import { LeaklineError } from '../errors.ts';
import {
  INSERT_TIMEOUT_MS,
  QUERY_TIMEOUT_MS,
  WRITE_SETTINGS,
  userSettings,
  type Engine,
  type EngineQuery,
  type UserAnswer,
  type UserLimits,
} from './engine.ts';

export interface ServerOptions {
  readonly url: string;
  readonly database: string;
  readonly username: string;
  readonly password: string;
  /** User for people's SQL; empty = the writer under read-only settings. */
  readonly readerUsername: string;
  readonly readerPassword: string;
  readonly userLimits: UserLimits;
}

const READ_SETTINGS: ClickHouseSettings = {
  // The status line waits for the whole answer: an error in the middle arrives as an error, never as a short result.
  wait_end_of_query: 1,
  output_format_json_quote_64bit_integers: 0,
  output_format_json_array_of_rows: 1,
  max_execution_time: QUERY_TIMEOUT_MS / 1000,
};

const WRITING: ClickHouseSettings = { wait_end_of_query: 1, async_insert: 0, ...Object.fromEntries(WRITE_SETTINGS) };

async function collect(stream: Readable): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

export class ServerEngine implements Engine {
  readonly #options: ServerOptions;
  readonly #client: ClickHouseClient;
  readonly #reader: ClickHouseClient;

  constructor(options: ServerOptions) {
    this.#options = options;
    const { url, database, username, password } = options;
    this.#client = createClient({
      url,
      database,
      username,
      password,
      application: 'leakline',
      request_timeout: INSERT_TIMEOUT_MS,
      max_open_connections: 8,
      log: { level: ClickHouseLogLevel.OFF },
      keep_alive: { idle_socket_ttl: 2000 },
    });
    this.#reader = createClient({
      url,
      database,
      username: options.readerUsername === '' ? username : options.readerUsername,
      password: options.readerUsername === '' ? password : options.readerPassword,
      application: 'leakline-sql',
      request_timeout: options.userLimits.timeoutMs + 5000,
      max_open_connections: 4,
      log: { level: ClickHouseLogLevel.OFF },
      keep_alive: { idle_socket_ttl: 2000 },
    });
  }

  async query({ sql, format, signal }: EngineQuery): Promise<Buffer> {
    const { stream } = await this.#client.exec({
      query: `${sql}\nFORMAT ${format}`,
      clickhouse_settings: READ_SETTINGS,
      ...(signal === undefined ? {} : { abort_signal: signal }),
    });
    return collect(stream);
  }

  /** One piece: over HTTP a piece may end anywhere in a block. */
  async queryBlocks(request: Omit<EngineQuery, 'format'>, take: (piece: Buffer) => void): Promise<void> {
    take(await this.query({ ...request, format: 'Native' }));
  }

  async userQuery({ sql, format, signal }: EngineQuery): Promise<UserAnswer> {
    const { stream, summary } = await this.#reader.exec({
      query: sql,
      // A user whose profile is read-only may set nothing; its profile has to hold the caps then.
      clickhouse_settings: {
        default_format: format,
        // Of the interface, no setting: the summary then speaks of the whole answer.
        wait_end_of_query: 1,
        ...(this.#options.readerUsername === ''
          ? {
              cancel_http_readonly_queries_on_client_close: 1,
              ...Object.fromEntries(userSettings(this.#options.userLimits)),
            }
          : {}),
      } as ClickHouseSettings,
      ...(signal === undefined ? {} : { abort_signal: signal }),
    });
    return { body: await collect(stream), rows: Number(summary?.result_rows ?? 0) };
  }

  async command(sql: string): Promise<void> {
    await this.#client.command({ query: sql, clickhouse_settings: WRITING });
  }

  async insert(prefix: string, body: Buffer): Promise<void> {
    const { stream } = await this.#client.exec({
      query: prefix,
      values: Readable.from([body], { objectMode: false }),
      clickhouse_settings: WRITING,
    });
    await collect(stream);
  }

  async createDatabase(): Promise<void> {
    const { url, username, password, database } = this.#options;
    const client = createClient({ url, username, password, log: { level: ClickHouseLogLevel.OFF } });
    try {
      await client.command({ query: `CREATE DATABASE IF NOT EXISTS ${database}` });
    } finally {
      await client.close();
    }
  }

  /** `leakline store` answers this; it is no part of ClickHouse's interface. */
  async backup(): Promise<Readable> {
    const { url, username, password } = this.#options;
    const headers = { 'X-ClickHouse-User': username, 'X-ClickHouse-Key': password };
    const response = await fetch(new URL('/backup', url), { method: 'POST', headers, redirect: 'error' });
    if (response.ok && response.body !== null) return Readable.fromWeb(response.body);
    await response.body?.cancel();
    throw new LeaklineError(
      'LKL_ERR_BACKUP',
      `the store at ${new URL(url).origin} answered ${response.status} to a backup: only \`leakline store\` makes one, to its writer; back up a ClickHouse server by its own BACKUP statement`,
    );
  }

  async close(): Promise<void> {
    await Promise.all([this.#client.close(), this.#reader.close()]);
  }
}
