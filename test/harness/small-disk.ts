/** A file system of its own that can be filled to the last byte. Needs root and Linux; where it cannot be had, open() says why. */
import { spawnSync } from 'node:child_process';
import { closeSync, ftruncateSync, mkdirSync, openSync, rmSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';

const BLOCKS = [1 << 20, 1 << 12, 1].map((bytes) => Buffer.alloc(bytes, 1));

export class SmallDisk {
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  /** A text: why it cannot be had. */
  static open(path: string, sizeMiB: number): SmallDisk | string {
    mkdirSync(path, { recursive: true });
    const { status, stderr, error } = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${sizeMiB}m`, 'leakline-test', path], {
      encoding: 'utf8',
    });
    return status === 0 ? new SmallDisk(path) : (error?.message ?? stderr.trim());
  }

  /** Leaves so many bytes, by default none. Call again to take what was given back meanwhile. */
  fill(leaveBytes = 0): void {
    const ballast = join(this.path, 'ballast');
    const file = openSync(ballast, 'a');
    try {
      for (const block of BLOCKS) while (wasWritten(file, block));
      if (leaveBytes > 0) ftruncateSync(file, statSync(ballast).size - leaveBytes);
    } finally {
      closeSync(file);
    }
  }

  empty(): void {
    rmSync(join(this.path, 'ballast'), { force: true });
  }

  close(): void {
    spawnSync('umount', ['--lazy', this.path]);
  }
}

function wasWritten(file: number, block: Buffer): boolean {
  try {
    return writeSync(file, block) === block.length;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOSPC') return false;
    throw error;
  }
}
