/**
 * The embedded store behind ClickHouse's HTTP interface, so that gateway, ingester, detector and console can run as
 * separate processes on one machine without a ClickHouse server, and curl, Grafana or the official clients can read.
 */
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { resolve } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { gzipSync } from 'node:zlib';
import { LeaklineError } from '../../shared/errors.ts';
import type { Logger } from '../../shared/log.ts';
import { EmbeddedEngine } from '../../shared/store/embedded-engine.ts';
import { DEFAULT_USER_LIMITS, type UserLimits } from '../../shared/store/engine.ts';
import { contentTypeOf } from '../../shared/store/user-sql.ts';
import { ProtocolError, READONLY, toException } from './exceptions.ts';
import { compressBlocks } from './block-compression.ts';
import { execute, type Answer, type ExecuteOptions } from './execute.ts';
import { readRequest, type Account, type Accounts } from './request.ts';

export interface StoreServerOptions {
  /** Data directory; one process at a time. */
  readonly path: string;
  readonly host: string;
  /** 0 = any free one. */
  readonly port: number;
  readonly log: Logger;
  readonly database?: string;
  /** Default: user `default` without a password, on loopback only. */
  readonly writer?: Account;
  readonly reader?: Account;
  readonly userLimits?: UserLimits;
  /** Largest body after decompression; default 256 MiB. */
  readonly maxBodyBytes?: number;
  readonly maxMemoryBytes?: number;
}

export interface StoreServer {
  /** `http://HOST:PORT` */
  readonly url: string;
  close(): Promise<void>;
}

const VERSION = 'leakline';
/** Below this an answer is smaller than what compressing it costs. */
const MIN_GZIP_BYTES = 1024;
const LOOPBACK = new Set(['127.0.0.1', '::1', 'localhost']);

function summary(answer: Answer): string {
  const rows = String(answer.rowsRead);
  const bytes = String(answer.bytesRead);
  return JSON.stringify({
    read_rows: rows,
    read_bytes: bytes,
    written_rows: '0',
    written_bytes: '0',
    total_rows_to_read: '0',
    result_rows: rows,
    result_bytes: String(answer.body.length),
    elapsed_ns: String(Math.round(answer.elapsedSeconds * 1e9)),
  });
}

async function answerQuery(
  options: ExecuteOptions,
  accounts: Accounts,
  url: URL,
  message: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const request = readRequest(message, url, accounts);
  response.setHeader('X-ClickHouse-Query-Id', request.queryId ?? randomUUID());
  response.setHeader('X-ClickHouse-Timezone', 'UTC');
  response.setHeader('X-ClickHouse-Server-Display-Name', VERSION);
  const answer = await execute(options, request, message, message.headers['content-encoding']);
  response.setHeader('X-ClickHouse-Summary', summary(answer));
  response.setHeader('X-ClickHouse-Format', answer.format);
  response.setHeader('Content-Type', contentTypeOf(answer.format));
  if (request.progress) response.setHeader('X-ClickHouse-Progress', summary(answer));
  const body = request.blocks ? compressBlocks(Buffer.from(answer.body)) : answer.body;
  const gzips = request.gzip && body.length >= MIN_GZIP_BYTES;
  if (gzips) response.setHeader('Content-Encoding', 'gzip');
  response.end(gzips ? gzipSync(body) : body);
}

/** What the console passes on to `leakline backup`; it asks as the writer. */
async function answerBackup(
  { engine }: ExecuteOptions,
  accounts: Accounts,
  url: URL,
  message: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { role } = readRequest(message, url, accounts);
  if (role !== 'writer' || message.method !== 'POST') throw new ProtocolError(READONLY, 'A backup is for the writer, by POST.');
  message.resume();
  const tar = await engine.backup();
  response.setHeader('Content-Type', 'application/x-tar');
  await pipeline(tar, response);
}

function answerException(error: unknown, message: IncomingMessage, response: ServerResponse, log: Logger): void {
  const { status, code, text } = toException(error, VERSION);
  if (status >= 500) log.warn({ code, error: text.trim() }, 'statement failed');
  // What is left of the body is not wanted; the connection cannot serve another request before it is read.
  message.resume();
  if (response.headersSent) {
    response.destroy();
    return;
  }
  response.writeHead(status, { 'X-ClickHouse-Exception-Code': String(code), 'Content-Type': 'text/plain; charset=utf-8' });
  response.end(text);
}

function route(options: ExecuteOptions, accounts: Accounts, log: Logger) {
  return (message: IncomingMessage, response: ServerResponse): void => {
    const url = new URL(message.url ?? '/', 'http://store');
    const isPing = url.pathname === '/ping' || url.pathname === '/replicas_status';
    if (isPing || (message.method === 'GET' && url.pathname === '/' && !url.searchParams.has('query'))) {
      response.writeHead(200, { 'Content-Type': 'text/html; charset=utf-8' }).end('Ok.\n');
      return;
    }
    if (url.pathname === '/backup') {
      answerBackup(options, accounts, url, message, response).catch((error: unknown) => answerException(error, message, response, log));
      return;
    }
    if (url.pathname !== '/') {
      response.writeHead(404, { 'Content-Type': 'text/plain' }).end('There is no handle for this path. Use /, /ping or /backup.\n');
      return;
    }
    answerQuery(options, accounts, url, message, response).catch((error: unknown) => answerException(error, message, response, log));
  };
}

async function listen(server: Server, host: string, port: number): Promise<string> {
  server.listen(port, host);
  await once(server, 'listening');
  const { address, family, port: bound } = server.address() as AddressInfo;
  return `http://${family === 'IPv6' ? `[${address}]` : address}:${bound}`;
}

export async function startStoreServer(options: StoreServerOptions): Promise<StoreServer> {
  const { writer = { username: 'default', password: '' }, userLimits = DEFAULT_USER_LIMITS, database = 'leakline' } = options;
  if (!LOOPBACK.has(options.host) && (writer.password === '' || options.reader?.password === '')) {
    throw new LeaklineError('LKL_ERR_CONFIG', `the store listens on ${options.host}, off loopback: its users need passwords`);
  }
  const path = resolve(options.path);
  mkdirSync(path, { recursive: true });
  const engine = await EmbeddedEngine.open({ path, database, userLimits, maxMemoryBytes: options.maxMemoryBytes ?? 2 * 1024 ** 3 });
  const server = createServer(
    { keepAliveTimeout: 30_000, requestTimeout: 120_000, headersTimeout: 10_000, maxHeaderSize: 1024 * 1024 },
    route(
      { engine, database, userLimits, maxBodyBytes: options.maxBodyBytes ?? 256 * 1024 ** 2 },
      { writer, reader: options.reader },
      options.log,
    ),
  );
  try {
    const url = await listen(server, options.host, options.port);
    return {
      url,
      close: async () => {
        server.close();
        server.closeIdleConnections();
        await once(server, 'close');
        await engine.close();
      },
    };
  } catch (error) {
    await engine.close();
    throw new LeaklineError('LKL_ERR_CONFIG', `cannot listen on ${options.host}:${options.port}: choose another address`, { cause: error });
  }
}
