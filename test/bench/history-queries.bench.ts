/**
 * What the console's pages wait for: `npx tsx test/bench/history-queries.bench.ts [SERVICES] [ROUNDS]`. Hours are made up inside the
 * engine with numbers(), as roll-ups of samples every ten seconds leave them: 48 hours of SERVICES services with three instances each
 * (360 samples an hour) and 90 days of one with 100 instances that are replaced every two weeks. Raw rows and minutes are not made,
 * and neither page reads them at these ranges. Then the console's own reads, decoding included, without what it keeps for seconds.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createReads } from '../../services/console/console-reads.ts';
import { systemClock, type Clock } from '../../shared/clock.ts';
import { migrate } from '../../shared/store/migrate.ts';
import { openStore, type Store } from '../../shared/store/store.ts';

const HOUR = 3_600_000;
const NOW = Date.UTC(2026, 10, 1);
const SAMPLES_AN_HOUR = 360;
const INSTANCES = 3;
const FLEET_HOURS = 48;
const CHART_INSTANCES = 100;
const CHART_HOURS = 90 * 24;
const LIFETIME_HOURS = 14 * 24;
const ROWS_PER_INSERT = 480_000;

/** The end of the history is now. */
const clock: Clock = { ...systemClock, now: () => NOW };

const services = Number(process.argv[2] ?? 10_000);
const rounds = Number(process.argv[3] ?? 7);

interface Shape {
  readonly rows: number;
  readonly hours: number;
  /** SQL over `series`, the number of the instance. */
  readonly service: string;
  readonly instance: string;
  readonly lifetimeHours: number;
}

/** A row an hour of each series, as a roll-up of SAMPLES_AN_HOUR samples leaves it. */
async function fill(store: Store, { rows, hours, service, instance, lifetimeHours }: Shape): Promise<void> {
  for (let from = 0; from < rows; from += ROWS_PER_INSERT) {
    await store.command(`
      INSERT INTO hour_rollups (service, instance, lifetime, hour, environment, version, host, runtime, process_started_at, first_time, last_time,
        samples, rss_min, rss_max, rss_last, rss_sum, rss_count, anon_min, anon_max, anon_last, anon_sum, anon_count, working_set_min,
        working_set_max, working_set_last, heap_used_min, heap_used_max, heap_used_last, memory_limit_last, cpu_seconds_last,
        source_received_at, revision)
      WITH
        intDiv(number, ${hours}) AS series, number % ${hours} AS h, intDiv(h, ${lifetimeHours}) AS life, cityHash64(series) AS hs,
        toDateTime(${NOW / 1000 - hours * 3600} + h * 3600, 'UTC') AS hour_, toDateTime64(hour_, 3, 'UTC') AS begin,
        toUInt64((50 + hs % 1000) * 1e6 * (1 + 0.002 * (h % ${lifetimeHours}) + 0.05 * (cityHash64(number) % 1000 / 1000))) AS low
      SELECT
        ${service}, ${instance}, lower(hex(cityHash64(series, life, ${hours}))), hour_, 'production', concat('2.', toString(life)),
        concat('host-', toString(series % 500)), 'nodejs', toDateTime64(${NOW / 1000 - hours * 3600} + life * ${lifetimeHours * 3600}, 3, 'UTC'),
        begin, begin + 3590, ${SAMPLES_AN_HOUR}, low, low + 9e6, low + 4e6, ${SAMPLES_AN_HOUR}. * low, ${SAMPLES_AN_HOUR}, low - 8e6, low, low - 4e6,
        ${SAMPLES_AN_HOUR}. * low, ${SAMPLES_AN_HOUR}, low, low + 9e6, low + 4e6, intDiv(low, 2), low, intDiv(low, 2) + 1e6, 2000000000, h * 36.,
        begin + 3600, toUnixTimestamp(begin) * 1000000000
      FROM numbers_mt(${from}, ${Math.min(ROWS_PER_INSERT, rows - from)})`);
  }
}

async function measured(what: string, work: () => Promise<number>): Promise<void> {
  const walls: number[] = [];
  const cpus: number[] = [];
  let answers = 0;
  for (let round = 0; round < rounds; round++) {
    const before = process.cpuUsage();
    const started = performance.now();
    answers = await work();
    walls.push(performance.now() - started);
    const { user, system } = process.cpuUsage(before);
    cpus.push((user + system) / 1000);
  }
  const sorted = (values: number[]) => values.map(Math.round).sort((a, b) => a - b);
  const [wall, cpu] = [sorted(walls), sorted(cpus)];
  const middle = Math.floor(rounds / 2);
  console.log(
    JSON.stringify({
      what,
      answers,
      wallMs: wall[middle],
      cpuMs: cpu[middle],
      wallLeast: wall[0],
      cpuLeast: cpu[0],
      wallMost: wall.at(-1),
    }),
  );
}

const directory = mkdtempSync(join(tmpdir(), 'leakline-bench-'));
const store = await openStore({ path: directory });
try {
  await migrate(store);
  const name = "concat('team-', toString(intDiv(series, 3) % 23), '-service-', toString(intDiv(series, 3)))";
  await fill(store, {
    rows: services * INSTANCES * FLEET_HOURS,
    hours: FLEET_HOURS,
    service: name,
    instance: `concat(${name}, '-7d9f', toString(series % 3))`,
    lifetimeHours: FLEET_HOURS,
  });
  await fill(store, {
    rows: CHART_INSTANCES * CHART_HOURS,
    hours: CHART_HOURS,
    service: "'checkout'",
    instance: "concat('checkout-', toString(series))",
    lifetimeHours: LIFETIME_HOURS,
  });
  await store.command(`INSERT INTO lifetimes
    (service, instance, lifetime, environment, version, host, runtime, pid, started_at, first_seen, last_seen, rss_peak, memory_limit_max)
    SELECT service, instance, lifetime, max(environment), max(version), max(host), max(runtime), 1, min(process_started_at), min(first_time),
      max(last_time), max(assumeNotNull(rss_max)), 2000000000
    FROM hour_rollups GROUP BY service, instance, lifetime`);
  await store.command(`INSERT INTO service_hours (hour, service, environment, rss_sum, rss_count, revision)
    SELECT hour, service, environment, sum(rss_sum), sum(rss_count), 1 FROM hour_rollups GROUP BY hour, service, environment`);
  const [made] = await store.query<Record<string, number>>(
    'SELECT count() AS rows, sum(samples) AS samples, uniqExact(service) AS services FROM hour_rollups',
  );
  const [parts] = await store.query<Record<string, number>>(
    "SELECT count() AS parts, sum(bytes_on_disk) AS bytes FROM system.parts WHERE active AND table = 'hour_rollups'",
  );
  console.log(JSON.stringify({ ...made, ...parts }));
  // A new one each time: what it keeps between two reads would answer for the engine.
  const reads = () => createReads(store, clock);
  const chart = { from: NOW - CHART_HOURS * HOUR, to: NOW };
  await measured('90 days of 100 instances', async () =>
    (await reads().curves({ service: 'checkout', environment: 'production' }, 'anon', chart)).curves.reduce(
      (sum, { time }) => sum + time.length,
      0,
    ),
  );
  await measured(`fleet page of ${services} services`, async () => (await reads().fleet()).rows.length);
} finally {
  await store.close();
  rmSync(directory, { recursive: true, force: true });
}
