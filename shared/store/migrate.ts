/** Creates or upgrades the schema: infra/clickhouse/NNN_*.sql in order, each once, its checksum remembered. */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { LeaklineError } from '../errors.ts';
import type { Store } from './store.ts';

export interface MigrateOptions {
  /** Name of the cluster; empty = single node. */
  readonly cluster?: string;
  /** Default 14 days. */
  readonly rawRetentionMs?: number;
  /** Default 400 days, as all rollups. */
  readonly minuteRetentionMs?: number;
  /** Of all but samples and minutes; default 400 days. */
  readonly rollupRetentionMs?: number;
  /** Where the numbered files are; default: infra/clickhouse of this package. */
  readonly directory?: string;
}

export interface Migration {
  readonly number: number;
  readonly name: string;
  readonly text: string;
  readonly checksum: string;
}

const DAY_MS = 86_400_000;

/** infra/ stands at the root of the package, beside shared/ in sources and beside dist/ when built. */
function migrationsDirectory(): string {
  for (let at = dirname(fileURLToPath(import.meta.url)); at !== dirname(at); at = dirname(at)) {
    const candidate = join(at, 'infra', 'clickhouse');
    if (existsSync(candidate)) return candidate;
  }
  throw new LeaklineError('LKL_ERR_MIGRATION', 'infra/clickhouse is not in this package: install it again');
}

export function readMigrations(directory = migrationsDirectory()): Migration[] {
  return readdirSync(directory)
    .filter((file) => /^\d{3}_\w+\.sql$/.test(file))
    .sort()
    .map((file) => {
      const text = readFileSync(join(directory, file), 'utf8');
      const checksum = createHash('sha256').update(text).digest('hex').slice(0, 16);
      return { number: Number(file.slice(0, 3)), name: file, text, checksum };
    });
}

interface Placement {
  readonly cluster: string;
  readonly rawSeconds: number;
  readonly minuteSeconds: number;
  readonly rollupSeconds: number;
}

/** The statements of a migration for a single node, or replicated and sharded for a cluster. */
export function renderMigration(text: string, placement: Omit<Placement, 'minuteSeconds'>): string[] {
  const clustered = placement.cluster !== '';
  const engine = (family: string, versionColumn: string) =>
    clustered
      ? `Replicated${family}MergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}'${versionColumn && `, ${versionColumn}`})`
      : `${family}MergeTree(${versionColumn})`;
  const filled = text
    .replaceAll('{{onCluster}}', clustered ? `ON CLUSTER ${placement.cluster}` : '')
    .replaceAll('{{local}}', clustered ? '_local' : '')
    .replaceAll('{{cluster}}', placement.cluster)
    .replaceAll('{{rawSeconds}}', String(placement.rawSeconds))
    .replaceAll('{{rollupSeconds}}', String(placement.rollupSeconds))
    .replace(/\{\{(Replacing|Aggregating)(?::(\w+))?\}\}/g, (_, family: string, version?: string) => engine(family, version ?? ''));
  return filled
    .replace(/^\s*--.*$/gm, '')
    .split(/;\s*$/m)
    .map((statement) => statement.trim())
    .filter((statement) => statement !== '' && (clustered || !statement.startsWith('{{clusterOnly}}')))
    .map((statement) => statement.replace('{{clusterOnly}}', '').trim());
}

const HISTORY = `
  CREATE TABLE IF NOT EXISTS schema_migrations {{onCluster}} (
    number UInt32, name String, checksum String, applied_at DateTime64(3, 'UTC') DEFAULT now64(3)
  ) ENGINE = {{Replacing}} ORDER BY number;`;

const RETAINED: readonly (readonly [table: string, column: string, kind: 'rawSeconds' | 'minuteSeconds' | 'rollupSeconds'])[] = [
  ['raw_samples', 'toDateTime(time)', 'rawSeconds'],
  ['dead_letters', 'toDateTime(at)', 'rawSeconds'],
  ['dead_letter_replays', 'toDateTime(at)', 'rawSeconds'],
  ['process_exits', 'toDateTime(ended_at)', 'rollupSeconds'],
  ['minute_rollups', 'minute', 'minuteSeconds'],
  ['hour_rollups', 'hour', 'rollupSeconds'],
  ['service_hours', 'hour', 'rollupSeconds'],
  ['lifetimes', 'toDateTime(last_seen)', 'rollupSeconds'],
  ['judgements', 'toDateTime(at)', 'rollupSeconds'],
  ['current_judgements', 'toDateTime(at)', 'rollupSeconds'],
  ['delivery_attempts', 'toDateTime(at)', 'rollupSeconds'],
];

/** A retention changed in the configuration changes the tables; nothing else of a migration that ran is touched. */
async function applyRetention(store: Store, placement: Placement): Promise<void> {
  const suffix = placement.cluster === '' ? '' : '_local';
  const onCluster = placement.cluster === '' ? '' : ` ON CLUSTER ${placement.cluster}`;
  const tables = await store.query<{ name: string; definition: string }>(
    `SELECT name, create_table_query AS definition FROM system.tables WHERE database = {database:String}`,
    { database: store.database },
  );
  for (const [table, column, kind] of RETAINED) {
    const definition = tables.find(({ name }) => name === table + suffix)?.definition;
    if (definition === undefined || definition.includes(`toIntervalSecond(${placement[kind]})`)) continue;
    await store.command(`ALTER TABLE ${table}${suffix}${onCluster} MODIFY TTL ${column} + toIntervalSecond(${placement[kind]})`);
  }
}

/** Safe to run again and by two processes at once: every statement is IF NOT EXISTS or OR REPLACE. Retrying is the caller's. */
export async function migrate(store: Store, options: MigrateOptions = {}): Promise<{ applied: string[] }> {
  const placement: Placement = {
    cluster: options.cluster ?? '',
    rawSeconds: Math.round((options.rawRetentionMs ?? 14 * DAY_MS) / 1000),
    minuteSeconds: Math.round((options.minuteRetentionMs ?? 400 * DAY_MS) / 1000),
    rollupSeconds: Math.round((options.rollupRetentionMs ?? 400 * DAY_MS) / 1000),
  };
  const migrations = readMigrations(options.directory);
  await store.createDatabase();
  for (const statement of renderMigration(HISTORY, placement)) await store.command(statement);
  const known = await store.query<{ number: number; name: string; checksum: string }>(
    'SELECT number, name, checksum FROM schema_migrations FINAL ORDER BY number',
  );
  const newest = known.at(-1);
  if (newest !== undefined && !migrations.some(({ number }) => number === newest.number)) {
    throw new LeaklineError(
      'LKL_ERR_MIGRATION',
      `the store is at migration ${newest.name}, which this version does not have: use a version at least as new as the one that made it`,
    );
  }
  const applied: string[] = [];
  for (const migration of migrations) {
    const before = known.find(({ number }) => number === migration.number);
    if (before !== undefined && before.checksum !== migration.checksum) {
      throw new LeaklineError(
        'LKL_ERR_MIGRATION',
        `${migration.name} has changed since it ran here (was ${before.checksum}, is ${migration.checksum}): a migration is never edited, add a new one`,
      );
    }
    if (before !== undefined) continue;
    for (const statement of renderMigration(migration.text, placement)) await store.command(statement);
    await store.insertRows('schema_migrations', [{ number: migration.number, name: migration.name, checksum: migration.checksum }]);
    applied.push(migration.name);
  }
  await applyRetention(store, placement);
  return { applied };
}
