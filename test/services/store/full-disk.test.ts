/** A store whose disk is full says so in ClickHouse's words, so that whoever inserts waits and comes again. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startStoreServer, type StoreServer } from '../../../services/store/store-server.ts';
import { createLog } from '../../../shared/log.ts';
import { migrate } from '../../../shared/store/migrate.ts';
import { insertSamples } from '../../../shared/store/samples.ts';
import { openStore, type Store } from '../../../shared/store/store.ts';
import { SmallDisk } from '../../harness/small-disk.ts';
import { columnsOf, temporaryDirectory } from '../../shared/store/fixture.ts';

const { path, remove } = temporaryDirectory();
const disk = SmallDisk.open(path, 128);
const refusal = { code: 'LKL_ERR_STORE_UNAVAILABLE', retry: true, details: { engineCode: 243 } };
const sample = columnsOf([{ time: Date.now() - 60_000, rss: 1e8 }]);

if (typeof disk === 'string') {
  it('needs a file system of its own', () => {
    console.warn(`the disk cannot be filled here, so this is left out: ${disk}`);
    remove();
  });
} else
  describe('a full disk', () => {
    let server: StoreServer;
    let store: Store;
    beforeAll(async () => {
      server = await startStoreServer({ path, host: '127.0.0.1', port: 0, log: createLog({ level: 'silent', secrets: [] }) });
      store = await openStore({ url: server.url });
      await migrate(store);
    });
    afterAll(async () => {
      await store.close();
      await server.close();
      disk.close();
      remove();
    });

    it.each([
      ['nearly', 2 * 1024 ** 2],
      ['to the last byte', 0],
    ])('%s: inserts have to wait', async (_how, leaveBytes) => {
      disk.fill(leaveBytes);
      try {
        await expect(insertSamples(store, sample)).rejects.toMatchObject(refusal);
        await expect(store.command('INSERT INTO raw_samples SELECT * FROM raw_samples')).rejects.toMatchObject(refusal);
      } finally {
        disk.empty();
      }
      await insertSamples(store, sample);
      expect(await store.query('SELECT count() AS rows FROM samples')).toEqual([{ rows: 1 }]);
    });
  });
