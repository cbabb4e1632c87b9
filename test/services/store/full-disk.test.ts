/** A store whose disk is full says so in ClickHouse's words, so that whoever inserts waits and comes again. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startStoreServer, type StoreServer } from '../../../services/store/store-server.ts';
import { createLog } from '../../../shared/log.ts';
import { migrate } from '../../../shared/store/migrate.ts';
import { insertSamples } from '../../../shared/store/samples.ts';
import { openStore, type Store } from '../../../shared/store/store.ts';
import { describeOnSmallDisk } from '../../harness/describe-on-small-disk.ts';
import { columnsOf } from '../../shared/store/fixture.ts';

const refusal = { code: 'LKL_ERR_STORE_UNAVAILABLE', retry: true, details: { engineCode: 243 } };
const sample = columnsOf([{ time: Date.now() - 60_000, rss: 1e8 }]);

describeOnSmallDisk('a full disk', 128, (disk) => {
  let server: StoreServer;
  let store: Store;
  beforeAll(async () => {
    server = await startStoreServer({ path: disk.path, host: '127.0.0.1', port: 0, log: createLog({ level: 'silent', secrets: [] }) });
    store = await openStore({ url: server.url });
    await migrate(store);
  });
  afterAll(async () => {
    await store.close();
    await server.close();
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
