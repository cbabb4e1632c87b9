import { cpSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { migrate, readMigrations, renderMigration } from '../../../shared/store/migrate.ts';
import { openStore, type Store } from '../../../shared/store/store.ts';
import { temporaryDirectory } from './fixture.ts';

const source = join(import.meta.dirname, '../../../infra/clickhouse');
const { path, remove } = temporaryDirectory();
const directory = mkdtempSync(join(tmpdir(), 'leakline-migrations-'));
let store: Store;

beforeAll(async () => {
  store = await openStore({ path });
  cpSync(source, directory, { recursive: true });
});
afterAll(async () => {
  await store.close();
  remove();
  rmSync(directory, { recursive: true });
});

const single = { cluster: '', rawSeconds: 10, rollupSeconds: 20 };

describe('migrate', () => {
  it('brings a store with samples in it from every earlier migration to the last', async () => {
    const numbers = readMigrations(source).map(({ number }) => number);
    for (const last of numbers.slice(0, -1)) {
      const earlier = mkdtempSync(join(tmpdir(), 'leakline-migrations-'));
      for (const { name, number } of readMigrations(source)) if (number <= last) cpSync(join(source, name), join(earlier, name));
      await migrate(store, { directory: earlier });
      rmSync(earlier, { recursive: true });
      const row = {
        service: 's',
        instance: 'i',
        lifetime: 'l',
        time: new Date(Date.now() - 3_600_000).toISOString().slice(0, 23).replace('T', ' '),
        pid: 7,
        labels: { team: 'a' },
      };
      const metrics = { rss: 123_456_789, heap_used: 987_654_321, gc_count: 3, gc_pause_seconds: 1.234_567_89, cpu_seconds: 0.1 };
      await store.insertRows('raw_samples', [{ ...row, ...metrics }]);
      await migrate(store, { directory });
      expect(
        await store.query(`SELECT service, instance, lifetime, toString(time) AS time, pid, labels, rss, heap_used, gc_count, gc_pause_seconds,
          cpu_seconds, anon FROM samples`),
      ).toEqual([{ ...row, ...metrics, anon: null }]);
      await store.command(`DROP DATABASE ${store.database}`);
      await store.createDatabase();
    }
  });

  it('applies every file once, in order', async () => {
    const files = readdirSync(source).filter((file) => file.endsWith('.sql'));
    expect((await migrate(store, { directory })).applied).toEqual(files.sort());
    expect((await migrate(store, { directory })).applied).toEqual([]);
    expect(await store.query('SELECT name FROM schema_migrations ORDER BY number')).toEqual(files.map((name) => ({ name })));
  });

  it('may run in two places at once', async () => {
    await store.command('DROP TABLE schema_migrations');
    await Promise.all([migrate(store, { directory }), migrate(store, { directory })]);
    expect((await migrate(store, { directory })).applied).toEqual([]);
  });

  it('follows a changed retention, of samples, minutes and hours apart', async () => {
    const day = 86_400_000;
    await migrate(store, { directory, rawRetentionMs: 9 * day, minuteRetentionMs: 30 * day, rollupRetentionMs: 200 * day });
    const definitions = await store.query<{ name: string; days: string }>(
      `SELECT name, extract(create_table_query, 'TTL .*toIntervalSecond\\\\((\\\\d+)\\\\)') AS days FROM system.tables
      WHERE name IN ('raw_samples', 'minute_rollups', 'hour_rollups', 'service_hours', 'lifetimes') ORDER BY name`,
    );
    const kept = Object.fromEntries(definitions.map(({ name, days }) => [name, Number(days) / 86_400]));
    expect(kept).toEqual({ raw_samples: 9, minute_rollups: 30, hour_rollups: 200, service_hours: 200, lifetimes: 200 });
  });

  it('refuses a migration that was edited after it ran, and names it', async () => {
    const [first] = readMigrations(directory);
    writeFileSync(join(directory, first!.name), `${first!.text}\n-- edited\n`);
    await expect(migrate(store, { directory })).rejects.toMatchObject({
      code: 'LKL_ERR_MIGRATION',
      message: expect.stringContaining(first!.name) as string,
    });
    writeFileSync(join(directory, first!.name), first!.text);
  });

  it('refuses to run on a store that a newer version made', async () => {
    writeFileSync(join(directory, '999_future.sql'), 'CREATE TABLE IF NOT EXISTS future (a UInt8) ENGINE = Memory;');
    await migrate(store, { directory });
    rmSync(join(directory, '999_future.sql'));
    await expect(migrate(store, { directory })).rejects.toMatchObject({ code: 'LKL_ERR_MIGRATION' });
  });
});

describe('renderMigration', () => {
  const statements = (cluster: string) => readMigrations(source).flatMap(({ text }) => renderMigration(text, { ...single, cluster }));

  it('fills every place, on a single node and on a cluster', () => {
    for (const cluster of ['', 'fleet']) for (const statement of statements(cluster)) expect(statement).not.toMatch(/\{\{|\}\}/);
  });

  it('makes plain tables on a single node', () => {
    const text = statements('').join('\n');
    expect(text).not.toMatch(/Replicated|Distributed|ON CLUSTER|_local/);
    expect(text).toContain('TTL toDateTime(time) + toIntervalSecond(10)');
  });

  it('makes replicated tables with a distributed one in front on a cluster', () => {
    const all = statements('fleet');
    const created = all.filter((statement) => statement.startsWith('CREATE TABLE'));
    // What moves rows goes through the distributed tables.
    for (const statement of all) if (!statement.startsWith('INSERT')) expect(statement).toContain('ON CLUSTER fleet');
    const distributed = created.filter((statement) => statement.includes('ENGINE = Distributed'));
    const replicated = created.filter((statement) => /ENGINE = Replicated(Replacing|Aggregating)MergeTree\('/.test(statement));
    expect(distributed.length + replicated.length).toBe(created.length);
    const fronted = distributed.map((statement) => /EXISTS (\w+) /.exec(statement)?.[1]);
    const local = replicated.map((statement) => /EXISTS (\w+)_local /.exec(statement)?.[1]).filter((name) => name !== undefined);
    expect(fronted.sort()).toEqual(local.sort());
    // All rows of a service stand on one shard, so FINAL and GROUP BY per shard are exact.
    for (const statement of distributed) expect(statement).toMatch(/cityHash64\((service|id|incident|ingester)\)\)$/);
    expect(all.join('\n')).toContain(
      "ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}', revision)",
    );
  });
});
