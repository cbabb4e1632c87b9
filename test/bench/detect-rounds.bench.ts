/**
 * A detector that starts, and its rounds after that: `node --expose-gc --import tsx test/bench/detect-rounds.bench.ts [LIFETIMES]`. The
 * fleet of made-fleet.ts with two weeks of hours and its last two days in minutes, through the ports of the service: what is read and what
 * is saved included. Minutes come five at a time and are merged as the engine likes, as they are when an ingester writes them. Memory is
 * what the garbage collector leaves, buffers outside the heap too.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createConfiguredDetector } from '../../services/cli/detecting.ts';
import { policyFor } from '../../services/detector/policy.ts';
import { loadConfig } from '../../shared/config.ts';
import { migrate } from '../../shared/store/migrate.ts';
import { openStore } from '../../shared/store/store.ts';
import { fillLifetimes, fillRollups, heldBytes, HOUR, measured, MINUTE, START } from './made-fleet.ts';

const FINE_FROM = START + 12 * 24 * HOUR;
const NOW = FINE_FROM + 48 * HOUR;
const STEP = 5 * MINUTE;
/** One of ten looks back further. */
const ROUNDS = 10;

const lifetimes = Number(process.argv[2] ?? 2000);
const directory = mkdtempSync(join(tmpdir(), 'leakline-bench-'));
const store = await openStore({ path: directory, maxMemoryBytes: 4 * 1024 ** 3 });
await migrate(store, { rawRetentionMs: 1e12, rollupRetentionMs: 1e12 });
await fillRollups(store, 'hour_rollups', lifetimes, START, FINE_FROM);
await fillLifetimes(store);
const fillMinutes = (from: number) => fillRollups(store, 'minute_rollups', lifetimes, from, from + STEP);
for (let from = FINE_FROM - HOUR; from < NOW; from += STEP) await fillMinutes(from);

const detector = createConfiguredDetector({ config: loadConfig({ env: {}, flags: {}, readFile: () => '' }) }, store);
const evaluate = async (at: number) => {
  const { instances, pooled, events } = await detector.evaluate(at + policyFor('production').latenessMs);
  return { judged: instances.length, leaking: pooled.filter(({ verdict }) => verdict === 'leak').length, events: events.length };
};

const before = await heldBytes();
const start = await measured('start: two weeks of hours and two days of minutes', () => evaluate(NOW));
const bytesPerLifetime = Math.round(((await heldBytes()) - before) / lifetimes);
let roundSeconds = 0;
for (let round = 1; round <= ROUNDS; round += 1) {
  await fillMinutes(NOW + (round - 1) * STEP);
  roundSeconds += (await measured(`round ${String(round)}`, () => evaluate(NOW + round * STEP))).cpuSeconds;
}
console.log(
  JSON.stringify({
    startMsPerLifetime: (1e3 * start.cpuSeconds) / lifetimes,
    roundMsPerLifetime: (1e3 * roundSeconds) / ROUNDS / lifetimes,
    // Told with `node --expose-gc` alone.
    ...(globalThis.gc === undefined ? {} : { bytesPerLifetime }),
  }),
);
await store.close();
rmSync(directory, { recursive: true, force: true });
process.exit(0);
