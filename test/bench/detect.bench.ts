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

const HOUR = 3_600_000;
const HOURS = 14 * 24;
const PER_SERVICE = 10;
const START = Date.UTC(2026, 10, 1);
const END = START + HOURS * HOUR;
const ROWS_PER_INSERT = 1_680_000;
/** Services whose walks are kept, so that memory a lifetime can be told. */
const KEPT_SERVICES = 500;

const lifetimes = Number(process.argv[2] ?? 100_000);
const directory = process.argv[3] ?? mkdtempSync(join(tmpdir(), 'leakline-bench-'));
const policy = policyFor('production');
async function fill(store: Store): Promise<void> {
  for (let from = 0; from < lifetimes * HOURS; from += ROWS_PER_INSERT) {
    await store.command(`
      INSERT INTO hour_rollups (service, instance, lifetime, hour, environment, version, host, runtime, process_started_at, first_time, last_time,
        samples, rss_min, rss_max, rss_last, rss_sum, rss_count, anon_min, anon_max, anon_last, anon_sum, anon_count, memory_limit_last,
        source_received_at, revision)
      WITH
        intDiv(number, ${HOURS}) AS life, number % ${HOURS} AS h, intDiv(life, ${PER_SERVICE}) AS svc, cityHash64(svc) AS hs,
        toDateTime(${START / 1000} + h * 3600, 'UTC') AS hour_, toDateTime64(hour_, 3, 'UTC') AS begin, lower(hex(cityHash64(life))) AS id,
        (hs % 4 = 0) * 0.1 * sin(6.283 * (h % 24) / 24 + hs % 7) AS daily, (hs % 100 = 7) * 0.004 * greatest(0., toFloat64(h) - 100) AS leak,
        0.02 * (cityHash64(number) % 1000 / 1000 - 0.5) AS noise, (100 + hs % 1000) * 1e6 * (1 + daily + leak + noise - 0.3 * exp(-h / 1.5)) AS low
      SELECT
        concat('service-', leftPad(toString(svc), 5, '0')), concat('pod-', leftPad(toString(life % ${PER_SERVICE}), 2, '0'), '-', left(id, 5)), id,
        hour_, 'production', 'v42', concat('host-', toString(life % 500)), 'nodejs', toDateTime64(${START / 1000}, 3, 'UTC'), begin, begin + 3590,
        360, toUInt64(low + 20e6), toUInt64(1.1 * low + 20e6), toUInt64(1.05 * low + 20e6), 360 * low, 360,
        toUInt64(low), toUInt64(1.1 * low), toUInt64(1.05 * low), 360 * low, 360, 2000000000, begin + 3600, 1
      FROM numbers_mt(${from}, ${Math.min(ROWS_PER_INSERT, lifetimes * HOURS - from)})
      SETTINGS max_block_size = 65536, min_insert_block_size_rows = 262144, min_insert_block_size_bytes = 268435456`);
  }
}

/** What tells the reader how to cut the fleet into batches. */
const fillLifetimes = (store: Store) =>
  store.command(`
    INSERT INTO lifetimes (service, instance, lifetime, first_seen, last_seen)
    SELECT service, instance, lifetime, min(first_time), max(last_time) FROM hour_rollups GROUP BY service, instance, lifetime
    SETTINGS optimize_aggregation_in_order = 1`);

async function measured<Result>(what: string, work: () => Promise<Result>): Promise<Result & { cpuSeconds: number }> {
  const before = process.cpuUsage();
  const result = await work();
  const { user, system } = process.cpuUsage(before);
  const cpuSeconds = (user + system) / 1e6;
  console.log(JSON.stringify({ what, cpuSeconds, ...result, rssMiB: Math.round(process.memoryUsage.rss() / 2 ** 20) }));
  return { ...result, cpuSeconds };
}

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
await migrate(store, { rawRetentionMs: 1e12, rollupRetentionMs: 1e12 });
const [present] = await store.query<{ rows: number }>('SELECT count() AS rows FROM hour_rollups');
if (present?.rows !== lifetimes * HOURS) {
  await fill(store);
  await fillLifetimes(store);
  // Merging goes on for minutes otherwise, and would be counted with whatever is measured.
  await store.command('OPTIMIZE TABLE hour_rollups FINAL');
}
const [truth] = await store.query<{ leaking: number }>(
  `SELECT countIf(cityHash64(number) % 100 = 7) AS leaking FROM numbers(${lifetimes / PER_SERVICE})`,
);
const KEY = ['max(hour)', 'max(last_time)', 'max(service)', 'max(instance)', 'max(lifetime)'];
await scan(store, HOUR_COLUMNS);
const one = await measured('bare sum() of one column', () => scan(store, ['sum(anon_min)']));
const bare = await measured('bare sum() of the same columns', () => scan(store, HOUR_COLUMNS));
const keyed = await measured('the same and the key', () => scan(store, [...HOUR_COLUMNS, ...KEY]));
const reading = await measured('read', () => read(store));
const kept: GridWalk[] = [];
globalThis.gc?.();
const before = process.memoryUsage();
const evaluation = await measured('read, replay and judge every lifetime', () => evaluate(store, kept));
globalThis.gc?.();
const after = process.memoryUsage();
console.log(
  JSON.stringify({
    readOverOneColumn: reading.cpuSeconds / one.cpuSeconds,
    readOverSameColumns: reading.cpuSeconds / bare.cpuSeconds,
    readOverSameColumnsAndKey: reading.cpuSeconds / keyed.cpuSeconds,
    evaluationCpuSeconds: evaluation.cpuSeconds,
    truth: truth?.leaking,
    found: evaluation.leaking,
    // Told with `node --expose-gc` alone.
    ...(globalThis.gc === undefined
      ? {}
      : { bytesPerLifetime: Math.round((after.heapUsed - before.heapUsed) / (kept.length * PER_SERVICE)) }),
  }),
);
await store.close();
if (process.argv[3] === undefined) rmSync(directory, { recursive: true, force: true });
process.exit(0);
