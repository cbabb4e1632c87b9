/**
 * Rollups of a fleet, made up inside the engine: 10 lifetimes a service, of 100 services one leaks and 25 breathe daily, all since
 * `START`. Hours and minutes of one lifetime tell of one curve.
 */
import { setImmediate as turn } from 'node:timers/promises';
import type { Store } from '../../shared/store/store.ts';

export const HOUR = 3_600_000;
export const MINUTE = 60_000;
export const PER_SERVICE = 10;
export const START = Date.UTC(2026, 10, 1);
const ROWS_PER_INSERT = 1_680_000;

/** Rollups of the blocks in [from, to) of every lifetime. */
export async function fillRollups(store: Store, table: 'hour_rollups' | 'minute_rollups', lifetimes: number, from: number, to: number) {
  const [column, stepMs] = table === 'hour_rollups' ? ['hour', HOUR] : ['minute', MINUTE];
  const blocks = (to - from) / stepMs;
  const samples = stepMs / 10_000;
  const rows = lifetimes * blocks;
  for (let first = 0; first < rows; first += ROWS_PER_INSERT) {
    await store.command(`
      INSERT INTO ${table} (service, instance, lifetime, ${column}, environment, version, host, runtime, process_started_at, first_time, last_time,
        samples, rss_min, rss_max, rss_last, rss_sum, rss_count, anon_min, anon_max, anon_last, anon_sum, anon_count, memory_limit_last,
        source_received_at, revision)
      WITH
        intDiv(number, ${blocks}) AS life, ${from / 1000} + number % ${blocks} * ${stepMs / 1000} AS seconds, (seconds - ${START / 1000}) / 3600 AS h,
        intDiv(life, ${PER_SERVICE}) AS svc, cityHash64(svc) AS hs, toDateTime(seconds, 'UTC') AS begin_, toDateTime64(begin_, 3, 'UTC') AS begin,
        lower(hex(cityHash64(life))) AS id,
        (hs % 4 = 0) * 0.1 * sin(6.283 * (h - 24 * floor(h / 24)) / 24 + hs % 7) AS daily, (hs % 100 = 7) * 0.004 * greatest(0., h - 100) AS leak,
        0.02 * (cityHash64(life, seconds) % 1000 / 1000 - 0.5) AS noise, (100 + hs % 1000) * 1e6 * (1 + daily + leak + noise - 0.3 * exp(-h / 1.5)) AS low
      SELECT
        concat('service-', leftPad(toString(svc), 5, '0')), concat('pod-', leftPad(toString(life % ${PER_SERVICE}), 2, '0'), '-', left(id, 5)), id,
        begin_, 'production', 'v42', concat('host-', toString(life % 500)), 'nodejs', toDateTime64(${START / 1000}, 3, 'UTC'), begin,
        begin + ${stepMs / 1000 - 10}, ${samples}, toUInt64(low + 20e6), toUInt64(1.1 * low + 20e6), toUInt64(1.05 * low + 20e6),
        ${samples} * low, ${samples}, toUInt64(low), toUInt64(1.1 * low), toUInt64(1.05 * low), ${samples} * low, ${samples}, 2000000000,
        begin + ${stepMs / 1000}, 1
      FROM numbers_mt(${first}, ${Math.min(ROWS_PER_INSERT, rows - first)})
      SETTINGS max_block_size = 65536, min_insert_block_size_rows = 262144, min_insert_block_size_bytes = 268435456`);
  }
}

/** What tells the reader how to cut the fleet into batches. */
export const fillLifetimes = (store: Store) =>
  store.command(`
    INSERT INTO lifetimes (service, instance, lifetime, environment, version, host, runtime, started_at, first_seen, last_seen)
    SELECT
      service, instance, lifetime, max(toString(r.environment)), max(toString(r.version)), max(toString(r.host)), max(toString(r.runtime)),
      min(r.process_started_at), min(r.first_time), max(r.last_time)
    FROM hour_rollups AS r GROUP BY service, instance, lifetime
    SETTINGS optimize_aggregation_in_order = 1`);

export async function leakingServices(store: Store, lifetimes: number): Promise<number> {
  const [truth] = await store.query<{ leaking: number }>(
    `SELECT countIf(cityHash64(number) % 100 = 7) AS leaking FROM numbers(${lifetimes / PER_SERVICE})`,
  );
  return truth?.leaking ?? 0;
}

/** What is in use, buffers included. What the last batch was read in is let go by a turn of the event loop, its buffers by the next collection. */
export async function heldBytes(): Promise<number> {
  for (let pass = 0; pass < 2; pass += 1) {
    await turn();
    globalThis.gc?.();
  }
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

/** Processor time of this process, the engine included. */
export async function measured<Result extends object>(what: string, work: () => Promise<Result>): Promise<Result & { cpuSeconds: number }> {
  const before = process.cpuUsage();
  const result = await work();
  const { user, system } = process.cpuUsage(before);
  const cpuSeconds = (user + system) / 1e6;
  console.log(JSON.stringify({ what, cpuSeconds, ...result, rssMiB: Math.round(process.memoryUsage.rss() / 2 ** 20) }));
  return { ...result, cpuSeconds };
}
