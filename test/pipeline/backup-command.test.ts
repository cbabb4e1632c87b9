/** `leakline backup` of a pipeline that goes on storing, and `leakline restore` of it, as people run them. */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { connect, createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest';
import { migrate } from '../../shared/store/migrate.ts';
import { openStore } from '../../shared/store/store.ts';
import { encodeBatch } from '../../shared/wire.ts';
import { inherited, LEAKLINE, runLeakline, type Service, startService } from '../harness/leakline-process.ts';
import { sampleBatch } from '../harness/sample-batch.ts';
import { until } from '../harness/until.ts';
import { fillHistory } from '../shared/store/questions.ts';

const folder = mkdtempSync(join(tmpdir(), 'leakline-backup-command-'));
const inFolder = (name: string) => join(folder, name);
/** More than sockets and pipes hold between two processes, so that a copy that is stopped is stopped in the middle. */
const BULK_BYTES = 48 * 1024 * 1024;
const PROCESSES = 2;
let live: Service;
let seq = 0;

/** What is there was judged before: the next evaluation is on New Year's Day. */
const start = (...args: string[]) => startService({ args, cwd: folder, env: { LEAKLINE_DETECTOR_SCHEDULE: '0 0 0 1 1 *' } });

/** The intake answers once the rows are stored. */
async function send(): Promise<void> {
  const body = encodeBatch(sampleBatch({ agent: 'live', seq, time: Date.now(), processes: PROCESSES }));
  const answer = await fetch(`${live.url}/v1/samples`, { method: 'POST', headers: { 'content-type': 'application/json' }, body });
  expect(answer.status).toBe(200);
  seq++;
}

const run = (...args: string[]) => runLeakline(args, folder);
const backup = (to: string, url = live.url) => run('backup', to, '--url', url);

async function rowsOf<Row>(url: string, sql: string): Promise<Row[]> {
  const { code, stdout, stderr } = await run('sql', sql, '--url', url, '--format', 'JSONEachRow');
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Row);
}

beforeAll(async () => {
  const history = await openStore({ path: inFolder('data/store') });
  await migrate(history);
  await fillHistory(history);
  await history.command(
    `INSERT INTO dead_letters (id, at, code, payload) SELECT 'bulk-' || toString(number), now64(3), 'BULK', randomString(65536) FROM numbers(${String(BULK_BYTES / 65536)})`,
  );
  await history.close();
  live = await start('up', '--data', inFolder('data'));
}, 300_000);

afterAll(async () => {
  await live.process.stop();
  rmSync(folder, { recursive: true, force: true });
});

it('has every row that was acknowledged before it, once, and rolls up what the copy has', { timeout: 300_000 }, async () => {
  for (let n = 0; n < 20; n++) await send();
  const before = seq;
  let isOver = false;
  const intake = (async () => {
    while (!isOver) await send();
  })();
  mkdirSync(inFolder('kept'));
  const saved = await backup(inFolder('kept')).finally(() => (isOver = true));
  await intake;
  expect(saved).toMatchObject({ code: 0, stderr: '', stdout: expect.stringMatching(/^saved [\d.]+ MB in .*Z\.tar\n$/) as string });
  // The intake went on meanwhile.
  expect(seq).toBeGreaterThan(before);

  const [file = '', ...more] = readdirSync(inFolder('kept'));
  expect(more).toEqual([]);
  expect(await run('restore', join(inFolder('kept'), file), '--data', inFolder('copy'))).toMatchObject({
    code: 0,
    stderr: '',
    stdout: expect.stringMatching(/^restored [\d.]+ MB as of 20\S+Z into .*copy\/store: /) as string,
  });
  const copy = await start('up', '--data', inFolder('copy'));
  onTestFinished(() => copy.process.stop());
  const [found] = await rowsOf<{ rows: number; keys: number; through: number }>(
    copy.url,
    "SELECT count() AS rows, uniqExact(lifetime, seq) AS keys, toUInt32(max(seq)) AS through FROM raw_samples WHERE agent = 'live'",
  );
  const batches = found!.through + 1;
  expect(found).toEqual({ rows: batches * PROCESSES, keys: batches * PROCESSES, through: batches - 1 });
  expect(batches).toBeGreaterThanOrEqual(before);
  // Of the moment it is of, not of the end.
  expect(batches).toBeLessThan(seq);
  await until(
    'the copy rolls up what it has',
    () => rowsOf<{ samples: number }>(copy.url, "SELECT sum(samples) AS samples FROM minute_rollups FINAL WHERE instance LIKE 'live-%'"),
    ([rollups]) => rollups?.samples === batches * PROCESSES,
    120_000,
  );
});

/** Passes on so many bytes of the answer, then holds the rest back. */
async function stallingProxy(target: string, afterBytes: number) {
  let isStalled = false;
  let release = (): unknown => undefined;
  const server = createServer((client) => {
    const upstream = connect(Number(new URL(target).port), '127.0.0.1');
    let passed = 0;
    client.pipe(upstream);
    upstream.on('data', (chunk: Buffer) => {
      client.write(chunk);
      passed += chunk.length;
      if (isStalled || passed < afterBytes) return;
      isStalled = true;
      upstream.pause();
      release = () => upstream.resume();
    });
    for (const [one, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      one.on('error', () => undefined);
      one.on('close', () => other.destroy());
    }
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  onTestFinished(() => void server.close());
  const stalled = () =>
    until(
      'the copy is held back',
      () => Promise.resolve(isStalled),
      (held) => held,
      60_000,
    );
  return { url: `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`, stalled, release: () => release() };
}

const linksOf = () => readdirSync(inFolder('data/store/shadow')).filter((name) => name !== 'increment.txt');
const linksAreGone = () =>
  until(
    'the links are gone',
    () => Promise.resolve(linksOf()),
    (names) => names.length === 0,
    60_000,
  );

it('killed in the middle, it leaves nothing that restore takes, and nothing in the store', { timeout: 300_000 }, async () => {
  const proxy = await stallingProxy(live.url, BULK_BYTES / 4);
  const child = spawn(process.execPath, [...LEAKLINE, 'backup', inFolder('killed.tar'), '--url', proxy.url], {
    cwd: folder,
    env: inherited(),
    stdio: 'ignore',
  });
  await proxy.stalled();
  expect(linksOf()).toHaveLength(1);
  child.kill('SIGKILL');
  await once(child, 'exit');
  await linksAreGone();
  expect([existsSync(inFolder('killed.tar')), existsSync(inFolder('killed.tar.unfinished'))]).toEqual([false, true]);
  expect(await run('restore', inFolder('killed.tar.unfinished'), '--data', inFolder('half'))).toMatchObject({
    code: 2,
    stdout: '',
    stderr: expect.stringMatching(/^leakline: the backup is not whole: .* \[LKL_ERR_BACKUP\]\n$/) as string,
  });
  expect(existsSync(inFolder('half/store'))).toBe(false);
});

it('says so where the store dies in the middle, which has all its rows when it comes back', { timeout: 300_000 }, async () => {
  const proxy = await stallingProxy(live.url, BULK_BYTES / 4);
  const ended = backup(inFolder('cut.tar'), proxy.url);
  await proxy.stalled();
  await live.process.kill();
  proxy.release();
  expect(await ended).toMatchObject({
    code: 3,
    stdout: '',
    stderr: expect.stringMatching(/broke off .*nothing was saved, start the backup again \[LKL_ERR_UNREACHABLE\]\n$/) as string,
  });
  expect(readdirSync(folder).filter((name) => name.startsWith('cut'))).toEqual([]);
  live = await start('up', '--data', inFolder('data'));
  expect(existsSync(inFolder('data/store/shadow'))).toBe(false);
  expect(await rowsOf(live.url, "SELECT count() AS rows FROM samples WHERE agent = 'live'")).toEqual([{ rows: seq * PROCESSES }]);
});

/** On a file system of its own, of 8 MiB. Says what is on it in the end. */
async function onSmallDisk(...args: string[]): Promise<{ code: number; stderr: string; left: string }> {
  mkdirSync(inFolder('small'), { recursive: true });
  const script =
    'mount -t tmpfs -o size=8m leakline-test "$1" && dir="$1" && shift && { "$@" >&2; code=$?; find "$dir" -type f; exit $code; }';
  const asRoot = process.getuid?.() === 0 ? [] : ['--user', '--map-root-user'];
  const command = ['--mount', ...asRoot, 'sh', '-c', script, 'sh', inFolder('small'), process.execPath, ...LEAKLINE, ...args];
  return new Promise((resolve) => {
    const child = execFile('unshare', command, { cwd: folder, env: inherited() }, (_error, left, stderr) =>
      resolve({ code: child.exitCode ?? -1, stderr, left }),
    );
  });
}

it('says so where the disk is full, and leaves nothing on it', { timeout: 300_000 }, async () => {
  expect(await onSmallDisk('backup', inFolder('small/full.tar'), '--url', live.url)).toEqual({
    code: 2,
    stderr: `leakline: ${inFolder('small/full.tar')} cannot be written (ENOSPC): make room or name another file, nothing was saved [LKL_ERR_BACKUP]\n`,
    left: '',
  });
  await linksAreGone();
  await send();
});

it('copies through a console of its own, and the copy answers as the store does', { timeout: 300_000 }, async () => {
  await live.process.stop();
  const store = await start('store', '--data', inFolder('data'));
  onTestFinished(() => store.process.stop());
  const console = await start('console', '--store', store.url);
  onTestFinished(() => console.process.stop());
  expect(await backup(inFolder('still.tar'), console.url)).toMatchObject({ code: 0, stderr: '' });

  expect(await onSmallDisk('restore', inFolder('still.tar'), '--data', inFolder('small'))).toEqual({
    code: 2,
    stderr: `leakline: ${inFolder('small/store.restoring')} cannot be written (ENOSPC): make room or mend it, nothing was restored [LKL_ERR_BACKUP]\n`,
    left: '',
  });

  expect(await run('restore', inFolder('still.tar'), '--data', inFolder('twin'))).toMatchObject({ code: 0, stderr: '' });
  const twin = await start('store', '--data', inFolder('twin'));
  onTestFinished(() => twin.process.stop());
  const ask = async (url: string, sql: string) => (await fetch(url, { method: 'POST', body: `${sql} FORMAT TSV` })).text();
  const names = (await ask(store.url, 'SELECT name FROM system.tables WHERE database = currentDatabase() ORDER BY name'))
    .trim()
    .split('\n');
  // Tables and views, settings and history alike.
  expect(names).toEqual(expect.arrayContaining(['raw_samples', 'hour_rollups', 'incidents', 'delivery_attempts', 'schema_migrations']));
  expect(names.length).toBeGreaterThan(20);
  const held: Record<string, string> = {};
  for (const name of names) {
    const sql = `SELECT count(), groupBitXor(cityHash64(formatRow('TSV', *))) FROM ${name} ${/_rollups|raw_/.test(name) ? 'FINAL' : ''}`;
    held[name] = await ask(store.url, sql);
    expect(await ask(twin.url, sql), name).toBe(held[name]);
  }
  for (const name of ['raw_samples', 'minute_rollups', 'hour_rollups', 'incidents', 'deliveries', 'trends', 'process_lifetimes']) {
    expect(held[name], name).toMatch(/^[1-9]\d*\t\d+\n$/);
  }
});

it('takes no file twice, no store that is there, and no other kind of file', { timeout: 120_000 }, async () => {
  expect(await backup(inFolder('still.tar'))).toMatchObject({
    code: 2,
    stderr: expect.stringMatching(/still\.tar exists: a backup overwrites nothing, name another file \[LKL_ERR_USAGE\]/) as string,
  });
  expect(await run('restore', inFolder('still.tar'), '--data', inFolder('data'))).toMatchObject({
    code: 2,
    stderr: expect.stringMatching(/data\/store is not empty: .*--data \[LKL_ERR_USAGE\]/) as string,
  });
  expect(await run('restore', inFolder('nothing.tar'), '--data', inFolder('none'))).toMatchObject({
    code: 2,
    stderr: expect.stringMatching(/nothing\.tar is no file/) as string,
  });
});
