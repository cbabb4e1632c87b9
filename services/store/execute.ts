/** Runs one statement of a request on the embedded engine: people's through the guard, the services' as they are. */
import { createWriteStream } from 'node:fs';
import { open, readFile, rm } from 'node:fs/promises';
import { Transform, type Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createBrotliDecompress, createGunzip, createInflate } from 'node:zlib';
import { insertFromFile, type EmbeddedEngine, type Queue } from '../../shared/store/embedded-engine.ts';
import { QUERY_TIMEOUT_MS, WRITE_SETTINGS, userSettings, type UserLimits } from '../../shared/store/engine.ts';
import { quoteString } from '../../shared/store/parameters.ts';
import { guardUserSql } from '../../shared/store/user-sql.ts';
import { BlockDecompressor } from './block-compression.ts';
import { NOT_IMPLEMENTED, ProtocolError, READONLY, SYNTAX_ERROR, TOO_LARGE, UNKNOWN_DATABASE } from './exceptions.ts';
import { asRevision } from './native-revision.ts';
import type { StoreRequest } from './request.ts';

export interface Answer {
  readonly body: Uint8Array;
  readonly format: string;
  readonly rowsRead: number;
  readonly bytesRead: number;
  readonly elapsedSeconds: number;
}

export interface ExecuteOptions {
  readonly engine: EmbeddedEngine;
  readonly database: string;
  readonly userLimits: UserLimits;
  /** Largest body after decompression. */
  readonly maxBodyBytes: number;
}

/** A text of a statement in the body; data may be far larger. */
const MAX_STATEMENT_BYTES = 1024 * 1024;

const INSERT_WITH_DATA = /^\s*INSERT\s+INTO\s[^;]*?\sFORMAT\s+\w+\s*$/i;
const INSERT_AND_DATA = /^(\s*INSERT\s+INTO\s[^;]*?\sFORMAT\s+(?!VALUES\b)\w+)[ \t]*(?:\r?\n|\s*$)/i;
const READS = /^[\s(]*(SELECT|WITH|SHOW|DESCRIBE|DESC|EXISTS|EXPLAIN)\b/i;

/** What people may set for one query: how the answer looks, and caps below their own. */
const READER_SETTING =
  /^(output_format_\w+|date_time_output_format|format_csv_delimiter|extremes|limit|offset|max_result_rows|max_execution_time|readonly)$/;

function readerSettings(request: StoreRequest, limits: UserLimits): [string, string][] {
  const caps = new Map(userSettings(limits));
  const wanted: [string, string][] = [];
  for (const [name, value] of request.settings) {
    const cap = caps.get(name);
    // Dashboards send a timeout of their own with every query: ours is in force where theirs is longer.
    if (name === 'max_execution_time' && Number(value) > Number(cap)) continue;
    const allowed =
      READER_SETTING.test(name) &&
      (cap === undefined || !/^(max_\w+|limit)$/.test(name) || (Number(value) > 0 && Number(value) <= Number(cap)));
    if (!allowed) throw new ProtocolError(READONLY, `Cannot modify '${name}' setting in readonly mode.`);
    if (name === 'readonly') continue;
    caps.delete(name);
    wanted.push([name, value]);
  }
  return [...wanted, ...caps];
}

/** `readonly` last: nothing can be set after it. */
const readonlyLast = (settings: readonly (readonly [string, string])[]) =>
  [...settings].sort(([a], [b]) => Number(a === 'readonly') - Number(b === 'readonly'));

function decompressor(encoding: string | undefined): Transform[] {
  switch (encoding ?? 'identity') {
    case 'identity':
      return [];
    case 'gzip':
      return [createGunzip()];
    case 'deflate':
      return [createInflate()];
    case 'br':
      return [createBrotliDecompress()];
    default:
      throw new ProtocolError(NOT_IMPLEMENTED, `Content-Encoding ${String(encoding)} is not spoken here: use gzip`);
  }
}

function limitBytes(maxBytes: number): Transform {
  let seen = 0;
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      seen += chunk.length;
      if (seen > maxBytes) done(new ProtocolError(TOO_LARGE, `the body is larger than ${maxBytes} bytes: send it in parts`));
      else done(null, chunk);
    },
  });
}

interface Packing {
  readonly encoding: string | undefined;
  readonly inBlocks: boolean;
}

/** The body on disk: an insert of any size takes no memory here. */
async function saveBody(source: Readable, { encoding, inBlocks }: Packing, file: string, maxBytes: number): Promise<number> {
  const target = createWriteStream(file, { mode: 0o600 });
  await pipeline([source, ...decompressor(encoding), ...(inBlocks ? [new BlockDecompressor()] : []), limitBytes(maxBytes), target]);
  return target.bytesWritten;
}

/** Cuts `INSERT … FORMAT X` off the front of a file that holds the data behind it. */
async function splitInsert(file: string, rest: string): Promise<string | undefined> {
  const handle = await open(file);
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(64 * 1024), 0, 64 * 1024, 0);
    const match = INSERT_AND_DATA.exec(buffer.toString('latin1', 0, bytesRead));
    if (match === null) return undefined;
    await pipeline(handle.createReadStream({ start: match[0].length, autoClose: false }), createWriteStream(rest, { mode: 0o600 }));
    return Buffer.from(match[1] ?? '', 'latin1').toString('utf8');
  } finally {
    await handle.close();
  }
}

/** Undoes the escaping of a plain value; chDB's binding escapes it again. */
const unescapeParam = (value: string): string | null =>
  value === '\\N'
    ? null
    : value.replace(
        /\\(.)/gs,
        (_, character: string) => ({ n: '\n', t: '\t', r: '\r', '0': '\0', b: '\b', f: '\f' })[character] ?? character,
      );

/** Arrays and tuples come with quotes and escapes of their own, which chDB's binding would escape once more: cast here. */
function bindComposites(sql: string, params: Readonly<Record<string, string>>): string {
  return sql.replace(/\{(\w+):((?:Array|Tuple)\([^{}]+\))\}/g, (place, name: string, type: string) => {
    const value = params[name];
    return value === undefined ? place : `CAST(${quoteString(value)} AS ${type})`;
  });
}

/** Whatever the statement: by GET, as ClickHouse has it, nothing is changed. */
function refuseByGet(request: StoreRequest, sql: string): void {
  if (request.method === 'POST' || READS.test(sql)) return;
  throw new ProtocolError(
    READONLY,
    'Cannot execute query in readonly mode. For queries over HTTP, method GET implies readonly. You should use method POST for modifying queries.',
  );
}

async function run(options: ExecuteOptions, request: StoreRequest, text: string, queue: Queue): Promise<Answer> {
  const { engine, database, userLimits } = options;
  const params = Object.fromEntries(Object.entries(request.params).map(([name, value]) => [name, unescapeParam(value)]));
  const sql = bindComposites(text, request.params);
  if (sql.trim() === '') throw new ProtocolError(SYNTAX_ERROR, 'Empty query');
  refuseByGet(request, sql);
  const ask = async (asked: string, format: string, settings: readonly (readonly [string, string])[]): Promise<Answer> => {
    const isRevised = request.clientRevision > 0 && format === 'Native';
    const result = await engine.execute({ sql: asked, format, settings: readonlyLast(settings), params, queue });
    const plain = result.bytes();
    const body = isRevised ? asRevision(Buffer.from(plain.buffer, plain.byteOffset, plain.length), request.clientRevision) : plain;
    return { body, format, rowsRead: result.rowsRead, bytesRead: result.bytesRead, elapsedSeconds: result.elapsed };
  };
  if (request.role === 'reader') {
    const settings = readerSettings(request, userLimits);
    const explain = async (explained: string) =>
      (await engine.execute({ sql: explained, format: 'TSVRaw', settings, params, queue })).text();
    const guarded = await guardUserSql(sql, database, explain);
    return ask(guarded.text, guarded.format ?? request.format, settings);
  }
  const base = READS.test(sql) ? [['max_execution_time', String(QUERY_TIMEOUT_MS / 1000)] as const] : WRITE_SETTINGS;
  const format = /\bFORMAT\s+(\w+)\s*;?\s*$/i.exec(sql)?.[1] ?? request.format;
  return ask(sql, format, [...base, ...request.settings]);
}

const NOTHING: Answer = { body: new Uint8Array(0), format: 'TabSeparated', rowsRead: 0, bytesRead: 0, elapsedSeconds: 0 };

/** `source` is the body of the request. */
export async function execute(
  options: ExecuteOptions,
  request: StoreRequest,
  source: Readable,
  encoding: string | undefined,
): Promise<Answer> {
  if (request.database !== '' && request.database !== 'default' && request.database !== options.database) {
    throw new ProtocolError(
      UNKNOWN_DATABASE,
      `Database ${request.database} does not exist: the embedded store has ${options.database} alone`,
    );
  }
  const [whole, data] = [options.engine.bodyFile(), options.engine.bodyFile()];
  try {
    const size = await saveBody(source, { encoding, inBlocks: request.bodyInBlocks }, whole, options.maxBodyBytes);
    const insertFrom = async (statement: string, file: string): Promise<Answer> => {
      if (request.clientRevision > 0 && /\sNative\s*$/i.test(statement)) {
        throw new ProtocolError(
          NOT_IMPLEMENTED,
          'Native inserts with client_protocol_version are not spoken here: leave it out, or use another format',
        );
      }
      if (request.role === 'reader') throw new ProtocolError(READONLY, 'Cannot execute query in readonly mode.');
      return run(options, request, insertFromFile(statement, file), 'inserts');
    };
    if (INSERT_WITH_DATA.test(request.query)) return size === 0 ? NOTHING : await insertFrom(request.query, whole);
    const statement = request.query === '' && size > 0 ? await splitInsert(whole, data) : undefined;
    if (statement !== undefined) return await insertFrom(statement, data);
    if (size > MAX_STATEMENT_BYTES) throw new ProtocolError(TOO_LARGE, `a statement may have ${MAX_STATEMENT_BYTES} bytes`);
    const text = [request.query, await readFile(whole, 'utf8')].filter((part) => part !== '').join('\n');
    return await run(options, request, text, request.role === 'reader' || READS.test(text) ? 'reads' : 'commands');
  } finally {
    await Promise.all([rm(whole, { force: true }), rm(data, { force: true })]);
  }
}
