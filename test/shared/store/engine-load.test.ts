/** Who has a server does not carry the engine: its library is loaded with the first embedded store, and only then. */
import { execFileSync } from 'node:child_process';
import { expect, it } from 'vitest';
import { temporaryDirectory } from './fixture.ts';

const STORE = new URL('../../../shared/store/store.ts', import.meta.url).href;

/** Whether a process that opened such a store has the library mapped. */
function loadsEngine(options: { readonly url: string } | { readonly path: string }): boolean {
  const program = `
    const { openStore } = await import(${JSON.stringify(STORE)});
    const store = await openStore(${JSON.stringify(options)});
    const { readFileSync } = await import('node:fs');
    process.stdout.write(String(readFileSync('/proc/self/maps', 'utf8').includes('libchdb')));
    await store.close();`;
  const args = ['--import', import.meta.resolve('tsx'), '--input-type=module', '--eval', program];
  return execFileSync(process.execPath, args, { encoding: 'utf8' }) === 'true';
}

it('is loaded for a directory and not for a server', () => {
  const { path, remove } = temporaryDirectory();
  try {
    expect(loadsEngine({ path })).toBe(true);
    expect(loadsEngine({ url: 'http://127.0.0.1:1' })).toBe(false);
  } finally {
    remove();
  }
});
