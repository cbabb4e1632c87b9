/**
 * A copy of the embedded store while it runs: a data directory of hard links as of one moment, sent as a tar. The manifest
 * and its checksum go last and say what every file must be, so a copy that was cut or altered is known as such by restore.ts.
 */
import { createHash, randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { link, mkdir, readdir, rm, stat } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Session } from 'chdb';
import { pack, type Pack } from 'tar-stream';
import { z } from 'zod';

export const MANIFEST = 'manifest.json';

/** As `sha256sum` writes it. The last file: where it is, all is there. */
export const MANIFEST_SUM = 'manifest.sha256';

export const sumOf = (manifest: string) => `${createHash('sha256').update(manifest).digest('hex')}  ${MANIFEST}\n`;

const fileFacts = z.strictObject({ bytes: z.int().min(0), sha256: z.string().regex(/^[0-9a-f]{64}$/) });

export const manifestSchema = z.strictObject({
  format: z.literal(1),
  /** The moment all rows are as of. */
  at: z.iso.datetime(),
  database: z.string(),
  /** Those that had run. */
  migrations: z.array(z.strictObject({ number: z.int(), name: z.string(), checksum: z.string() })).min(1),
  /** By path, in the tar as in the data directory. */
  files: z.record(z.string(), fileFacts),
});

export type Manifest = z.output<typeof manifestSchema>;
export type FileFacts = z.output<typeof fileFacts>;

export interface Frozen {
  readonly folder: string;
  readonly head: Omit<Manifest, 'files'>;
}

/** Where the engine puts what it freezes, in its data directory. Whatever is there when a store is opened was left by a crash. */
export const FROZEN_FOLDER = 'shadow';

/** Beside the parts of a table: what a data directory needs to be opened, and mutations that are not done. */
const BESIDE_PARTS = /^(\w+\.sql|format_version\.txt|mutation_\d+\.txt)$/;

async function linkBesideParts(from: string, to: string): Promise<void> {
  await mkdir(to, { recursive: true });
  for (const entry of await readdir(from, { withFileTypes: true })) {
    if (entry.isFile() && BESIDE_PARTS.test(entry.name)) await link(join(from, entry.name), join(to, entry.name));
  }
}

const folderOf = (uuid: string) => join('store', uuid.slice(0, 3), uuid);

/**
 * Links take milliseconds whatever the size of the store. The caller lets nothing be written meanwhile, so the copy is what
 * kill -9 would have left at that moment: a state every part of the pipeline starts from.
 */
export async function freeze(session: Session, path: string, database: string): Promise<Frozen> {
  const ask = async <Row>(sql: string) =>
    (await session.queryAsync(sql, { format: 'JSONEachRow' }))
      .text()
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as Row);
  const tables = await ask<{ name: string; uuid: string }>(
    `SELECT name, toString(uuid) AS uuid FROM system.tables WHERE database = '${database}' AND engine LIKE '%MergeTree'`,
  );
  const [place] = await ask<{ uuid: string; at: string }>(
    `SELECT toString(uuid) AS uuid, toString(toUnixTimestamp64Milli(now64(3))) AS at FROM system.databases WHERE name = '${database}'`,
  );
  const migrations = await ask<Manifest['migrations'][number]>(
    `SELECT number, name, checksum FROM ${database}.schema_migrations FINAL ORDER BY number`,
  );
  // The engine escapes what is no word character.
  const name = randomBytes(8).toString('hex');
  const folder = join(path, FROZEN_FOLDER, name);
  try {
    await session.queryAsync(tables.map((table) => `ALTER TABLE ${database}.${table.name} FREEZE WITH NAME '${name}'`).join('; '));
    await mkdir(join(folder, 'metadata'), { recursive: true });
    await link(join(path, 'metadata', `${database}.sql`), join(folder, 'metadata', `${database}.sql`));
    for (const { uuid } of [place!, ...tables]) await linkBesideParts(join(path, folderOf(uuid)), join(folder, folderOf(uuid)));
    return { folder, head: { format: 1, at: new Date(Number(place!.at)).toISOString(), database, migrations } };
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
}

/** From one to the other; what passed. */
export async function copy(from: Readable, to: NodeJS.WritableStream): Promise<FileFacts> {
  const hash = createHash('sha256');
  let bytes = 0;
  const note = async function* (chunks: AsyncIterable<Buffer>) {
    for await (const chunk of chunks) {
      hash.update(chunk);
      bytes += chunk.length;
      yield chunk;
    }
  };
  await pipeline(from, note, to);
  return { bytes, sha256: hash.digest('hex') };
}

async function addAll(tar: Pack, { folder, head }: Frozen): Promise<void> {
  const files: Record<string, FileFacts> = {};
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    const name = relative(folder, path);
    files[name] = await copy(createReadStream(path), tar.entry({ name, size: (await stat(path)).size }));
  }
  const manifest = JSON.stringify({ ...head, files } satisfies Manifest);
  tar.entry({ name: MANIFEST }, manifest);
  tar.entry({ name: MANIFEST_SUM }, sumOf(manifest));
  tar.finalize();
}

/** The tar as it is read. The folder goes when it closes, however it ends. */
export function archive(frozen: Frozen): Readable {
  const tar = pack();
  addAll(tar, frozen).catch((error: unknown) => tar.destroy(error as Error));
  return Readable.from(tar, { objectMode: false }).once('close', () => {
    tar.destroy();
    rm(frozen.folder, { recursive: true, force: true }).catch(() => undefined);
  });
}
