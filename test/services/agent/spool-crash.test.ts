/** kill -9 at random moments: whatever append() said it has comes out once more, whole, in order; what was acknowledged may come again. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { buildSync } from 'esbuild';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Spool } from '../../../services/agent/spool.ts';

let directory: string;
let writer: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'leakline-crash-'));
  writer = join(directory, 'writer.mjs');
  buildSync({
    entryPoints: [join(import.meta.dirname, 'spool-writer.ts')],
    bundle: true,
    platform: 'node',
    format: 'esm',
    outfile: writer,
  });
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

async function writeUntilKilled(spool: string, first: number, lifeMs: number): Promise<string[]> {
  const child = spawn(process.execPath, [writer, spool, String(first)], { stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  await once(child.stdout, 'data');
  await sleep(lifeMs);
  child.kill('SIGKILL');
  await once(child, 'close');
  // A last line without its newline was not finished: it does not count.
  return output.split('\n').slice(0, -1);
}

it('loses nothing it took, through 20 kills of the same spool', async () => {
  const path = join(directory, 'spool');
  let next = 0;
  const taken: number[] = [];
  let acknowledging = -1;
  let acknowledged = -1;
  // Fixed series of moments, so that a failure can be had again.
  let seed = 12_345;
  for (let kill = 0; kill < 20; kill++) {
    seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31;
    const lines = await writeUntilKilled(path, next, seed % 60);
    for (const line of lines) {
      const [word = '', number] = line.split(' ');
      if (word === 'acknowledging') acknowledging = Number(number);
      else if (word === 'acknowledged') acknowledged = Number(number);
      else taken.push(Number(line));
    }
    next = taken.at(-1)! + 2;
  }
  const spool = new Spool(path, 64 << 20);
  const found: number[] = [];
  for (let batch = spool.next(); batch !== undefined; batch = spool.next()) {
    const [number = '', body = ''] = batch.payload.toString().split(':');
    expect(body).toHaveLength((Number(number) * 7919) % 5000);
    found.push(Number(number));
    spool.acknowledge(batch);
  }
  spool.close();
  expect(taken.length).toBeGreaterThan(200);
  expect(acknowledged).toBeGreaterThan(0);
  // In order, nothing twice, nothing missing behind the last acknowledgement begun, nothing again before the last one done.
  expect(found).toEqual([...new Set(found)].sort((a, b) => a - b));
  expect(taken.filter((number) => number > acknowledging && !found.includes(number))).toEqual([]);
  expect(found.filter((number) => number <= acknowledged)).toEqual([]);
});
