/** Makes the data directory of an embedded store from a backup, every byte of it checked and on the disk; all of it or none. */
import { createWriteStream, existsSync, readdirSync } from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { pipeline, Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { extract } from 'tar-stream';
import { LeaklineError } from '../errors.ts';
import { copy, MANIFEST, MANIFEST_SUM, manifestSchema, sumOf, type FileFacts, type Manifest } from './backup.ts';
import { syncNames, syncTree } from './durable.ts';
import { readMigrations } from './migrate.ts';

export interface RestoreOptions {
  /** Directory of the store to be. */
  readonly path: string;
  readonly database: string;
  /** Where the numbered migrations are; default: infra/clickhouse of this package. */
  readonly directory?: string;
}

const torn = (what: string, cause?: unknown) =>
  new LeaklineError('LKL_ERR_BACKUP', `the backup is not whole: ${what}; nothing was restored, take another one`, { cause });

/** What is wrong with the file, or with where it goes. */
function explain(error: unknown, folder: string): LeaklineError {
  if (error instanceof LeaklineError) return error;
  const { code, syscall, message } = error as NodeJS.ErrnoException;
  if (code === undefined || syscall === undefined || syscall === 'read') return torn(`it is cut, or no tar (${message})`, error);
  return new LeaklineError('LKL_ERR_BACKUP', `${folder} cannot be written (${code}): make room or mend it, nothing was restored`, {
    cause: error,
  });
}

const isInside = (name: string) => name.split('/').every((part) => /^[\w%.-]+$/.test(part) && !/^\.+$/.test(part));

function readManifest(json: string, sum: string): Manifest {
  if (sum === '') throw torn('it has no checksum of its manifest, which comes last');
  if (sum !== sumOf(json)) throw torn('its manifest is not as it was saved');
  const manifest = manifestSchema.safeParse(JSON.parse(json));
  if (manifest.success) return manifest.data;
  throw torn(`its manifest is of a kind this version does not know (${manifest.error.issues[0]?.message ?? ''})`, manifest.error);
}

function checkFiles(found: ReadonlyMap<string, FileFacts>, { files }: Manifest): void {
  for (const [name, { bytes, sha256 }] of Object.entries(files)) {
    const file = found.get(name);
    if (file === undefined) throw torn(`${name} is missing`);
    if (file.bytes !== bytes || file.sha256 !== sha256) throw torn(`${name} is not as it was saved`);
  }
  for (const name of found.keys()) if (!(name in files)) throw torn(`${name} was not saved by it`);
}

function checkSchema({ migrations, database }: Manifest, options: RestoreOptions): void {
  const known = readMigrations(options.directory);
  for (const { number, name, checksum } of migrations) {
    if (known.some((migration) => migration.number === number && migration.checksum === checksum)) continue;
    throw new LeaklineError(
      'LKL_ERR_MIGRATION',
      `the backup has migration ${name}, which this version does not have: use a version at least as new as the one that made it`,
    );
  }
  if (database !== options.database) {
    throw new LeaklineError(
      'LKL_ERR_CONFIG',
      `the backup is of database ${database}, store.database is ${options.database}: set it to ${database}`,
    );
  }
}

async function unpack(source: Readable, folder: string): Promise<Manifest> {
  const entries = extract();
  // A fault of the source comes out of the loop.
  pipeline(source, entries, () => undefined);
  const found = new Map<string, FileFacts>();
  let [json, sum] = ['', ''];
  for await (const entry of entries) {
    const { name, type } = entry.header;
    if (type !== 'file' || !isInside(name) || found.has(name)) throw torn(`it holds ${JSON.stringify(name)} (${type})`);
    if (name === MANIFEST) json = await text(entry);
    else if (name === MANIFEST_SUM) sum = await text(entry);
    else {
      const path = join(folder, name);
      await mkdir(dirname(path), { recursive: true, mode: 0o700 });
      found.set(name, await copy(Readable.from(entry), createWriteStream(path, { mode: 0o600 })));
    }
  }
  const manifest = readManifest(json, sum);
  checkFiles(found, manifest);
  return manifest;
}

/** Under another name until all of it is checked, so that what a killed restore leaves is never taken for a store. */
export async function restore(source: Readable, options: RestoreOptions): Promise<Manifest> {
  const { path } = options;
  if (existsSync(path) && readdirSync(path).length > 0) {
    throw new LeaklineError('LKL_ERR_USAGE', `${path} is not empty: a backup is restored into a fresh directory, name one with --data`);
  }
  const folder = `${path}.restoring`;
  try {
    await rm(folder, { recursive: true, force: true });
    const firstMade = (await mkdir(folder, { recursive: true, mode: 0o700 })) ?? folder;
    const manifest = await unpack(source, folder);
    checkSchema(manifest, options);
    await syncTree(folder);
    await rename(folder, path);
    await syncNames(path, firstMade).catch(async (error: unknown) => {
      await rename(path, folder);
      throw error;
    });
    return manifest;
  } catch (error) {
    throw explain(error, folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
