import { randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import { ClickHouseError, ClickHouseLogLevel, createClient, type ClickHouseClient } from '@clickhouse/client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createLog } from '../../../shared/log.ts';
import { migrate } from '../../../shared/store/migrate.ts';
import { encodeNativeBlock } from '../../../shared/store/native-block.ts';
import { insertSamples } from '../../../shared/store/samples.ts';
import { readSeries } from '../../../shared/store/series.ts';
import { openStore } from '../../../shared/store/store.ts';
import { runUserSql } from '../../../shared/store/user-sql.ts';
import { startStoreServer, type StoreServer } from '../../../services/store/store-server.ts';
import { until } from '../../harness/until.ts';
import { columnsOf, temporaryDirectory } from '../../shared/store/fixture.ts';

const log = createLog({ level: 'silent', secrets: [] });
const { path, remove } = temporaryDirectory();
let server: StoreServer;
let writer: ClickHouseClient;
let reader: ClickHouseClient;

const clientOf = (username: string, password: string, more = {}) =>
  createClient({ url: server.url, username, password, database: 'leakline', log: { level: ClickHouseLogLevel.OFF }, ...more });

beforeAll(async () => {
  server = await startStoreServer({
    path,
    host: '127.0.0.1',
    port: 0,
    log,
    writer: { username: 'leakline', password: 'write-secret' },
    reader: { username: 'people', password: 'read-secret' },
    maxBodyBytes: 8 * 1024 * 1024,
  });
  writer = clientOf('leakline', 'write-secret');
  reader = clientOf('people', 'read-secret');
});

afterAll(async () => {
  await writer.close();
  await reader.close();
  await server.close();
  remove();
});

describe('the official client, unmodified', () => {
  it('pings', async () => {
    expect(await writer.ping()).toMatchObject({ success: true });
    expect(await writer.ping({ select: true })).toMatchObject({ success: true });
  });

  it('creates a table, inserts rows and reads them in every usual format', async () => {
    await writer.command({ query: 'CREATE TABLE items (id UInt64, name String, tags Array(String)) ENGINE = MergeTree ORDER BY id' });
    const rows = [
      { id: 1, name: "it's \\ a\n\nname", tags: ['a', 'b'] },
      { id: 2, name: 'größer', tags: [] },
    ];
    const { executed } = await writer.insert({ table: 'items', values: rows, format: 'JSONEachRow' });
    expect(executed).toBe(true);
    const result = await writer.query({ query: 'SELECT * FROM items ORDER BY id', format: 'JSONEachRow' });
    expect(await result.json()).toEqual(rows);
    const json = await (await writer.query({ query: 'SELECT count() AS n FROM items', format: 'JSON' })).json<{ n: number }>();
    expect(json.data).toEqual([{ n: 2 }]);
    const csv = await (await writer.query({ query: 'SELECT id FROM items ORDER BY id', format: 'CSV' })).text();
    expect(csv).toBe('1\n2\n');
  });

  it('streams rows out and in', async () => {
    await writer.command({ query: 'CREATE TABLE streamed (n UInt64) ENGINE = MergeTree ORDER BY n' });
    const source = Readable.from(
      (function* () {
        for (let n = 0; n < 20_000; n++) yield { n };
      })(),
    );
    await writer.insert({ table: 'streamed', values: source, format: 'JSONEachRow' });
    const result = await writer.query({ query: 'SELECT n FROM streamed ORDER BY n', format: 'JSONEachRow' });
    let seen = 0;
    for await (const rows of result.stream<{ n: number }>()) for (const row of rows) expect(row.json<{ n: number }>().n).toBe(seen++);
    expect(seen).toBe(20_000);
  });

  it('binds parameters of every kind it can format', async () => {
    const result = await writer.query({
      query: `SELECT {text:String} AS text, {count:UInt64} AS count, {list:Array(String)} AS list, {nothing:Nullable(String)} AS nothing,
        {map:Map(String, UInt8)} AS map, {when:DateTime64(3, 'UTC')} AS at, {flag:Bool} AS flag`,
      query_params: {
        text: "a'b\\c\td\ne",
        count: 42,
        list: ["x'y", 'z'],
        nothing: null,
        map: { one: 1 },
        when: new Date(Date.UTC(2026, 0, 2, 3, 4, 5, 678)),
        flag: true,
      },
      format: 'JSONEachRow',
    });
    expect(await result.json()).toEqual([
      { text: "a'b\\c\td\ne", count: 42, list: ["x'y", 'z'], nothing: null, map: { one: 1 }, at: '2026-01-02 03:04:05.678', flag: true },
    ]);
  });

  it('applies settings to one query only', async () => {
    const query = 'SELECT toUInt64(7) AS n';
    const quoted = await writer.query({
      query,
      format: 'JSONEachRow',
      clickhouse_settings: { output_format_json_quote_64bit_integers: 1 },
    });
    expect(await quoted.json()).toEqual([{ n: '7' }]);
    expect(await (await writer.query({ query, format: 'JSONEachRow' })).json()).toEqual([{ n: 7 }]);
  });

  it('compresses both ways', async () => {
    const client = clientOf('leakline', 'write-secret', { compression: { request: true, response: true } });
    await client.command({ query: 'CREATE TABLE squeezed (text String) ENGINE = MergeTree ORDER BY text' });
    const text = 'x'.repeat(100_000);
    await client.insert({ table: 'squeezed', values: [{ text }], format: 'JSONEachRow' });
    const rows = await (await client.query({ query: 'SELECT text FROM squeezed', format: 'JSONEachRow' })).json<{ text: string }>();
    expect(rows).toEqual([{ text }]);
    await client.close();
  });

  it('gets exceptions with code, type and query id', async () => {
    const failing = writer.query({ query: 'SELECT nothing_here FROM nowhere', format: 'JSON' });
    await expect(failing).rejects.toBeInstanceOf(ClickHouseError);
    await expect(failing).rejects.toMatchObject({ code: '60', type: 'UNKNOWN_TABLE' });
    await expect(writer.query({ query: 'SELEC 1' })).rejects.toMatchObject({ code: '62', type: 'SYNTAX_ERROR' });
    const { query_id: queryId } = await writer.query({ query: 'SELECT 1', query_id: 'mine' });
    expect(queryId).toBe('mine');
  });

  it('takes rows while the engine moves others, and answers while it does', async () => {
    await writer.command({ query: 'CREATE TABLE moved (n UInt64) ENGINE = MergeTree ORDER BY n' });
    const ended: string[] = [];
    const note = (what: string) => () => void ended.push(what);
    const move = () => writer.command({ query: 'INSERT INTO moved SELECT sleepEachRow(0.2) FROM numbers(20) SETTINGS max_block_size = 1' });
    const moving = [move(), move()].map((moved) => moved.then(note('moved')));
    const running = async () =>
      (await writer.query({ query: "SELECT 1 FROM system.processes WHERE query LIKE 'INSERT INTO moved%'", format: 'JSONEachRow' })).json();
    await until('one to run', running, (queries) => queries.length > 0, 30_000);
    const read = writer.query({ query: 'SELECT 1' }).then((answer) => answer.text());
    const insert = writer.insert({ table: 'moved', values: [{ n: 7 }], format: 'JSONEachRow' });
    await Promise.all([read.then(note('read')), insert.then(note('inserted'))]);
    expect(ended.sort()).toEqual(['inserted', 'read']);
    await Promise.all(moving);
  });

  it('inserts Native blocks that hold empty lines', async () => {
    await writer.command({ query: 'CREATE TABLE numbers_in (n UInt64) ENGINE = MergeTree ORDER BY n' });
    const values = Float64Array.from({ length: 70_000 }, (_, n) => n);
    const block = encodeNativeBlock([{ name: 'n', type: 'UInt64', values }], values.length);
    expect(block.body.includes('\n\n')).toBe(true);
    const { stream } = await writer.exec({
      query: 'INSERT INTO numbers_in (n) FORMAT Native',
      values: Readable.from([block.body], { objectMode: false }),
    });
    stream.resume();
    const answer = await (await writer.query({ query: 'SELECT count() AS c, sum(n) AS s FROM numbers_in', format: 'JSONEachRow' })).json();
    expect(answer).toEqual([{ c: 70_000, s: (70_000 * 69_999) / 2 }]);
  });
});

describe('users', () => {
  it('refuses a wrong password without saying which part was wrong', async () => {
    const stranger = clientOf('leakline', 'guess');
    await expect(stranger.query({ query: 'SELECT 1' })).rejects.toMatchObject({ code: '516' });
    await stranger.close();
    const response = await fetch(`${server.url}/?query=SELECT+1`);
    expect(response.status).toBe(403);
    expect(response.headers.get('x-clickhouse-exception-code')).toBe('516');
  });

  it.each([
    'CREATE TABLE x (a UInt8) ENGINE = Memory',
    'DROP TABLE items',
    'INSERT INTO items (id) VALUES (9)',
    "SELECT * FROM file('/etc/hostname', 'LineAsString')",
    "SELECT file('/etc/hostname')",
    "SELECT 1 INTO OUTFILE '/tmp/leakline-never'",
    "SELECT * FROM url('http://127.0.0.1:1/', 'CSV', 'a String')",
    'SELECT 1 SETTINGS max_execution_time = 1000',
    'SELECT * FROM system.processes',
    'KILL QUERY WHERE 1',
    'SELECT 1; SELECT 2',
  ])('lets readers only read: %s', async (query) => {
    await expect(reader.exec({ query })).rejects.toBeInstanceOf(ClickHouseError);
  });

  it('lets readers neither insert a body nor lift a cap', async () => {
    await expect(reader.insert({ table: 'items', values: [{ id: 5, name: '', tags: [] }], format: 'JSONEachRow' })).rejects.toMatchObject({
      code: '164',
    });
    await expect(reader.query({ query: 'SELECT 1', clickhouse_settings: { max_threads: 64 } })).rejects.toMatchObject({ code: '164' });
    // Dashboards send their own timeout with every query: it is taken, and the cap stays.
    const capped = await reader.query({
      query: "SELECT toUInt32(getSetting('max_execution_time')) AS seconds",
      format: 'JSONEachRow',
      clickhouse_settings: { max_execution_time: 3600 },
    });
    expect(await capped.json()).toEqual([{ seconds: 20 }]);
    await expect(reader.query({ query: 'SELECT 1', clickhouse_settings: { readonly: '0', max_memory_usage: '0' } })).rejects.toMatchObject({
      code: '164',
    });
    const rows = await (await reader.query({ query: 'SELECT count() AS n FROM items', format: 'JSONEachRow' })).json();
    expect(rows).toEqual([{ n: 2 }]);
  });

  it('refuses to listen off loopback without passwords', async () => {
    await expect(startStoreServer({ path, host: '0.0.0.0', port: 0, log })).rejects.toMatchObject({ code: 'LKL_ERR_CONFIG' });
  });
});

describe('plain HTTP', () => {
  const as = { 'X-ClickHouse-User': 'leakline', 'X-ClickHouse-Key': 'write-secret' };

  it('answers curl: query in the address, in the body, with a FORMAT clause', async () => {
    const basic = { Authorization: `Basic ${Buffer.from('leakline:write-secret').toString('base64')}` };
    expect(await (await fetch(`${server.url}/?query=SELECT+1`, { headers: basic })).text()).toBe('1\n');
    expect(await (await fetch(server.url, { method: 'POST', body: 'SELECT 2', headers: as })).text()).toBe('2\n');
    const json = await fetch(server.url, { method: 'POST', body: 'SELECT 3 AS n FORMAT JSONEachRow', headers: as });
    expect(await json.text()).toBe('{"n":3}\n');
    expect(JSON.parse(json.headers.get('x-clickhouse-summary') ?? '')).toMatchObject({ read_rows: '1' });
    expect(await (await fetch(`${server.url}/ping`)).text()).toBe('Ok.\n');
  });

  it('takes an INSERT whose data follows the statement in a gzip body', async () => {
    const body = gzipSync('INSERT INTO items FORMAT JSONEachRow\n{"id": 77, "name": "from curl", "tags": []}\n');
    const response = await fetch(server.url, { method: 'POST', body, headers: { ...as, 'Content-Encoding': 'gzip' } });
    expect(response.status).toBe(200);
    expect(await (await fetch(`${server.url}/?query=SELECT+name+FROM+items+WHERE+id=77`, { headers: as })).text()).toBe('from curl\n');
  });

  it('refuses what is too large after decompression, a zip bomb too, and serves on', async () => {
    const bomb = gzipSync(Buffer.alloc(64 * 1024 * 1024));
    const response = await fetch(`${server.url}/?query=INSERT+INTO+items+FORMAT+JSONEachRow`, {
      method: 'POST',
      body: bomb,
      headers: { ...as, 'Content-Encoding': 'gzip' },
    });
    expect(response.status).toBe(413);
    const garbled = await fetch(`${server.url}/?query=INSERT+INTO+items+FORMAT+Native`, {
      method: 'POST',
      body: randomBytes(500),
      headers: as,
    });
    expect(garbled.status).toBeGreaterThanOrEqual(400);
    expect(await (await fetch(`${server.url}/?query=SELECT+1`, { headers: as })).text()).toBe('1\n');
  });
});

describe('the store of the project', () => {
  it('works against the server as it does embedded', async () => {
    const store = await openStore({
      url: server.url,
      username: 'leakline',
      password: 'write-secret',
      readerUsername: 'people',
      readerPassword: 'read-secret',
    });
    await migrate(store);
    const time = Math.floor(Date.now() / 60_000) * 60_000 - 600_000;
    await insertSamples(
      store,
      columnsOf([
        { time, rss: 10 },
        { time: time + 10_000, rss: 30, heap_live: 7 },
      ]),
    );
    const [series] = await readSeries(store, { from: time, to: time + 60_000, blockMs: 30_000 });
    expect(series?.columns.rssMin).toEqual(Float64Array.of(10));
    expect(series?.columns.heapLiveLast).toEqual(Float64Array.of(7));
    const { body } = await runUserSql(store, 'SELECT count() AS n FROM samples', { format: 'JSONEachRow' });
    expect(body.toString()).toBe('{"n":2}\n');
    await expect(runUserSql(store, 'DROP TABLE raw_samples')).rejects.toMatchObject({ code: 'LKL_ERR_SQL_REFUSED' });
    await store.close();
  });

  it('says the store is away when nobody answers', async () => {
    const store = await openStore({ url: 'http://127.0.0.1:1' });
    await expect(store.ping()).rejects.toMatchObject({ code: 'LKL_ERR_STORE_UNAVAILABLE', retry: true });
    await store.close();
  });
});
