/** Copies of the embedded store: of one moment while rows come in, and whole or refused. */
import { existsSync, mkdirSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { pack } from 'tar-stream';
import { afterAll, beforeAll, expect, it, onTestFinished, vi } from 'vitest';
import { readMigrations } from '../../../shared/store/migrate.ts';
import { restore } from '../../../shared/store/restore.ts';
import { insertSamples } from '../../../shared/store/samples.ts';
import type { Store } from '../../../shared/store/store.ts';
import { until } from '../../harness/until.ts';
import { columnsOf, temporaryDirectory, temporaryStore } from './fixture.ts';

const { path: folder, remove } = temporaryDirectory();
let live: { store: Store; path: string; close: () => Promise<void> };
let store: Store;
/** Of a small store. */
let tar: Buffer;
let count = 0;

const fresh = () => join(folder, `copy-${String(count++)}`);
const restored = (bytes: Buffer, path: string, options = {}) => restore(Readable.from([bytes]), { path, database: 'leakline', ...options });
const noLinksAreLeft = () =>
  until(
    'the links are gone',
    () => Promise.resolve(readdirSync(join(live.path, 'shadow'))),
    (names) => names.join() === 'increment.txt',
    60_000,
  );

beforeAll(async () => {
  live = await temporaryStore();
  store = live.store;
  await insertSamples(store, columnsOf([{ time: Date.now(), rss: 1 }]));
  await store.command('CREATE TABLE twin (n UInt64) ENGINE = MergeTree ORDER BY n');
  tar = await buffer(await store.backup());
});
afterAll(async () => {
  await live.close();
  remove();
});

it('copies one moment, whatever is being written', { timeout: 120_000 }, async () => {
  const tables = await store.query<{ name: string; uuid: string }>(
    "SELECT name, toString(uuid) AS uuid FROM system.tables WHERE name IN ('raw_samples', 'twin')",
  );
  /** Each part says in a file how many rows it has. */
  const rowsOf = (path: string, name: string) => {
    const uuid = tables.find((table) => table.name === name)!.uuid;
    const parts = join(path, 'store', uuid.slice(0, 3), uuid);
    return readdirSync(parts, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .reduce((rows, { name: part }) => rows + Number(readFileSync(join(parts, part, 'count.txt'), 'utf8')), 0);
  };
  let sent = 0;
  let isOver = false;
  const start = Date.now() - 3_600_000;
  const inserts = (async () => {
    while (!isOver) {
      sent++;
      await insertSamples(store, columnsOf([{ time: start + sent, rss: sent }]));
      // The other connection that writes.
      await store.command(`INSERT INTO twin VALUES (${String(sent)})`);
    }
  })();
  const seen: number[] = [];
  for (let round = 0; round < 8; round++) {
    const before = sent;
    const path = fresh();
    const copy = await store.backup();
    await restore(copy, { path, database: 'leakline' });
    const twins = rowsOf(path, 'twin');
    // One row was there before.
    expect([twins, twins + 1]).toContain(rowsOf(path, 'raw_samples') - 1);
    expect(twins).toBeGreaterThanOrEqual(before - 1);
    seen.push(twins);
  }
  isOver = true;
  await inserts;
  expect(seen.at(-1)).toBeGreaterThan(seen[0]!);
  await noLinksAreLeft();
});

it('leaves no links behind when nobody wants the rest, or any of it', async () => {
  const begun = await store.backup();
  for await (const chunk of begun) {
    expect(chunk).not.toHaveLength(0);
    break;
  }
  (await store.backup()).destroy();
  await noLinksAreLeft();
});

/** So many places all over it, the first and the last among them. */
const places = (length: number, howMany: number) =>
  Array.from({ length: howMany }, (_, n) => Math.floor((n * (length - 1)) / (howMany - 1)));

it('refuses a copy that is cut anywhere, and leaves nothing', { timeout: 120_000 }, async () => {
  // A tar ends with two empty blocks.
  for (const length of places(tar.length - 1024, 60)) {
    const path = fresh();
    await expect(restored(tar.subarray(0, length), path)).rejects.toMatchObject({
      code: 'LKL_ERR_BACKUP',
      message: expect.stringMatching(/^the backup is not whole: .*nothing was restored, take another one$/) as string,
    });
    expect([existsSync(path), existsSync(`${path}.restoring`)]).toEqual([false, false]);
  }
});

it('refuses a copy that was altered, unless what was altered says nothing', { timeout: 120_000 }, async () => {
  const whole = fresh();
  await restored(tar, whole);
  const filesOf = (path: string) =>
    readdirSync(path, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name).slice(path.length))
      .sort()
      .map((name) => [name, readFileSync(join(path, name), 'base64')]);
  let refused = 0;
  for (const at of places(tar.length, 100)) {
    const altered = Buffer.from(tar);
    altered[at]! ^= 0x11;
    const path = fresh();
    const code = await restored(altered, path).then(
      () => 'restored',
      (error: unknown) => (error as { code: string }).code,
    );
    // Blocks are filled up with bytes that belong to no file.
    if (code === 'restored') expect(filesOf(path)).toEqual(filesOf(whole));
    else {
      expect(code).toBe('LKL_ERR_BACKUP');
      refused++;
    }
  }
  expect(refused).toBeGreaterThan(30);
});

/** Where each file or folder was when it was synced; the disk fails at one. */
async function watchSyncs(broken?: string): Promise<string[]> {
  const handle = await open(folder, 'r');
  const prototype = Object.getPrototypeOf(handle) as FileHandle;
  await handle.close();
  const synced: string[] = [];
  // eslint-disable-next-line @typescript-eslint/unbound-method -- called on each handle below
  const { sync } = prototype;
  vi.spyOn(prototype, 'sync').mockImplementation(async function (this: FileHandle) {
    const path = readlinkSync(`/proc/self/fd/${String(this.fd)}`);
    if (path === broken) throw Object.assign(new Error('EIO: i/o error, fsync'), { code: 'EIO', syscall: 'fsync' });
    synced.push(path);
    return sync.call(this);
  });
  onTestFinished(() => void vi.restoreAllMocks());
  return synced;
}

it('is on the disk when it says so: all that was written, and every folder that names some of it', async () => {
  const data = fresh();
  const path = join(data, 'deep/store');
  const synced = await watchSyncs();
  await restored(tar, path);
  const unpacked = `${path}.restoring`;
  const written = readdirSync(path, { recursive: true, encoding: 'utf8' }).map((name) => join(unpacked, name));
  expect(written.length).toBeGreaterThan(100);
  const names = [dirname(path), data, folder];
  expect(synced.slice(0, -names.length).sort()).toEqual([unpacked, ...written].sort());
  expect(synced.slice(-names.length)).toEqual(names);
});

it('leaves nothing where the disk does not take it', async () => {
  const path = fresh();
  for (const broken of [`${path}.restoring/metadata`, folder]) {
    await watchSyncs(broken);
    await expect(restored(tar, path)).rejects.toMatchObject({
      code: 'LKL_ERR_BACKUP',
      message: expect.stringMatching(/cannot be written \(EIO\): make room or mend it, nothing was restored$/) as string,
    });
    expect([existsSync(path), existsSync(`${path}.restoring`)]).toEqual([false, false]);
    vi.restoreAllMocks();
  }
});

it('refuses what is none', async () => {
  await expect(restored(Buffer.from('PRAGMA foreign_keys'.repeat(100)), fresh())).rejects.toMatchObject({ code: 'LKL_ERR_BACKUP' });
  const outside = pack();
  outside.entry({ name: '../outside' }, 'x');
  outside.finalize();
  const path = fresh();
  await expect(restored(await buffer(outside), path)).rejects.toMatchObject({
    code: 'LKL_ERR_BACKUP',
    message: expect.stringContaining('"../outside"') as string,
  });
  expect(existsSync(join(path, '..', 'outside'))).toBe(false);
});

it('refuses a schema newer than its own, and names the migration', async () => {
  const directory = fresh();
  mkdirSync(directory);
  const all = readMigrations();
  for (const { name, text } of all.slice(0, -1)) writeFileSync(join(directory, name), text);
  await expect(restored(tar, fresh(), { directory })).rejects.toMatchObject({
    code: 'LKL_ERR_MIGRATION',
    message: expect.stringMatching(new RegExp(`${all.at(-1)!.name}, which this version does not have: use a version`)) as string,
  });
});

it('refuses another database, and a directory that holds something', async () => {
  await expect(restored(tar, fresh(), { database: 'other' })).rejects.toMatchObject({
    code: 'LKL_ERR_CONFIG',
    message: 'the backup is of database leakline, store.database is other: set it to leakline',
  });
  const path = fresh();
  mkdirSync(path);
  writeFileSync(join(path, 'mine'), '');
  await expect(restored(tar, path)).rejects.toMatchObject({ code: 'LKL_ERR_USAGE', message: expect.stringContaining(path) as string });
  expect(readdirSync(path)).toEqual(['mine']);
  rmSync(join(path, 'mine'));
  expect((await restored(tar, path)).database).toBe('leakline');
});
