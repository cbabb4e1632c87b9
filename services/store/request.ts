/** Reads one request of ClickHouse's HTTP interface: who asks, the statement, its parameters, settings and data. */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { AUTHENTICATION_FAILED, NOT_IMPLEMENTED, ProtocolError, UNKNOWN_SETTING } from './exceptions.ts';

export interface Account {
  readonly username: string;
  readonly password: string;
}

export interface Accounts {
  /** The project's own services: may write. */
  readonly writer: Account;
  /** People: read-only, with caps. */
  readonly reader: Account | undefined;
}

export type Role = 'writer' | 'reader';

export interface StoreRequest {
  readonly role: Role;
  /** `query` of the address; the body follows it as data or as the rest of the text. */
  readonly query: string;
  /** Values of `{name:Type}` places, escaped as they came. */
  readonly params: Readonly<Record<string, string>>;
  readonly settings: readonly (readonly [string, string])[];
  readonly database: string;
  readonly format: string;
  readonly queryId: string | undefined;
  /** The answer in gzip (`enable_http_compression=1`). */
  readonly gzip: boolean;
  /** The answer in ClickHouse's compressed blocks (`compress=1`). */
  readonly blocks: boolean;
  /** The body is in such blocks (`decompress=1`). */
  readonly bodyInBlocks: boolean;
  /** `client_protocol_version`; 0 = Native as files have it. */
  readonly clientRevision: number;
  readonly progress: boolean;
  /** By GET nothing may be changed, whoever asks. */
  readonly method: string;
}

/** Words of the interface itself and settings of the HTTP layer, which the engine does not know or does always. */
const OF_THE_INTERFACE = new Set([
  'query',
  'query_id',
  'database',
  'user',
  'password',
  'default_format',
  'enable_http_compression',
  'session_timeout',
  'session_check',
  'role',
  'quota_key',
  'stacktrace',
  'buffer_size',
  'client_protocol_version',
  'compress',
  'decompress',
  'wait_end_of_query',
  'send_progress_in_http_headers',
  'http_headers_progress_interval_ms',
  'http_response_buffer_size',
  'http_zlib_compression_level',
  'http_write_exception_in_output_format',
  'cancel_http_readonly_queries_on_client_close',
  'async_insert',
  'wait_for_async_insert',
  'async_insert_busy_timeout_ms',
  'async_insert_max_data_size',
  'network_compression_method',
  'network_zstd_compression_level',
]);

const digest = (text: string) => createHash('sha256').update(text).digest();

const matches = (account: Account | undefined, username: string, password: string): boolean => {
  if (account === undefined) return false;
  const sameName = timingSafeEqual(digest(account.username), digest(username));
  const samePassword = timingSafeEqual(digest(account.password), digest(password));
  return sameName && samePassword;
};

const header = (request: IncomingMessage, name: string): string | undefined => {
  const value = request.headers[name];
  return Array.isArray(value) ? value[0] : value;
};

function credentials(request: IncomingMessage, search: URLSearchParams): { username: string; password: string } {
  const basic = /^Basic (.+)$/i.exec(header(request, 'authorization') ?? '')?.[1];
  if (basic !== undefined) {
    const [username = '', ...rest] = Buffer.from(basic, 'base64').toString('utf8').split(':');
    return { username, password: rest.join(':') };
  }
  return {
    username: header(request, 'x-clickhouse-user') ?? search.get('user') ?? 'default',
    password: header(request, 'x-clickhouse-key') ?? search.get('password') ?? '',
  };
}

function authenticate(request: IncomingMessage, search: URLSearchParams, accounts: Accounts): Role {
  const { username, password } = credentials(request, search);
  if (matches(accounts.writer, username, password)) return 'writer';
  if (matches(accounts.reader, username, password)) return 'reader';
  throw new ProtocolError(
    AUTHENTICATION_FAILED,
    `${username}: Authentication failed: password is incorrect, or there is no user with such name.`,
  );
}

export function readRequest(request: IncomingMessage, url: URL, accounts: Accounts): StoreRequest {
  const search = url.searchParams;
  const role = authenticate(request, search, accounts);
  if (search.has('session_id')) throw new ProtocolError(NOT_IMPLEMENTED, 'sessions (session_id) are not kept by the embedded store');
  if (header(request, 'content-type')?.startsWith('multipart/form-data') === true) {
    throw new ProtocolError(
      NOT_IMPLEMENTED,
      'multipart bodies (external tables, parameters in a form) are not spoken here: use param_NAME',
    );
  }
  const params: Record<string, string> = {};
  const settings: [string, string][] = [];
  for (const [name, value] of search) {
    if (name.startsWith('param_')) params[name.slice('param_'.length)] = value;
    else if (OF_THE_INTERFACE.has(name) || name.startsWith('http_')) continue;
    else if (/^\w+$/.test(name)) settings.push([name, value]);
    else throw new ProtocolError(UNKNOWN_SETTING, `Setting ${name} is neither a builtin setting nor started with the prefix 'SQL_'`);
  }
  return {
    role,
    query: search.get('query') ?? '',
    params,
    settings,
    database: search.get('database') ?? header(request, 'x-clickhouse-database') ?? '',
    format: header(request, 'x-clickhouse-format') ?? search.get('default_format') ?? 'TabSeparated',
    queryId: search.get('query_id') ?? undefined,
    gzip: search.get('enable_http_compression') === '1' && /\bgzip\b/.test(header(request, 'accept-encoding') ?? ''),
    blocks: search.get('compress') === '1',
    bodyInBlocks: search.get('decompress') === '1',
    clientRevision: Number(search.get('client_protocol_version') ?? 0),
    progress: search.get('send_progress_in_http_headers') === '1',
    method: request.method ?? 'GET',
  };
}
