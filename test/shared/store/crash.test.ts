import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { expect, it } from 'vitest';
import { rollUp } from '../../../shared/store/rollups.ts';
import { insertSamples } from '../../../shared/store/samples.ts';
import { openStore } from '../../../shared/store/store.ts';
import { BATCH_ROWS, crashBatch } from './crash-batch.ts';
import { columnsOf, temporaryDirectory } from './fixture.ts';
import { naiveRollups, ROLLUP_COLUMNS } from './naive-rollup.ts';

const HOUR = 3_600_000;
/** Batches acknowledged, with a different remainder each round, before the kill; the kill itself lands anywhere after. */
const KILL_AFTER = [3, 9, 1, 5];

/** Runs the writer until so many more batches are acknowledged, then kill -9. Returns the number of the next batch. */
async function writeAndKill(path: string, base: number, first: number, batches: number): Promise<number> {
  const child = spawn(
    process.execPath,
    ['--import', 'tsx', join(import.meta.dirname, 'crash-child.ts'), path, String(first), String(base)],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  let next = first;
  for await (const line of createInterface({ input: child.stdout })) {
    if (line === 'ready') continue;
    next = Number(line) + 1;
    if (next - first === batches) child.kill('SIGKILL');
  }
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  expect(child.signalCode).toBe('SIGKILL');
  return next;
}

it(
  'a store killed in the middle of inserts and roll-ups has every acknowledged sample once, and right rollups',
  { timeout: 180_000 },
  async () => {
    const { path, remove } = temporaryDirectory();
    const base = Math.floor(Date.now() / HOUR) * HOUR - HOUR;
    let next = 0;
    for (const batches of KILL_AFTER) next = await writeAndKill(path, base, next, batches);
    expect(next).toBeGreaterThanOrEqual(KILL_AFTER.reduce((total, batches) => total + batches, 0));

    const store = await openStore({ path });
    const batches = Array.from({ length: next }, (_, batch) => crashBatch(base, batch));
    const [kept] = await store.query<{ rows: number }>(
      'SELECT count() AS rows FROM samples WHERE time < fromUnixTimestamp64Milli({end:Int64})',
      {
        end: base + next * 2000,
      },
    );
    expect(kept?.rows).toBe(next * BATCH_ROWS);

    // What was never acknowledged comes again, and here everything with it.
    for (const batch of [...batches, crashBatch(base, next)]) await insertSamples(store, columnsOf(batch));
    await rollUp(store);
    const rows = [...batches.flat(), ...crashBatch(base, next)];
    const [all] = await store.query<{ rows: number }>('SELECT count() AS rows FROM samples');
    expect(all?.rows).toBe(rows.length);
    for (const [table, time, unitMs] of [
      ['minute_rollups', 'minute', 60_000],
      ['hour_rollups', 'hour', HOUR],
    ] as const) {
      const stored = await store.query(
        `SELECT lifetime, toUnixTimestamp(${time}) * 1000 AS start, ${ROLLUP_COLUMNS.join(', ')} FROM ${table} FINAL ORDER BY lifetime, start`,
      );
      expect(stored).toEqual(naiveRollups(rows, unitMs));
    }
    await store.close();
    remove();
  },
);
