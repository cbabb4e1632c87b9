/** The same statements against a server: schema, samples twice, rollups, series, incidents and people's SQL. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startClickHouse, type ClickHouseServer } from '../../harness/clickhouse-server.ts';
import { migrate } from '../../../shared/store/migrate.ts';
import { rollUp } from '../../../shared/store/rollups.ts';
import { insertSamples } from '../../../shared/store/samples.ts';
import { readSeries } from '../../../shared/store/series.ts';
import { openStore, type Store } from '../../../shared/store/store.ts';
import { runUserSql } from '../../../shared/store/user-sql.ts';
import { columnsOf } from './fixture.ts';

const MINUTE = 60_000;
const from = Math.floor(Date.now() / MINUTE) * MINUTE - 60 * MINUTE;
let server: ClickHouseServer;
let store: Store;

beforeAll(async () => {
  server = await startClickHouse();
  store = await openStore({ url: server.url });
}, 180_000);
afterAll(async () => {
  await store.close();
  await server.stop();
});

it('takes schema and samples, each any number of times, and gives the series back', async () => {
  await migrate(store);
  expect((await migrate(store)).applied).toEqual([]);
  const rows = Array.from({ length: 60 }, (_, index) => ({ time: from + index * 10_000, rss: 1e8 + index * 1e6, memory_limit: 5e8 }));
  await insertSamples(store, columnsOf(rows));
  await insertSamples(store, columnsOf(rows.slice(20)));
  await rollUp(store);
  const [series, ...others] = await readSeries(store, { from, to: from + 10 * MINUTE, blockMs: MINUTE });
  expect(others).toEqual([]);
  expect([...(series?.columns.rssMin ?? [])]).toEqual(Array.from({ length: 10 }, (_, minute) => 1e8 + minute * 6e6));
  expect([...(series?.columns.sampleCount ?? [])]).toEqual(Array.from({ length: 10 }, () => 6));
});

it('answers people, and refuses them to write', async () => {
  const { body, cutAtRows } = await runUserSql(store, 'SELECT count() AS rows FROM samples', { format: 'TSV' });
  expect(cutAtRows).toBeUndefined();
  expect((await runUserSql(store, 'SELECT number FROM numbers(100001)', { format: 'TSV' })).cutAtRows).toBe(100_000);
  expect(body.toString()).toBe('60\n');
  await expect(runUserSql(store, 'INSERT INTO raw_samples (service) VALUES (1)')).rejects.toMatchObject({ code: 'LKL_ERR_SQL_REFUSED' });
  await expect(runUserSql(store, "SELECT * FROM file('/etc/hostname', 'LineAsString')")).rejects.toMatchObject({
    code: 'LKL_ERR_SQL_REFUSED',
  });
});
