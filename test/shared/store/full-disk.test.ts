/**
 * Promise: what the embedded store acknowledged is there once, also when the disk fills up in the middle of an insert or of a
 * merge. The engine does not tell of it by itself; the store has to notice.
 */
import { readdirSync, watch } from 'node:fs';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Status } from '../../../services/console/api-schema.ts';
import { migrate } from '../../../shared/store/migrate.ts';
import type { EncodedBlock } from '../../../shared/store/native-block.ts';
import { insertSamples } from '../../../shared/store/samples.ts';
import { openStore, type Store } from '../../../shared/store/store.ts';
import { describeOnSmallDisk } from '../../harness/describe-on-small-disk.ts';
import type { SmallDisk } from '../../harness/small-disk.ts';
import { createTestConsole } from '../../page/running-console.ts';
import { columnsOf, type SampleRow } from './fixture.ts';

const BLOCK_ROWS = 40_000;
/** More than the floor, an insert's body and its part. */
const ROOM_BYTES = 48 * 1024 ** 2;
const MOST_ATTEMPTS = 20;
const CUT_SHORT = 'something could not be written meanwhile';
const BEGIN = Date.now() - 4 * 3_600_000;
let store: Store;
/** Blocks that were acknowledged. */
let acknowledged = 0;

const rssOf = (block: number, row: number) => 1e8 + (((block * BLOCK_ROWS + row) * 7_919) ** 2 % 1e9);

function blockOf(block: number): EncodedBlock {
  const base = BEGIN + block * 600_000;
  const rows: SampleRow[] = Array.from({ length: BLOCK_ROWS }, (_, row) => ({
    lifetime: (row % 100).toString(16).padStart(16, '0'),
    time: base + Math.floor(row / 100) * 1_000,
    rss: rssOf(block, row),
    heap_used: rssOf(block, row) / 2,
    anon: rssOf(block, row) / 3,
  }));
  return columnsOf(rows);
}

/**
 * Not a byte is left as soon as the engine begins a part whose directory has this name. It may be done before, or find that there
 * is no room, so this begins again until a part is cut short; what the store takes meanwhile is acknowledged.
 */
async function refusalOfCutPart(smallDisk: SmallDisk, prefix: string, work: () => Promise<void>): Promise<unknown> {
  for (let attempt = 0; attempt < MOST_ATTEMPTS; attempt++) {
    smallDisk.fill(ROOM_BYTES);
    const watchers = (await tablePaths()).map((tablePath) =>
      watch(tablePath, (_event, name) => {
        if (name?.startsWith(prefix) === true) smallDisk.fill();
      }),
    );
    try {
      await work();
    } catch (error) {
      if (String(error).includes(CUT_SHORT)) return error;
    } finally {
      for (const watcher of watchers) watcher.close();
      smallDisk.empty();
    }
  }
  return 'never cut short';
}

const insertNext = async () => {
  await insertSamples(store, blockOf(acknowledged));
  acknowledged++;
};

async function tablePaths(): Promise<string[]> {
  const [table] = await store.query<{ paths: string[] }>(`SELECT data_paths AS paths FROM system.tables WHERE name = 'raw_samples'`);
  return table?.paths ?? [];
}

async function expectWholeHistory(): Promise<void> {
  const [found] = await store.query<{ rows: number; rss: number }>('SELECT count() AS rows, sum(rss) AS rss FROM samples');
  let rss = 0;
  for (let block = 0; block < acknowledged; block++) for (let row = 0; row < BLOCK_ROWS; row++) rss += Math.floor(rssOf(block, row));
  expect(found).toEqual({ rows: acknowledged * BLOCK_ROWS, rss });
}

const refusal = { code: 'LKL_ERR_STORE_UNAVAILABLE', retry: true };

describeOnSmallDisk('a disk that fills up', 256, (disk) => {
  beforeAll(async () => {
    store = await openStore({ path: disk.path });
    await migrate(store);
    // Column by column a merge keeps a file of its own, and says itself when that is cut short.
    await store.command('ALTER TABLE raw_samples MODIFY SETTING enable_vertical_merge_algorithm = 0');
    await insertNext();
    await insertNext();
  });
  afterAll(async () => {
    await store.close();
  });

  it('in the middle of an insert: it is not acknowledged, and comes again', { timeout: 120_000 }, async () => {
    expect(await refusalOfCutPart(disk, 'tmp_insert', insertNext)).toMatchObject(refusal);
    await expectWholeHistory();
    await insertNext();
    await expectWholeHistory();
  });

  it('in the middle of a merge: the parts it was made of are there again', { timeout: 120_000 }, async () => {
    const mergeAll = () => store.command('OPTIMIZE TABLE raw_samples FINAL');
    expect(await refusalOfCutPart(disk, 'tmp_merge', mergeAll)).toMatchObject(refusal);
    await expectWholeHistory();
    await mergeAll();
    await expectWholeHistory();
  });

  it('leaves nothing behind', async () => {
    expect((await tablePaths()).flatMap((tablePath) => readdirSync(`${tablePath}detached`))).toEqual([]);
  });

  it('takes nothing more before it is full, and says so', async () => {
    disk.fill(8 * 1024 ** 2);
    try {
      await expect(insertNext()).rejects.toMatchObject({
        ...refusal,
        message: expect.stringMatching(/has [78] MiB left and nothing is written below 13 MiB/) as string,
      });
      await expectWholeHistory();
      const console = await createTestConsole({ store });
      const { healthy, problems } = (await console.server.app.inject({ url: '/api/v1/status' })).json<Status>();
      await console.close();
      expect(healthy).toBe(false);
      expect(problems.at(-1)).toMatch(/^the disk of the store has [78] of 256 MiB left; below 13 MiB samples wait/);
    } finally {
      disk.empty();
    }
    await insertNext();
    await expectWholeHistory();
  });
});
