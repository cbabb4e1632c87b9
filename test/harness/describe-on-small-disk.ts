/** A suite on a file system that can be filled; where there can be none it says so in its place. */
import { afterAll, describe, it } from 'vitest';
import { temporaryDirectory } from '../shared/store/fixture.ts';
import { SmallDisk } from './small-disk.ts';

export function describeOnSmallDisk(title: string, sizeMiB: number, suite: (disk: SmallDisk) => void): void {
  const { path, remove } = temporaryDirectory();
  const disk = SmallDisk.open(path, sizeMiB);
  describe(title, () => {
    // Hooks run after those of the suite, which close what works on the disk.
    afterAll(() => {
      if (typeof disk !== 'string') disk.close();
      remove();
    });
    if (typeof disk !== 'string') suite(disk);
    else
      it('needs a file system of its own', () => {
        console.warn(`the disk cannot be filled here, so this is left out: ${disk}`);
      });
  });
}
