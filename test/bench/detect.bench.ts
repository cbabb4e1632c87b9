/**
 * A fleet judged from nothing: `npx tsx test/bench/detect.bench.ts [LIFETIMES] [DIRECTORY]`. Two weeks of hours of every lifetime are
 * made up inside the engine (10 lifetimes a service; of 100 services one leaks, 25 breathe daily), then read and judged as the detector
 * does when it starts, in CPU-seconds, one thread of the engine and ours together. A DIRECTORY is kept and used again.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { GridWalk } from '../../services/detector/grid-walk.ts';
import { policyFor } from '../../services/detector/policy.ts';
import { judgedColumns } from '../../services/detector/judged-columns.ts';
import type { Series } from '../../shared/series.ts';
import { migrate } from '../../shared/store/migrate.ts';
import { readSeriesInBatches } from '../../shared/store/series-batches.ts';
import { openStore, type Store } from '../../shared/store/store.ts';
import { fillLifetimes, fillRollups, heldBytes, HOUR, leakingServices, measured, PER_SERVICE, START } from './made-fleet.ts';

const HOURS = 14 * 24;
const END = START + HOURS * HOUR;
/** Services whose walks are kept, so that memory a lifetime can be told. */
const KEPT_SERVICES = 500;

const lifetimes = Number(process.argv[2] ?? 100_000);
const directory = process.argv[3] ?? mkdtempSync(join(tmpdir(), 'leakline-bench-'));
const policy = policyFor('production');
const HOUR_COLUMNS = ['anon_min', 'cgroup_anon_min', 'rss_min', 'working_set_min', 'swap_min', 'heap_used_min', 'heap_live_last']
  .concat(['heap_committed_last', 'memory_limit_last', 'heap_limit_last', 'requests_last', 'samples'])
  .map((column) => `sum(${column})`);

async function scan(store: Store, what: readonly string[]) {
  const sql = `SELECT count() AS rows, ${what.map((one, index) => `${one} AS c${String(index)}`).join(', ')} FROM hour_rollups SETTINGS max_threads = 1`;
  return { rows: (await store.query<{ rows: number }>(sql))[0]?.rows };
}

const batches = (store: Store) =>
  readSeriesInBatches(store, { from: START, to: END, blockMs: HOUR, columns: judgedColumns(HOUR, policy.baseBlockMs) });

async function read(store: Store) {
  let rows = 0;
  for await (const batch of batches(store)) for (const { time } of batch) rows += time.length;
  return { rows };
}

/** Replays and judges every service; `kept` holds on to some. */
async function evaluate(store: Store, kept: GridWalk[]) {
  let judged = 0;
  const leaking: string[] = [];
  for await (const batch of batches(store)) {
    const byService = new Map<string, Series[]>();
    for (const series of batch) byService.set(series.service, [...(byService.get(series.service) ?? []), series]);
    for (const [service, series] of byService) {
      const walk = new GridWalk(service, 'production', policy, HOUR);
      walk.replayAll({ from: START, to: END, strideMs: HOUR }, series, [], END);
      const { pooled, instances } = walk.history.judge(END);
      judged += instances.length;
      if (pooled.some(({ verdict }) => verdict === 'leak')) leaking.push(service);
      if (kept.length < KEPT_SERVICES) kept.push(walk);
    }
  }
  return { judged, leaking: leaking.length };
}

const store = await openStore({ path: directory, maxMemoryBytes: 4 * 1024 ** 3 });
await migrate(store, { rawRetentionMs: 1e12, minuteRetentionMs: 1e12, rollupRetentionMs: 1e12 });
const [present] = await store.query<{ rows: number }>('SELECT count() AS rows FROM hour_rollups');
if (present?.rows !== lifetimes * HOURS) {
  await fillRollups(store, 'hour_rollups', lifetimes, START, END);
  await fillLifetimes(store);
  // Merging goes on for minutes otherwise, and would be counted with whatever is measured.
  await store.command('OPTIMIZE TABLE hour_rollups FINAL');
}
const KEY = ['max(hour)', 'max(last_time)', 'max(service)', 'max(instance)', 'max(lifetime)'];
await scan(store, HOUR_COLUMNS);
const one = await measured('bare sum() of one column', () => scan(store, ['sum(anon_min)']));
const bare = await measured('bare sum() of the same columns', () => scan(store, HOUR_COLUMNS));
const keyed = await measured('the same and the key', () => scan(store, [...HOUR_COLUMNS, ...KEY]));
const reading = await measured('read', () => read(store));
const kept: GridWalk[] = [];
const before = await heldBytes();
const evaluation = await measured('read, replay and judge every lifetime', () => evaluate(store, kept));
const held = (await heldBytes()) - before;
console.log(
  JSON.stringify({
    readOverOneColumn: reading.cpuSeconds / one.cpuSeconds,
    readOverSameColumns: reading.cpuSeconds / bare.cpuSeconds,
    readOverSameColumnsAndKey: reading.cpuSeconds / keyed.cpuSeconds,
    evaluationCpuSeconds: evaluation.cpuSeconds,
    truth: await leakingServices(store, lifetimes),
    found: evaluation.leaking,
    // Told with `node --expose-gc` alone.
    ...(globalThis.gc === undefined ? {} : { bytesPerLifetime: Math.round(held / (kept.length * PER_SERVICE)) }),
  }),
);
await store.close();
if (process.argv[3] === undefined) rmSync(directory, { recursive: true, force: true });
process.exit(0);
