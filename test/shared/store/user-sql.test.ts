import { existsSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { migrate } from '../../../shared/store/migrate.ts';
import { insertSamples } from '../../../shared/store/samples.ts';
import { scanSql } from '../../../shared/store/sql-scan.ts';
import { openStore, type Store } from '../../../shared/store/store.ts';
import { queryUserRows, runUserSql } from '../../../shared/store/user-sql.ts';
import { columnsOf, temporaryDirectory } from './fixture.ts';

const { path, remove } = temporaryDirectory();
let store: Store;
let asked = 0;
const trap = createServer((_, response) => {
  asked++;
  response.end('1\n');
});
const now = Math.floor(Date.now() / 1000) * 1000;

beforeAll(async () => {
  store = await openStore({ path, userLimits: { timeoutMs: 2000, maxRows: 1000, maxMemoryBytes: 200 * 1024 ** 2 } });
  await migrate(store);
  await insertSamples(
    store,
    columnsOf([
      { time: now - 1000, rss: 1 },
      { time: now, rss: 2 },
    ]),
  );
  await new Promise<void>((listening) => trap.listen(0, '127.0.0.1', listening));
});
afterAll(async () => {
  trap.close();
  await store.close();
  remove();
});

const text = async (sql: string, format = 'TSV') => (await runUserSql(store, sql, { format })).body.toString();
const outfile = `${path}-stolen.txt`;

describe("people's SQL", () => {
  it.each([
    ['SELECT count() FROM samples', '2\n'],
    ['select 1;', '1\n'],
    ['-- a comment; with a semicolon\nSELECT 1 /* and; another */', '1\n'],
    ["WITH x AS (SELECT max(rss) AS m FROM samples) SELECT m, 'a;b', 'it''s' FROM x", "2\ta;b\tit\\'s\n"],
    ['(SELECT 1) UNION ALL (SELECT 1)', '1\n1\n'],
    ['SELECT 1 AS n FORMAT JSONEachRow', '{"n":1}\n'],
    ['SELECT sum(number) FROM numbers(10)', '45\n'],
    ['SELECT 1 AS "into"', '1\n'],
    ['EXISTS TABLE samples', '1\n'],
  ])('answers %s', async (sql, expected) => {
    expect(await text(sql)).toBe(expected);
  });

  it('shows tables and describes them', async () => {
    expect(await text('SHOW TABLES')).toContain('process_lifetimes\n');
    expect(await text('DESCRIBE trends')).toContain('slope_bytes_per_hour');
    expect(await text('EXPLAIN SELECT count() FROM samples')).toContain('ReadFromMergeTree');
  });

  it('cuts at the most rows there may be', async () => {
    expect((await text('SELECT number FROM numbers(50000)')).trim().split('\n')).toHaveLength(1000);
  });

  it.each(['JSONCompact', 'TSV', 'Parquet', 'PrettyCompact'])('says in %s that an answer was cut, and only then', async (format) => {
    expect((await runUserSql(store, 'SELECT number FROM numbers(1001)', { format })).cutAtRows).toBe(1000);
    expect((await runUserSql(store, 'SELECT number FROM numbers(999)', { format })).cutAtRows).toBeUndefined();
    expect((await runUserSql(store, 'SELECT count() FROM numbers(5000)', { format })).cutAtRows).toBeUndefined();
  });

  it.each([
    ['UNION ALL', 'SELECT number FROM numbers(600) UNION ALL SELECT number FROM numbers(600)', 1000],
    ['UNION DISTINCT', '(SELECT number FROM numbers(900)) UNION DISTINCT (SELECT number + 900 FROM numbers(900))', 1000],
    ['INTERSECT', 'SELECT number FROM numbers(5000) INTERSECT SELECT number + 4990 FROM numbers(50)', 10],
    ['EXCEPT', 'WITH all AS (SELECT number FROM numbers(5000)) SELECT number FROM all EXCEPT SELECT number FROM numbers(4995)', 5],
  ])('caps the answer of a %s, not its members', async (_, sql, rows) => {
    expect((await text(sql)).trim().split('\n')).toHaveLength(rows);
  });

  const attacks = [
    // Writing.
    "INSERT INTO raw_samples (service) VALUES ('x')",
    'DROP TABLE raw_samples',
    'ALTER TABLE raw_samples DELETE WHERE 1',
    'TRUNCATE TABLE raw_samples',
    'CREATE TABLE x (a UInt8) ENGINE = Memory',
    'CREATE FUNCTION f AS (x) -> x',
    'RENAME TABLE samples TO others',
    'OPTIMIZE TABLE raw_samples FINAL',
    'SELECT 1; DROP TABLE raw_samples',
    'SELECT 1;;SELECT 2',
    'SELECT 1 PARALLEL WITH DROP TABLE raw_samples',
    // Files.
    `SELECT 1 INTO OUTFILE '${outfile}'`,
    `SELECT 1 /**/ INTO/**/OUTFILE '${outfile}' TRUNCATE FORMAT CSV`,
    `EXPLAIN SELECT 1 INTO OUTFILE '${outfile}'`,
    `EXPLAIN QUERY TREE SELECT 1 INTO OUTFILE '${outfile}'`,
    `INSERT INTO FUNCTION file('${outfile}') SELECT 1`,
    "SELECT * FROM file('/etc/hostname', 'LineAsString')",
    "SELECT file('/etc/hostname')",
    "SELECT `file`('/etc/hostname')",
    'SELECT "file"(\'/etc/hostname\')',
    "SELECT * APPLY(file) FROM (SELECT '/etc/hostname' AS a)",
    "SELECT arrayMap(x -> file(x), ['/etc/hostname'])",
    "WITH (SELECT file('/etc/hostname')) AS a SELECT a",
    "SELECT count() FROM samples WHERE service = file('/etc/hostname')",
    "EXPLAIN SELECT file('/etc/hostname')",
    "DESCRIBE file('/etc/hostname', 'LineAsString')",
    "DESCRIBE (SELECT * FROM file('/etc/hostname', 'LineAsString'))",
    "SELECT * FROM '/etc/hostname'",
    'SELECT * FROM `/etc/hostname`',
    "SELECT * FROM sqlite('/tmp/x.db', 't')",
    "SELECT * FROM view(SELECT * FROM file('/etc/hostname', 'LineAsString'))",
    "SELECT * FROM merge('system', 'processes')",
    'SELECT * FROM loop(system.processes)',
    "SELECT * FROM executable('id', 'TSV', 'a String')",
    "SELECT catboostEvaluate('/etc/hostname', 1)",
    "BACKUP TABLE raw_samples TO File('/tmp/leakline-backup')",
    "RESTORE TABLE raw_samples FROM File('/tmp/leakline-backup')",
    // Settings and the connection.
    'SET readonly = 0',
    'SELECT 1 SETTINGS readonly = 0',
    'SELECT 1 SETTINGS max_execution_time = 100000',
    'SELECT count() FROM (SELECT number FROM numbers(10) SETTINGS max_memory_usage = 0)',
    'USE system',
    'KILL QUERY WHERE 1',
    'SYSTEM SHUTDOWN',
    'EXECUTE AS default SELECT 1',
    "SELECT dictGet('x', 'y', 1)",
    // What is nobody's business.
    'SELECT * FROM system.processes',
    'SELECT * FROM system.settings',
    'SELECT * FROM system.query_log',
    'SELECT (SELECT count() FROM system.parts)',
    'SELECT * FROM samples WHERE service IN (SELECT query FROM system.processes)',
    'SELECT * FROM samples WHERE service IN system.processes',
    'SELECT * FROM information_schema.tables',
    'SHOW PROCESSLIST',
    "SHOW SETTINGS LIKE '%'",
    'SHOW GRANTS',
    "SELECT getServerSetting('path')",
    // Text that two readers could read in two ways.
    'SELECT ‘a’; DROP TABLE raw_samples',
    'SELECT $tag$ ; $tag$',
    'SELECT 1 /* outer /* inner */ */',
    "SELECT 'open",
    '',
    ';',
  ];

  it.each(attacks)('refuses %s', async (sql) => {
    await expect(runUserSql(store, sql)).rejects.toMatchObject({ code: 'LKL_ERR_SQL_REFUSED' });
    expect(existsSync(outfile)).toBe(false);
  });

  it('checks a statement longer than the rows it may return to its end', async () => {
    const columns = Array.from({ length: 2000 }, (_, column) => `${column} AS c${column}`).join(', ');
    await expect(runUserSql(store, `SELECT ${columns} FROM system.processes`)).rejects.toMatchObject({ code: 'LKL_ERR_SQL_REFUSED' });
    await expect(runUserSql(store, `SELECT ${columns}, file('/etc/hostname')`)).rejects.toMatchObject({ code: 'LKL_ERR_SQL_REFUSED' });
    expect(await text(`SELECT ${columns}`)).toContain('1999');
  });

  it('reaches no network', async () => {
    const { port } = trap.address() as AddressInfo;
    for (const call of [
      `url('http://127.0.0.1:${port}/', 'CSV', 'a String')`,
      `s3('http://127.0.0.1:${port}/bucket/key', 'CSV', 'a String')`,
      `remote('127.0.0.1:${port}', 'system.one')`,
      `mysql('127.0.0.1:${port}', 'a', 'b', 'c', 'd')`,
      `deltaLake('http://127.0.0.1:${port}/bucket/key')`,
    ]) {
      await expect(runUserSql(store, `SELECT * FROM ${call}`)).rejects.toMatchObject({ code: 'LKL_ERR_SQL_REFUSED' });
      await expect(runUserSql(store, `DESCRIBE TABLE ${call}`)).rejects.toMatchObject({ code: 'LKL_ERR_SQL_REFUSED' });
    }
    expect(asked).toBe(0);
  });

  it('stops what takes too long or too much, and says what to do', async () => {
    await expect(runUserSql(store, 'SELECT sum(sipHash64(number)) FROM numbers(100000000000)')).rejects.toMatchObject({
      code: 'LKL_ERR_SQL_REFUSED',
      message: expect.stringContaining('took too long') as string,
    });
    await expect(runUserSql(store, "SELECT length(groupArray(repeat('x', 100000))) FROM numbers(10000)")).rejects.toMatchObject({
      code: 'LKL_ERR_SQL_REFUSED',
      message: expect.stringContaining('memory') as string,
    });
  });

  it('leaves the writer as it was, while a long query runs too', async () => {
    const long = runUserSql(store, 'SELECT sum(sipHash64(number)) FROM numbers(100000000000)').catch((error: unknown) => error);
    const started = performance.now();
    await insertSamples(store, columnsOf([{ time: now + 1000, rss: 3 }]));
    const insertMs = performance.now() - started;
    expect(await store.query('SELECT count() AS rows FROM samples')).toEqual([{ rows: 3 }]);
    await long;
    // The long query takes its two seconds; the insert did not wait for it.
    expect(insertMs).toBeLessThan(1500);
    await store.command('CREATE TABLE still_writes (a UInt8) ENGINE = Memory');
    await store.command('DROP TABLE still_writes');
  });

  it('comes decoded for pages', async () => {
    expect(await queryUserRows(store, "SELECT toUInt64(1) AS a, 'x' AS b FORMAT CSV")).toEqual({
      columns: [
        { name: 'a', type: 'UInt64' },
        { name: 'b', type: 'String' },
      ],
      rows: [[1, 'x']],
    });
  });
});

describe('scanSql', () => {
  it('never finds a sign within quotes', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), fc.constantFrom("'", '"', '`'), (inner, quote) => {
        const quoted = quote + inner.replaceAll('\\', '\\\\').replaceAll(quote, `\\${quote}`) + quote;
        const tokens = scanSql(`SELECT ${quoted} FROM x;`);
        expect(tokens.map(({ kind }) => kind)).toEqual(['word', 'quoted', 'word', 'word', 'sign']);
      }),
    );
  });
});
