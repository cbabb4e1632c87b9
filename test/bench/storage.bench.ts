/**
 * Bytes on disk per value: `npx tsx test/bench/storage.bench.ts [PROCESSES] [--coarse] [--trials]`.
 * 24 hours at 10 s of rss, heap_used, gc_count and gc_pause_seconds of so many processes (made up, seeded: a heap that saws and
 * sometimes leaks, resident memory in pages that moves now and then, collections that follow the load), through the migrated
 * schema: all active parts of raw_samples after OPTIMIZE FINAL, with time, identity, bookkeeping, marks and index, over the
 * values. Arrival is that of one agent per 50 processes whose flushes come up to a second late. `--trials` instead measures
 * codecs and types column by column, which is where those of the schema come from.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { migrate } from '../../shared/store/migrate.ts';
import { tabulate } from '../../shared/store/process-table.ts';
import { SampleBlock, type Resolution } from '../../shared/store/sample-block.ts';
import { openStore, type Store } from '../../shared/store/store.ts';
import { createRandom, type Random } from '../eval/random.ts';
import { lifetimeOf } from '../harness/sample-batch.ts';

const SAMPLES = 8640;
const STEP_MS = 10_000;
const PER_AGENT = 50;
const VALUES = 4;
const START = Math.floor(Date.now() / 86_400_000) * 86_400_000 - 86_400_000;

interface Curves {
  readonly rss: Float64Array;
  readonly heap_used: Float64Array;
  readonly gc_count: Float64Array;
  readonly gc_pause_seconds: Float64Array;
}

/** Knuth's for small means, the normal curve above. */
function poisson(random: Random, mean: number): number {
  if (mean > 30) return Math.max(0, Math.round(mean + Math.sqrt(mean) * random.gauss()));
  const limit = Math.exp(-mean);
  let count = 0;
  for (let product = random.unit(); product > limit; product *= random.unit()) count++;
  return count;
}

const lognormal = (random: Random, mu: number, sigma: number) => Math.exp(mu + sigma * random.gauss());

function curvesOf(random: Random): Curves {
  const live = random.between(8e6, 2e8);
  const head = live * random.between(0.2, 1.5);
  const isIdle = random.chance(0.3);
  const rate = (head / random.between(3, 60)) * (isIdle ? 0.05 : 1);
  const leak = random.chance(0.05) ? random.between(2e6, 5e8) / SAMPLES : 0;
  const phase = random.unit();
  const curves = {
    rss: new Float64Array(SAMPLES),
    heap_used: new Float64Array(SAMPLES),
    gc_count: new Float64Array(SAMPLES),
    gc_pause_seconds: new Float64Array(SAMPLES),
  };
  let allocated = 0;
  let full = 0;
  let minor = 0;
  let pauseNs = 0;
  let wander = 0;
  let resident = live + head * 0.8 + 4e7;
  for (let at = 0; at < SAMPLES; at++) {
    if (at % 60 === 0) wander = random.gauss() * live * 0.01;
    const load = 1 + 0.5 * Math.sin(2 * Math.PI * (at / SAMPLES + phase)) + 0.15 * random.gauss();
    const bytes = Math.max(rate * load, 0);
    allocated += bytes;
    const collections = Math.floor(allocated / head) - full;
    full += collections;
    const base = live + leak * at + wander;
    const scavenges = poisson(random, Math.max(bytes / 4e6, 0.01));
    minor += scavenges;
    pauseNs += Math.round(1e9 * (scavenges * lognormal(random, -7, 0.4) + (collections > 0 ? lognormal(random, -4.5, 0.5) : 0)));
    if (random.chance(isIdle ? 0.08 : 0.35)) resident += 0.05 * (base + head * 0.8 + 4e7 - resident) + random.gauss() * 6e5;
    curves.heap_used[at] = Math.floor(Math.max(base + allocated - full * head, 1e6) / 8) * 8;
    curves.gc_count[at] = minor + full;
    curves.gc_pause_seconds[at] = pauseNs / 1e9;
    curves.rss[at] = Math.floor(Math.max(resident, 4e6) / 4096) * 4096;
  }
  return curves;
}

function identities(agent: number) {
  const ids = Array.from({ length: PER_AGENT }, (_, id) => agent * PER_AGENT + id);
  return {
    lifetime: ids.map((id) => lifetimeOf(`agent-${agent}`, id)),
    service: ids.map((id) => `service-${id % 40}`),
    environment: ids.map(() => 'production'),
    version: ids.map((id) => `1.${id % 7}.0`),
    host: ids.map(() => `host-${agent}`),
    instance: ids.map((id) => `service-${id % 40}-7d9f8c-${id.toString(36)}`),
    pid: ids.map((id) => 1000 + (id % 30_000)),
    process_started_at: ids.map((id) => START - 3_600_000 - id * 61_003),
    runtime: ids.map((id) => (['python', 'nodejs', 'jvm', 'go'] as const)[id % 4]!),
    labels: ids.map((id) => ({ team: `team-${id % 9}` })),
  };
}

/** Into `arrivals`, a table like raw_samples, and from there with the moment each flush would have been stored at. */
async function load(store: Store, processes: number, resolution: Resolution): Promise<void> {
  await store.command('CREATE TABLE arrivals AS raw_samples');
  for (let agent = 0; agent < processes / PER_AGENT; agent++) {
    const table = tabulate(identities(agent));
    const curves = Array.from({ length: PER_AGENT }, (_, id) => curvesOf(createRandom(agent * PER_AGENT + id + 7)));
    const block = new SampleBlock(resolution);
    const process = Array.from({ length: PER_AGENT }, (_, id) => id);
    for (let at = 0; at < SAMPLES; at++) {
      const column = (name: keyof Curves) => curves.map((curve) => curve[name][at]!);
      const metrics = {
        rss: column('rss'),
        heap_used: column('heap_used'),
        gc_count: column('gc_count'),
        gc_pause_seconds: column('gc_pause_seconds'),
      };
      const time = process.map(() => START + at * STEP_MS);
      block.append({ processes: table, agent: `agent-${agent}`, boot: `boot-${agent}`, seq: at, process, time, metrics });
    }
    await store.insertNative('arrivals', block.encode());
    await store.command(`INSERT INTO raw_samples SELECT * REPLACE (
      toStartOfInterval(time + toIntervalMillisecond(cityHash64(agent) % 10000 + cityHash64(agent, time) % 1000), toIntervalSecond(10)) AS received_at) FROM arrivals`);
    await store.command('TRUNCATE TABLE arrivals');
  }
  await store.command('DROP TABLE arrivals');
}

/** In this order; the first of each column is the plainest. */
const TRIALS: readonly (readonly [column: string, expression: string, variants: readonly string[]])[] = [
  [
    'rss',
    'rss',
    [
      'UInt64 CODEC(LZ4)',
      'UInt64 CODEC(ZSTD(1))',
      'UInt64 CODEC(ZSTD(3))',
      'UInt64 CODEC(ZSTD(6))',
      'UInt64 CODEC(Delta(8), ZSTD(1))',
      'UInt64 CODEC(DoubleDelta, ZSTD(1))',
      'UInt64 CODEC(GCD, ZSTD(1))',
      'UInt64 CODEC(GCD, T64, ZSTD(1))',
      'UInt64 CODEC(GCD, Delta(8), ZSTD(3))',
    ],
  ],
  ['rss in KiB', 'intDiv(rss, 1024)', ['UInt64 CODEC(ZSTD(3))', 'UInt64 CODEC(Delta(8), ZSTD(3))', 'UInt64 CODEC(GCD, ZSTD(3))']],
  [
    'heap_used',
    'heap_used',
    [
      'UInt64 CODEC(LZ4)',
      'UInt64 CODEC(ZSTD(1))',
      "UInt64 CODEC(T64('bit'), ZSTD(1))",
      "UInt64 CODEC(GCD, T64('bit'), ZSTD(1))",
      'UInt64 CODEC(Delta(8), ZSTD(1))',
      "UInt64 CODEC(Delta(8), T64('bit'), ZSTD(1))",
      "UInt64 CODEC(GCD, Delta(8), T64('bit'), ZSTD(1))",
      'UInt64 CODEC(GCD, Delta(8), ZSTD(3))',
      'UInt64 CODEC(GCD, DoubleDelta, ZSTD(3))',
      "UInt64 CODEC(GCD, DoubleDelta, T64('bit'), ZSTD(3))",
    ],
  ],
  [
    'heap_used in KiB',
    'bitShiftLeft(intDiv(heap_used, 1024), 10)',
    [
      "UInt64 CODEC(T64('bit'), ZSTD(1))",
      "UInt64 CODEC(GCD, T64('bit'), ZSTD(1))",
      "UInt64 CODEC(GCD, Delta(8), T64('bit'), ZSTD(1))",
      'UInt64 CODEC(GCD, DoubleDelta, ZSTD(3))',
      "UInt64 CODEC(GCD, Delta(8), T64('bit'), ZSTD(3))",
      'UInt64 CODEC(GCD, Delta(8), ZSTD(3))',
    ],
  ],
  [
    'gc_count',
    'gc_count',
    [
      'UInt64 CODEC(ZSTD(1))',
      'UInt64 CODEC(Delta(8), ZSTD(1))',
      'UInt64 CODEC(Delta(8), T64, ZSTD(1))',
      'UInt64 CODEC(DoubleDelta, ZSTD(1))',
      'UInt64 CODEC(Delta(8), T64, ZSTD(3))',
      'UInt64 CODEC(Delta(8), ZSTD(3))',
    ],
  ],
  [
    'gc_pause_seconds',
    'toFloat64(gc_pause_seconds)',
    ['Float64 CODEC(ZSTD(1))', 'Float64 CODEC(FPC, ZSTD(1))', 'Float64 CODEC(Gorilla, ZSTD(1))', 'Float64 CODEC(ALP, ZSTD(1))'],
  ],
  [
    'gc_pause in ns',
    'toUInt64(round(toFloat64(gc_pause_seconds) * 1e9))',
    [
      'UInt64 CODEC(ZSTD(1))',
      'UInt64 CODEC(Delta(8), ZSTD(1))',
      'UInt64 CODEC(Delta(8), ZSTD(3))',
      'UInt64 CODEC(Delta(8), T64, ZSTD(1))',
      "UInt64 CODEC(Delta(8), T64('bit'), ZSTD(1))",
      'UInt64 CODEC(DoubleDelta, ZSTD(1))',
    ],
  ],
  [
    'gc_pause in us',
    'toUInt64(round(toFloat64(gc_pause_seconds) * 1e6)) * 1000',
    [
      'UInt64 CODEC(ZSTD(1))',
      'UInt64 CODEC(Delta(8), ZSTD(1))',
      'UInt64 CODEC(GCD, Delta(8), ZSTD(1))',
      'UInt64 CODEC(GCD, Delta(8), ZSTD(3))',
      "UInt64 CODEC(GCD, Delta(8), T64('bit'), ZSTD(1))",
      'UInt64 CODEC(GCD, ZSTD(1))',
    ],
  ],
  [
    'time',
    'time',
    [
      "DateTime64(3, 'UTC') CODEC(ZSTD(1))",
      "DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1))",
      "DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1))",
    ],
  ],
  [
    'received_at in ms',
    'received_at',
    [
      "DateTime64(3, 'UTC') CODEC(ZSTD(1))",
      "DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1))",
      "DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(3))",
    ],
  ],
  [
    'received_at in s',
    'toStartOfSecond(received_at)',
    [
      "DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1))",
      "DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(3))",
      "DateTime64(3, 'UTC') CODEC(GCD, Delta(8), ZSTD(3))",
    ],
  ],
  ['seq', 'seq', ['UInt64 CODEC(DoubleDelta, ZSTD(1))', 'UInt64 CODEC(ZSTD(1))', 'UInt64 CODEC(Delta(8), ZSTD(1))']],
  ['lifetime', 'lifetime', ['String CODEC(ZSTD(1))', 'String CODEC(ZSTD(3))', 'LowCardinality(String)']],
  ['instance', 'instance', ['String CODEC(ZSTD(1))', 'String CODEC(ZSTD(3))', 'LowCardinality(String)']],
];

async function trials(store: Store): Promise<void> {
  for (const [column, expression, variants] of TRIALS) {
    for (const variant of variants) {
      await store
        .command(
          `CREATE TABLE trial (value ${variant}) ENGINE = MergeTree ORDER BY tuple() SETTINGS allow_suspicious_codecs = 1, allow_experimental_codecs = 1`,
        )
        .catch(() => store.command(`CREATE TABLE trial (value ${variant}) ENGINE = MergeTree ORDER BY tuple()`));
      await store.command(
        `INSERT INTO trial SELECT ${expression} FROM raw_samples ORDER BY service, instance, lifetime, raw_samples.time SETTINGS max_insert_threads = 1`,
      );
      await store.command('OPTIMIZE TABLE trial FINAL');
      const [size] = await store.query<{ each: number }>(
        "SELECT sum(data_compressed_bytes) / sum(rows) AS each FROM system.parts WHERE active AND table = 'trial' AND database = currentDatabase()",
      );
      console.log(`${column.padEnd(20)} ${size!.each.toFixed(3).padStart(7)} ${variant}`);
      await store.command('DROP TABLE trial');
    }
  }
}

async function main(): Promise<void> {
  const processes = Number(process.argv.slice(2).find((argument) => /^\d+$/.test(argument)) ?? 200);
  const resolution = process.argv.includes('--coarse') ? 'coarse' : 'full';
  const directory = mkdtempSync(join(tmpdir(), 'leakline-bench-'));
  const store = await openStore({ path: directory });
  try {
    await migrate(store);
    await load(store, processes, resolution);
    await store.command('OPTIMIZE TABLE raw_samples FINAL');
    if (process.argv.includes('--trials')) return await trials(store);
    const [total] = await store.query<{ rows: number; bytes: number }>(
      "SELECT sum(rows) AS rows, sum(bytes_on_disk) AS bytes FROM system.parts WHERE active AND table = 'raw_samples' AND database = currentDatabase()",
    );
    const { rows, bytes } = total!;
    console.log(
      JSON.stringify({
        processes,
        resolution,
        rows,
        bytes,
        bytesPerRow: +(bytes / rows).toFixed(3),
        bytesPerValue: +(bytes / rows / VALUES).toFixed(3),
      }),
    );
    const columns = await store.query<{ name: string; each: number }>(
      "SELECT column AS name, sum(column_bytes_on_disk) / sum(rows) AS each FROM system.parts_columns WHERE active AND table = 'raw_samples' AND database = currentDatabase() GROUP BY column ORDER BY each DESC LIMIT 12",
    );
    for (const { name, each } of columns) console.log(`${name.padEnd(20)} ${each.toFixed(4)}`);
  } finally {
    await store.close();
    rmSync(directory, { recursive: true, force: true });
  }
}

await main();
