/**
 * A fleet judged from nothing: `npx tsx test/bench/detect.bench.ts [LIFETIMES] [DIRECTORY]`. Two weeks of hours of every lifetime are
 * made up inside the engine (10 lifetimes a service; of 100 services one leaks, 25 breathe daily), then read and judged in CPU-seconds
 * on one thread of the engine: triage of all, full judgement of the services in which it finds something. A DIRECTORY is kept and used again.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { GridWalk } from '../../services/detector/grid-walk.ts';
import { policyFor } from '../../services/detector/policy.ts';
import { Sentry } from '../../services/detector/sentry.ts';
import type { Series } from '../../shared/series.ts';
import { readFloors, type Floors } from '../../shared/store/floors.ts';
import { migrate } from '../../shared/store/migrate.ts';
import { readSeries } from '../../shared/store/series.ts';
import { openStore, type Store } from '../../shared/store/store.ts';

const HOUR = 3_600_000;
const HOURS = 14 * 24;
const PER_SERVICE = 10;
const START = Date.UTC(2026, 10, 1);
const END = START + HOURS * HOUR;
const ROWS_PER_INSERT = 1_680_000;
const SERVICES_PER_READ = 500;
const SERVICES_PER_JUDGING = 50;

const lifetimes = Number(process.argv[2] ?? 100_000);
const directory = process.argv[3] ?? mkdtempSync(join(tmpdir(), 'leakline-bench-'));
const policy = policyFor('production');
const nameOf = (service: number) => `service-${String(service).padStart(5, '0')}`;

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

async function measured<Result>(what: string, work: () => Promise<Result>): Promise<Result & { cpuSeconds: number }> {
  const before = process.cpuUsage();
  const result = await work();
  const { user, system } = process.cpuUsage(before);
  const cpuSeconds = (user + system) / 1e6;
  console.log(JSON.stringify({ what, cpuSeconds, ...result, rssMiB: Math.round(process.memoryUsage.rss() / 2 ** 20) }));
  return { ...result, cpuSeconds };
}

const scan = async (store: Store, what: string) => ({
  rows: (await store.query<{ rows: number }>(`SELECT count() AS rows, ${what} AS total FROM hour_rollups SETTINGS max_threads = 1`))[0]
    ?.rows,
});

async function eachLifetime(store: Store, visit: (floors: Floors) => void): Promise<number> {
  let rows = 0;
  for (let service = 0; service * PER_SERVICE < lifetimes; service += SERVICES_PER_READ) {
    const query = { from: START, to: END, first: nameOf(service), last: nameOf(service + SERVICES_PER_READ - 1) };
    for (const floors of await readFloors(store, query)) {
      rows += floors.time.length;
      visit(floors);
    }
  }
  return rows;
}

async function triage(store: Store, sentries: Map<string, Sentry>) {
  const suspicious = new Set<string>();
  const rows = await eachLifetime(store, ({ service, lifetime, time, floor }) => {
    const sentry = new Sentry(policy);
    for (let index = 0; index < time.length; index += 1) sentry.add(time[index] as number, floor[index] as number, HOUR);
    if (sentry.isSuspicious(END)) suspicious.add(service);
    sentries.set(lifetime, sentry);
  });
  return { rows, suspicious: [...suspicious] };
}

async function judge(store: Store, services: readonly string[]) {
  let leaks = 0;
  for (let start = 0; start < services.length; start += SERVICES_PER_JUDGING) {
    const some = services.slice(start, start + SERVICES_PER_JUDGING).map((service) => ({ service, environment: 'production' }));
    const byService = new Map<string, Series[]>(some.map(({ service }) => [service, []]));
    for (const series of await readSeries(store, { from: START, to: END, blockMs: HOUR, services: some }))
      byService.get(series.service)?.push(series);
    for (const [service, series] of byService) {
      const walk = new GridWalk(service, 'production', policy, HOUR);
      for (let at = START + HOUR; at <= END; at += HOUR) walk.replay(at, series, []);
      if (walk.history.judge(END).pooled.some(({ verdict }) => verdict === 'leak')) leaks += 1;
    }
  }
  return { leaks };
}

const store = await openStore({ path: directory, maxMemoryBytes: 4 * 1024 ** 3 });
await migrate(store, { rawRetentionMs: 1e12, rollupRetentionMs: 1e12 });
const [present] = await store.query<{ rows: number }>('SELECT count() AS rows FROM hour_rollups');
if (present?.rows !== lifetimes * HOURS) await fill(store);
const [truth] = await store.query<{ leaking: number }>(
  `SELECT countIf(cityHash64(number) % 100 = 7) AS leaking FROM numbers(${lifetimes / PER_SERVICE})`,
);
await scan(store, 'sum(floor)');
const bare = await measured('bare sum(floor)', () => scan(store, 'sum(floor)'));
const keyed = await measured('sum(floor) that also looks at key and hour', () =>
  scan(store, 'sum(floor), max(hour), max(lifetime), max(service)'),
);
const read = await measured('read', async () => ({ rows: await eachLifetime(store, () => undefined) }));
const sentries = new Map<string, Sentry>();
const triaged = await measured('read and triage', async () => {
  const { rows, suspicious } = await triage(store, sentries);
  return { rows, lifetimes: sentries.size, suspiciousServices: suspicious.length, suspicious: () => suspicious };
});
const judged = await measured('full judgement of suspicious services', () => judge(store, triaged.suspicious()));
console.log(
  JSON.stringify({
    readOverBareSum: read.cpuSeconds / bare.cpuSeconds,
    readOverSumOfSameColumns: read.cpuSeconds / keyed.cpuSeconds,
    evaluationCpuSeconds: triaged.cpuSeconds + judged.cpuSeconds,
    leakingServices: truth?.leaking,
    foundServices: judged.leaks,
  }),
);
await store.close();
if (process.argv[3] === undefined) rmSync(directory, { recursive: true, force: true });
process.exit(0);
