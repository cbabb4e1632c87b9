import { cpSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { migrate, readMigrations, renderMigration } from '../../../shared/store/migrate.ts';
import { rollUp } from '../../../shared/store/rollups.ts';
import { openStore, type Store } from '../../../shared/store/store.ts';
import { temporaryDirectory } from './fixture.ts';
import { fillHistory } from './questions.ts';

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

type Row = Record<string, unknown>;

const ROLLED_UP = new Set(['minute_rollups', 'hour_rollups', 'lifetimes', 'rollup_checkpoints']);

const namesOf = async (of: Store, condition: string) =>
  (
    await of.query<{ name: string }>(`SELECT name FROM system.tables WHERE database = {database:String} AND ${condition} ORDER BY name`, {
      database: of.database,
    })
  ).map(({ name }) => name);

/** Every row of every table that holds something. */
async function readHistory(of: Store): Promise<Map<string, Row[]>> {
  const tables = await namesOf(of, "engine LIKE '%MergeTree' AND name != 'schema_migrations'");
  const rows = await Promise.all(tables.map(async (table) => [table, await of.query<Row>(`SELECT * FROM ${table} FINAL`)] as const));
  return new Map(rows.filter(([, found]) => found.length > 0));
}

/** As far as the schema of the moment has tables and columns for it. Returns the tables it had. */
async function insertHistory(into: Store, history: ReadonlyMap<string, Row[]>): Promise<string[]> {
  const filled: string[] = [];
  for (const [table, rows] of history) {
    const columns = await into.query<{ name: string }>(
      'SELECT name FROM system.columns WHERE database = {database:String} AND table = {table:String}',
      { database: into.database, table },
    );
    if (columns.length === 0) continue;
    filled.push(table);
    await into.insertRows(
      table,
      rows.map((row) => Object.fromEntries(columns.filter(({ name }) => name in row).map(({ name }) => [name, row[name]]))),
    );
  }
  return filled;
}

/** Seconds of pauses became whole nanoseconds (009), rounded down: so much they may differ. */
const PAUSES = 'REPLACE (round(gc_pause_seconds, 6) AS gc_pause_seconds)';

/** What people read. */
async function readViews(of: Store): Promise<[name: string, text: string][]> {
  const views = await namesOf(of, "engine = 'View'");
  const paused = await of.query<{ table: string }>("SELECT table FROM system.columns WHERE name = 'gc_pause_seconds'");
  const read = async (view: string): Promise<[string, string]> => {
    const columns = paused.some(({ table }) => table === view) ? `* ${PAUSES}` : '*';
    return [view, (await of.queryBytes(`SELECT ${columns} FROM ${view} ORDER BY ALL`, 'JSONEachRow')).toString('utf8')];
  };
  return Promise.all(views.map(read));
}

const single = { cluster: '', rawSeconds: 10, rollupSeconds: 20 };

describe('migrate', () => {
  it(
    'brings a store with a history in it from every earlier migration to the last, where it reads the same',
    { timeout: 600_000 },
    async () => {
      await migrate(store, { directory });
      await fillHistory(store);
      const history = await readHistory(store);
      const views = await readViews(store);
      expect(views.map(([name]) => name)).toEqual(
        expect.arrayContaining(['samples', 'memory_hourly', 'incidents', 'trends', 'deliveries']),
      );
      for (const [name, text] of views) expect(text, name).not.toBe('');

      for (const { number: last } of readMigrations(source).slice(0, -1)) {
        await store.command(`DROP DATABASE ${store.database}`);
        const earlier = mkdtempSync(join(tmpdir(), 'leakline-migrations-'));
        for (const { name, number } of readMigrations(source)) if (number <= last) cpSync(join(source, name), join(earlier, name));
        await migrate(store, { directory: earlier });
        rmSync(earlier, { recursive: true });
        const filled = await insertHistory(store, history);
        expect(filled).toContain('raw_samples');

        await migrate(store, { directory });
        // What there was no table for yet comes now; roll-ups are made of the samples.
        await insertHistory(store, new Map([...history].filter(([table]) => !filled.includes(table) && !ROLLED_UP.has(table))));
        await rollUp(store);
        expect(await readViews(store), `from migration ${String(last)}`).toEqual(views);
      }
      await store.command(`DROP DATABASE ${store.database}`);
    },
  );

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
