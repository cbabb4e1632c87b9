/** ClickHouse's HTTP interface as curl, the official client, JDBC and clickhouse-go use it; the services' own use is in store-server.test.ts. */
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { promisify } from 'node:util';
import { ClickHouseLogLevel, createClient, type ClickHouseClient } from '@clickhouse/client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createLog } from '../../../shared/log.ts';
import { BlockDecompressor, compressBlocks } from '../../../services/store/block-compression.ts';
import { cityHash128 } from '../../../services/store/city-hash.ts';
import { startStoreServer, type StoreServer } from '../../../services/store/store-server.ts';
import { temporaryDirectory } from '../../shared/store/fixture.ts';

const run = promisify(execFile);
const { path, remove } = temporaryDirectory();
const writer = { username: 'leakline', password: 'write-secret' };
const reader = { username: 'people', password: 'read-secret' };
let server: StoreServer;
let client: ClickHouseClient;

beforeAll(async () => {
  server = await startStoreServer({
    path,
    host: '127.0.0.1',
    port: 0,
    log: createLog({ level: 'silent', secrets: [] }),
    writer,
    reader,
  });
  client = createClient({ url: server.url, ...writer, database: 'leakline', log: { level: ClickHouseLogLevel.OFF } });
  await client.command({ query: 'CREATE TABLE events (id UInt32, name String) ENGINE = MergeTree ORDER BY id' });
  await client.insert({ table: 'events', values: [{ id: 1, name: 'one' }], format: 'JSONEachRow' });
});

afterAll(async () => {
  await client.close();
  await server.close();
  remove();
});

const curl = async (address: string, ...options: string[]): Promise<string> =>
  (await run('curl', ['--silent', '--show-error', ...options, server.url + address])).stdout;

const as = ({ username, password }: typeof writer) => ['--user', `${username}:${password}`];

const post = (query: string, body: Buffer | string, more = '') =>
  fetch(`${server.url}/?query=${encodeURIComponent(query)}${more}`, {
    method: 'POST',
    body,
    headers: { 'X-ClickHouse-User': writer.username, 'X-ClickHouse-Key': writer.password },
  });

async function inflateBlocks(blocks: Buffer): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of Readable.from([blocks]).pipe(new BlockDecompressor())) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

describe('curl', () => {
  it('asks whether it is there', async () => {
    expect(await curl('/ping')).toBe('Ok.\n');
    expect(await curl('/replicas_status')).toBe('Ok.\n');
    expect(await curl('/')).toBe('Ok.\n');
  });

  it('names its user in every way there is', async () => {
    const asked = '/?query=SELECT+1';
    expect(await curl(asked, ...as(reader))).toBe('1\n');
    expect(await curl(asked, '-H', 'X-ClickHouse-User: people', '-H', 'X-ClickHouse-Key: read-secret')).toBe('1\n');
    expect(await curl(`${asked}&user=people&password=read-secret`)).toBe('1\n');
    expect(await curl(`${asked}&user=people&password=guess`)).toMatch(/^Code: 516\. DB::Exception: .*\(AUTHENTICATION_FAILED\)/);
  });

  it('puts the query into the address, the body, or both', async () => {
    expect(await curl('/', ...as(reader), '--data-binary', 'SELECT 2')).toBe('2\n');
    expect(await curl('/?query=SELECT+number', ...as(reader), '--data-binary', 'FROM numbers(2)')).toBe('0\n1\n');
  });

  it('chooses the format by default_format, by header, by FORMAT, and is told which', async () => {
    expect(await curl('/?query=SELECT+1+AS+a&default_format=JSONEachRow', ...as(reader))).toBe('{"a":1}\n');
    expect(await curl('/?query=SELECT+1+AS+a', ...as(reader), '-H', 'X-ClickHouse-Format: CSVWithNames')).toBe('"a"\n1\n');
    const answer = await curl('/?query=SELECT+1+AS+a+FORMAT+JSONEachRow&query_id=mine', ...as(reader), '--include');
    expect(answer).toMatch(/x-clickhouse-format: JSONEachRow/i);
    expect(answer).toMatch(/x-clickhouse-query-id: mine/i);
    expect(answer).toMatch(/x-clickhouse-timezone: UTC/i);
    expect(answer).toMatch(/x-clickhouse-summary: \{"read_rows":"1"/i);
  });

  it('gives parameters, settings and a database', async () => {
    const query = encodeURIComponent('SELECT {who:String}, toUInt64(7) FORMAT JSONCompactEachRow');
    expect(await curl(`/?query=${query}&param_who=it%27s&output_format_json_quote_64bit_integers=1`, ...as(reader))).toBe(
      '["it\'s", "7"]\n',
    );
    expect(await curl('/?query=SELECT+1&max_threads=9', ...as(reader))).toMatch(/^Code: 164\. .*max_threads/);
    expect(await curl('/?query=SELECT+1&no_such_setting=9', ...as(writer))).toMatch(/^Code: 115\. .*\(UNKNOWN_SETTING\)/);
    expect(await curl('/?query=SELECT+currentDatabase()&database=leakline', ...as(writer))).toBe('leakline\n');
    expect(await curl('/?query=SELECT+1&database=elsewhere', ...as(reader))).toMatch(/^Code: 81\. .*\(UNKNOWN_DATABASE\)/);
  });

  it('inserts a file behind the statement, plain and in gzip', async () => {
    const file = join(path, 'rows.csv');
    writeFileSync(file, '10,"ten"\n11,"eleven"\n');
    await run('gzip', ['--keep', file]);
    const address = '/?query=INSERT+INTO+events+FORMAT+CSV';
    expect(await curl(address, ...as(writer), '--data-binary', `@${file}`)).toBe('');
    expect(await curl(address, ...as(writer), '-H', 'Content-Encoding: gzip', '--data-binary', `@${file}.gz`)).toBe('');
    expect(await curl('/?query=SELECT+count(),sum(id)+FROM+events+WHERE+id+IN+(10,11)', ...as(writer))).toBe('4\t42\n');
  });

  it('changes nothing by GET, nor as a reader', async () => {
    const drop = '/?query=DROP+TABLE+events';
    expect(await curl(drop, ...as(writer))).toMatch(/^Code: 164\. .*method GET implies readonly/);
    expect(await curl(drop, ...as(reader), '--request', 'POST')).toMatch(/^Code: 164\./);
    expect(await curl('/?query=EXISTS+events', ...as(writer))).toBe('1\n');
  });

  it('decompresses an answer it asked to be compressed', async () => {
    const address = '/?query=SELECT+number+FROM+numbers(5000)&enable_http_compression=1';
    expect((await curl(address, ...as(reader), '--compressed')).split('\n')).toHaveLength(5001);
  });

  it('gets the code of an exception in the header', async () => {
    const answer = await curl('/?query=SELECT+x+FROM+nowhere', ...as(reader), '--include');
    expect(answer).toMatch(/^HTTP\/1\.1 404/);
    expect(answer).toMatch(/x-clickhouse-exception-code: 60/i);
  });

  it('sees an error behind many rows as an error, not as rows', async () => {
    const query = encodeURIComponent("SELECT throwIf(number = 3000000, 'far down') FROM numbers(4000000)");
    const answer = await curl(`/?query=${query}&wait_end_of_query=0`, ...as(writer), '--include');
    expect(answer).toMatch(/^HTTP\/1\.1 500/);
    expect(answer).toMatch(/\r\n\r\nCode: 395\. .*far down/);
  });

  it('is refused sessions and multipart bodies by name', async () => {
    expect(await curl('/?query=SELECT+1&session_id=a', ...as(reader))).toMatch(/^Code: 48\. .*session_id/);
    expect(await curl('/?query=SELECT+1', ...as(reader), '--form', 'table=@/etc/hostname')).toMatch(/^Code: 48\. .*multipart/);
  });
});

describe('the official client', () => {
  it('inserts CSV from a stream', async () => {
    const values = Readable.from(['20,"twenty"\n', '21,"twenty-one"\n'], { objectMode: false });
    await client.insert({ table: 'events', values, format: 'CSV' });
    const result = await client.query({ query: 'SELECT name FROM events WHERE id >= 20 ORDER BY id', format: 'JSONCompactEachRow' });
    expect(await result.json()).toEqual([['twenty'], ['twenty-one']]);
  });

  it('runs a statement by exec and reads its stream', async () => {
    const { stream } = await client.exec({ query: 'SELECT id FROM events WHERE id = 1 FORMAT CSV' });
    const chunks: Buffer[] = [];
    for await (const chunk of stream) chunks.push(chunk as Buffer);
    expect(Buffer.concat(chunks).toString()).toBe('1\n');
  });

  it('gives up a query and asks the next', async () => {
    const abort = new AbortController();
    const slow = client.query({ query: 'SELECT sleep(1)', abort_signal: abort.signal });
    abort.abort();
    await expect(slow).rejects.toThrow(/abort/i);
    expect(await (await client.query({ query: 'SELECT 1 AS a', format: 'JSONEachRow' })).json()).toEqual([{ a: 1 }]);
  });

  it('takes progress headers and a session as the store has them', async () => {
    const { response_headers: headers } = await client.query({
      query: 'SELECT number FROM numbers(5)',
      clickhouse_settings: { send_progress_in_http_headers: 1, wait_end_of_query: 1 },
    });
    expect(JSON.parse(String(headers['x-clickhouse-progress']))).toMatchObject({ read_rows: '5' });
    await expect(client.query({ query: 'SELECT 1', session_id: 'a' })).rejects.toMatchObject({ code: '48', type: 'NOT_IMPLEMENTED' });
  });
});

describe('compressed blocks', () => {
  it('carry the checksum the engine itself writes, at every length', async () => {
    const lengths = [1, 2, 3, 7, 8, 15, 16, 40, 100, 118, 119, 120, 135, 136, 150, 200, 263, 264, 300, 1000, 70_000];
    for (const [index, length] of lengths.entries()) {
      const table = `frames_${index}`;
      // No compression, so that the length of a block follows from the text.
      await client.command({
        query: `CREATE TABLE ${table} (s FixedString(${length})) ENGINE = MergeTree ORDER BY tuple()
        SETTINGS min_bytes_for_wide_part = 0, min_bytes_for_full_part_storage = 0, default_compression_codec = 'NONE', ratio_of_defaults_for_sparse_serialization = 1`,
        clickhouse_settings: { allow_suspicious_fixed_string_types: 1 },
      });
      await client.command({ query: `INSERT INTO ${table} SELECT randomFixedString(${length})` });
      const [found] = await (
        await client.query({ query: `SELECT path FROM system.parts WHERE table = '${table}' AND active`, format: 'JSONEachRow' })
      ).json<{ path: string }>();
      const folder = found!.path;
      const file = readdirSync(folder).find((name) => name === 's.bin') ?? 'data.bin';
      const frame = readFileSync(join(folder, file));
      const block = frame.subarray(16, 16 + frame.readUInt32LE(17));
      expect({ length, hash: cityHash128(block).toString('hex') }).toEqual({ length, hash: frame.toString('hex', 0, 16) });
    }
  });

  it('come and go as JDBC and clickhouse-go want them', async () => {
    const text = Array.from({ length: 50_000 }, (_, row) => `${1000 + row}\tname ${row}\n`).join('');
    const body = compressBlocks(Buffer.from(text));
    expect(body.length).toBeLessThan(text.length);
    expect((await post('INSERT INTO events FORMAT TabSeparated', body, '&decompress=1')).status).toBe(200);
    const answer = await post('SELECT id, name FROM events WHERE id >= 1000 ORDER BY id', '', '&compress=1');
    expect((await inflateBlocks(Buffer.from(await answer.arrayBuffer()))).toString()).toBe(text);
  });

  it.each([
    ['damaged', (blocks: Buffer) => (blocks.writeUInt8(blocks[40]! ^ 1, 40), blocks), '40'],
    ['cut', (blocks: Buffer) => blocks.subarray(0, blocks.length - 3), '33'],
    ['of another method', (blocks: Buffer) => (blocks.writeUInt8(0x90, 16), cityHash128(blocks.subarray(16)).copy(blocks), blocks), '48'],
    ['said to be huge', (blocks: Buffer) => (blocks.writeUInt32LE(0xffffffff, 21), blocks), '271'],
  ])('are refused when %s', async (_what, spoil, code) => {
    const body = spoil(compressBlocks(Buffer.from(`1\t${randomBytes(50).toString('hex')}\n`)));
    const answer = await post('INSERT INTO events FORMAT TabSeparated', body, '&decompress=1');
    expect(answer.headers.get('x-clickhouse-exception-code')).toBe(code);
    expect(answer.status).toBeGreaterThanOrEqual(400);
  });
});

describe('Native for a client with a revision', () => {
  const native = async (query: string, more = '') =>
    Buffer.from(await (await post(query, '', `&default_format=Native${more}`)).arrayBuffer());

  it('has a header before each block and a byte behind each type', async () => {
    const plain = await native("SELECT toUInt8(1) AS a, 'xy' AS b");
    const revised = await native("SELECT toUInt8(1) AS a, 'xy' AS b", '&client_protocol_version=54460');
    expect(plain.toString('hex')).toBe('020101610555496e743801016206537472696e67027879');
    expect(revised.toString('hex')).toBe('010002ffffffff00020101610555496e74380001016206537472696e6700027879');
  });

  it('walks every type of the views', async () => {
    const query = `SELECT toLowCardinality('a') AS low, [toLowCardinality('b')] AS lows, map('k', toUInt8(1)) AS labels, toNullable(1) AS some,
      NULL AS none, [(1, 'x'), (2, 'y')] AS pairs, toDateTime64(0, 3, 'UTC') AS t, toDecimal64(1, 9) AS d, CAST('a' AS Enum8('a' = 1)) AS e,
      CAST((1, 'z'), 'Tuple(n UInt8, s String)') AS named, toFixedString('abc', 3) AS f, [[1], []] AS nested, generateUUIDv4() AS u,
      emptyArrayString()::Array(LowCardinality(String)) AS no_lows, toLowCardinality(toNullable('n')) AS low_null, arrayJoin([1, 2, 3]) AS row`;
    const plain = await native(query);
    const revised = await native(query, '&client_protocol_version=54460');
    expect(revised.length).toBe(plain.length + 8 + 16);
  });

  it('is refused for a type it cannot walk, and for inserts', async () => {
    const states = await post('SELECT uniqState(1)', '', '&default_format=Native&client_protocol_version=54460');
    expect(states.headers.get('x-clickhouse-exception-code')).toBe('48');
    const insert = await post('INSERT INTO events FORMAT Native', 'x', '&client_protocol_version=54460');
    expect(insert.headers.get('x-clickhouse-exception-code')).toBe('48');
  });
});
