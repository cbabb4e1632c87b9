/** What is written is there after a power cut only once it was synced, and so was the folder that names it. */
import { open, readdir } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';

/** A file or a folder. */
export async function sync(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } catch (error) {
    // Some network file systems sync no folders.
    if ((error as NodeJS.ErrnoException).code !== 'EINVAL') throw error;
  } finally {
    await handle.close();
  }
}

/** All at once in the end: the disk has written most of it by then, which it has not right after each file. */
export async function syncTree(folder: string): Promise<void> {
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) await sync(join(entry.parentPath, entry.name));
  await sync(folder);
}

/** The folders that name what is at a path, as far up as some were made for it: the last is the one that names `firstMade`. */
export async function syncNames(path: string, firstMade: string): Promise<void> {
  const last = dirname(resolve(firstMade));
  let folder = resolve(path);
  do {
    folder = dirname(folder);
    await sync(folder);
  } while (folder !== last && folder !== dirname(folder));
}
