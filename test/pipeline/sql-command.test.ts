/** `leakline sql` as people run it, against a pipeline that goes on storing: every question of docs/sql.md, and every misuse. */
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { migrate } from '../../shared/store/migrate.ts';
import { openStore } from '../../shared/store/store.ts';
import { encodeBatch } from '../../shared/wire.ts';
import { freePort, type LeaklineProcess, runLeakline, startService } from '../harness/leakline-process.ts';
import { sampleBatch } from '../harness/sample-batch.ts';
import { fillHistory, QUESTIONS } from '../shared/store/questions.ts';

const MAX_ROWS = 1000;
const SECRET = 'nobody-may-read-this';
const folder = mkdtempSync(join(tmpdir(), 'leakline-sql-command-'));
const secretFile = join(folder, 'secret.txt');
const outfile = join(folder, 'stolen.txt');
const trap = createServer((_, response) => {
  asked++;
  response.end('1\n');
});
let asked = 0;
let url = '';
let up: LeaklineProcess;
let sentRows = 0;
let seq = 0;

const sql = (query: string, format = 'TSV') => runLeakline(['sql', query, '--url', url, '--format', format], folder);

/** The intake answers once the rows are stored. */
async function store(): Promise<void> {
  const batch = sampleBatch({ agent: 'live', seq: seq++, time: Date.now() });
  const answer = await fetch(`${url}/v1/samples`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: encodeBatch(batch),
  });
  expect(answer.status, await answer.text()).toBeLessThan(300);
  sentRows += batch.samples.time.length;
}

beforeAll(async () => {
  const history = await openStore({ path: join(folder, 'data', 'store') });
  await migrate(history);
  await fillHistory(history);
  await history.close();
  writeFileSync(secretFile, SECRET);
  await new Promise<void>((listening) => trap.listen(0, '127.0.0.1', listening));
  ({ process: up, url } = await startService({
    args: ['up', '--data', join(folder, 'data')],
    cwd: folder,
    env: {
      // The history has its judgements already: the next evaluation is on New Year's Day.
      LEAKLINE_DETECTOR_SCHEDULE: '0 0 0 1 1 *',
      LEAKLINE_STORE_SQL_TIMEOUT: '2s',
      LEAKLINE_STORE_SQL_MAX_ROWS: String(MAX_ROWS),
      LEAKLINE_STORE_SQL_MAX_MEMORY: '200MiB',
    },
  }));
}, 300_000);

afterAll(async () => {
  await up.stop();
  trap.close();
  rmSync(folder, { recursive: true, force: true });
});

it.each(QUESTIONS)('answers: $question', { timeout: 120_000 }, async ({ sql: question }) => {
  const [{ code, stdout, stderr }] = await Promise.all([sql(question, 'JSONCompact'), store()]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect((JSON.parse(stdout) as { data: unknown[] }).data).not.toHaveLength(0);
});

const trapUrl = () => `http://127.0.0.1:${(trap.address() as AddressInfo).port}/`;

it.each([
  ['a write', () => "INSERT INTO raw_samples (service) VALUES ('x')"],
  ['a table less', () => 'DROP TABLE raw_samples'],
  ['a second statement', () => 'SELECT 1; TRUNCATE TABLE raw_samples'],
  ['a file', () => `SELECT * FROM file('${secretFile}', 'LineAsString')`],
  ['a file by a function', () => `SELECT file('${secretFile}')`],
  ['an address', () => `SELECT * FROM url('${trapUrl()}', 'CSV', 'a String')`],
  ['another server', () => `SELECT * FROM remote('127.0.0.1:${(trap.address() as AddressInfo).port}', 'system.one')`],
  ['a limit lifted', () => 'SELECT 1 SETTINGS max_execution_time = 100000'],
  ['a limit lifted for the connection', () => 'SET readonly = 0'],
  ['a file written', () => `SELECT 1 INTO OUTFILE '${outfile}'`],
  ["other people's statements", () => 'SELECT * FROM system.processes'],
  ['the settings of the server', () => 'SELECT * FROM system.settings'],
  ['a wait', () => 'SELECT sleepEachRow(1) FROM numbers(100)'],
  ['an endless query', () => 'SELECT sum(sipHash64(number)) FROM numbers(100000000000)'],
  ['more memory than allowed', () => "SELECT repeat('x', 1000000) FROM numbers(900)"],
])('refuses %s and stores on', { timeout: 120_000 }, async (_what, attack) => {
  const [{ code, stdout, stderr }] = await Promise.all([sql(attack()), store()]);
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
  expect(stderr).toMatch(/^leakline: .{10,}\[LKL_ERR_SQL_REFUSED\]\n$/s);
  expect(stderr).not.toContain(SECRET);
  expect([existsSync(outfile), asked]).toEqual([false, 0]);
});

it('cuts a huge result, and says so where no program takes it for data', { timeout: 120_000 }, async () => {
  const [{ code, stdout, stderr }] = await Promise.all([sql('SELECT number FROM numbers(1000000000) UNION ALL SELECT 7', 'CSV'), store()]);
  expect(code).toBe(0);
  expect(stdout.trim().split('\n')).toHaveLength(1 + MAX_ROWS);
  expect(stderr).toMatch(/^leakline: cut at 1000 rows .*there may be more/);
});

it('has stored every row meanwhile, once', { timeout: 120_000 }, async () => {
  const { code, stdout } = await sql("SELECT count() AS n FROM samples WHERE agent = 'live'");
  expect({ code, stdout }).toEqual({ code: 0, stdout: `n\n${sentRows}\n` });
  expect(readdirSync(folder).sort()).toEqual(['data', 'secret.txt']);
});

it('ends with 3 and says whom it asked where no console answers', { timeout: 120_000 }, async () => {
  const ended = await runLeakline(['sql', 'SELECT 1', '--url', `http://127.0.0.1:${await freePort()}`], folder);
  expect(ended).toMatchObject({
    code: 3,
    stdout: '',
    stderr: expect.stringMatching(/no console answers at .*LKL_ERR_UNREACHABLE/) as string,
  });
});
