/** `leakline backup`, asked of a running console, and `leakline restore` of what it gave. */
import { createReadStream, createWriteStream, existsSync, statSync } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import type { ReadableStream } from 'node:stream/web';
import { pipeline } from 'node:stream/promises';
import { systemClock } from '../../shared/clock.ts';
import type { Config } from '../../shared/config.ts';
import { bytesText } from '../../shared/bytes-text.ts';
import { LeaklineError } from '../../shared/errors.ts';
import { sync } from '../../shared/store/durable.ts';
import { restore } from '../../shared/store/restore.ts';
import { call, type ConsoleTarget } from './console-client.ts';

/** Of a folder: a file in it that is named after the moment. */
function fileFor(to: string): string {
  const isFolder = statSync(to, { throwIfNoEntry: false })?.isDirectory() === true;
  const moment = new Date(systemClock.now()).toISOString().slice(0, 19).replaceAll(':', '-');
  const file = isFolder ? join(to, `leakline-${moment}Z.tar`) : to;
  if (existsSync(file)) throw new LeaklineError('LKL_ERR_USAGE', `${file} exists: a backup overwrites nothing, name another file`);
  return file;
}

export async function saveBackup(target: ConsoleTarget, to: string): Promise<void> {
  const file = fileFor(to);
  const response = await call(target, '/api/v1/backup', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: '{}',
  });
  const unfinished = `${file}.unfinished`;
  const out = createWriteStream(unfinished, { mode: 0o600, flush: true });
  try {
    await pipeline(Readable.fromWeb(response.body as ReadableStream), out);
    await rename(unfinished, file);
    await sync(dirname(file));
  } catch (cause) {
    await rm(unfinished, { force: true });
    const { code, syscall, message } = cause as NodeJS.ErrnoException;
    throw syscall === undefined
      ? new LeaklineError('LKL_ERR_UNREACHABLE', `${target.url} broke off (${message}): nothing was saved, start the backup again`, {
          cause,
        })
      : new LeaklineError('LKL_ERR_BACKUP', `${file} cannot be written (${code}): make room or name another file, nothing was saved`, {
          cause,
        });
  }
  process.stdout.write(`saved ${bytesText(out.bytesWritten)} in ${file}\n`);
}

export async function restoreBackup({ data, store }: Config, from: string): Promise<void> {
  if (statSync(from, { throwIfNoEntry: false })?.isFile() !== true) {
    throw new LeaklineError('LKL_ERR_USAGE', `${from} is no file: name one that \`leakline backup\` made`);
  }
  const path = join(data, 'store');
  const { at, files } = await restore(createReadStream(from), { path, database: store.database });
  const bytes = Object.values(files).reduce((sum, file) => sum + file.bytes, 0);
  process.stdout.write(`restored ${bytesText(bytes)} as of ${at} into ${path}: \`leakline up --data ${data}\` starts from it\n`);
}
