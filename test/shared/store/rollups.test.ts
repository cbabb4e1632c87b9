import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { METRIC_NAMES, type MetricName } from '../../../shared/sample.ts';
import { rollUp, rollUpHours, rollUpMinutes } from '../../../shared/store/rollups.ts';
import { insertSamples } from '../../../shared/store/samples.ts';
import type { Store } from '../../../shared/store/store.ts';
import { columnsOf, temporaryStore, type SampleRow } from './fixture.ts';
import { distinctRows, naiveRollups, ROLLUP_COLUMNS } from './naive-rollup.ts';

let store: Store;
let close: () => Promise<void>;
const HOUR = 3_600_000;
const base = Math.floor(Date.now() / HOUR) * HOUR - 5 * HOUR;

const ROLLED_UP = ['raw_samples', 'minute_rollups', 'hour_rollups', 'service_hours', 'lifetimes', 'rollup_checkpoints'];

beforeAll(async () => ({ store, close } = await temporaryStore()));
afterAll(() => close());
beforeEach(async () => {
  for (const table of ROLLED_UP) await store.command(`TRUNCATE TABLE ${table}`);
});

const stored = (table: string, time: string) =>
  store.query<Record<string, unknown>>(
    `SELECT lifetime, toUnixTimestamp(${time}) * 1000 AS start, ${ROLLUP_COLUMNS.join(', ')} FROM ${table} FINAL ORDER BY lifetime, start`,
  );

const serviceHours = () =>
  store.query<{ start: number }>(
    `SELECT toUnixTimestamp(hour) * 1000 AS start, service, environment, rss_sum, rss_count
    FROM service_hours FINAL WHERE rss_count > 0 ORDER BY start, environment`,
  );

/** Of hours of processes that are all of one service. */
function naiveServiceHours(rows: readonly SampleRow[]): Record<string, unknown>[] {
  const hours = new Map<number, { sum: number; count: number }>();
  for (const { start, rss_sum, rss_count } of naiveRollups(rows, HOUR) as { start: number; rss_sum: number | null; rss_count: number }[]) {
    const { sum, count } = hours.get(start) ?? { sum: 0, count: 0 };
    hours.set(start, { sum: sum + (rss_sum ?? 0), count: count + rss_count });
  }
  return [...hours]
    .filter(([, { count }]) => count > 0)
    .map(([start, { sum, count }]) => ({ start, service: 'checkout', environment: 'production', rss_sum: sum, rss_count: count }))
    .sort((a, b) => a.start - b.start);
}

async function expectRollupsOf(rows: readonly SampleRow[]): Promise<void> {
  expect(await stored('minute_rollups', 'minute')).toEqual(naiveRollups(rows, 60_000));
  expect(await stored('hour_rollups', 'hour')).toEqual(naiveRollups(rows, HOUR));
  expect(await serviceHours()).toEqual(naiveServiceHours(rows));
  const [raw] = await store.query<{ rows: number }>('SELECT count() AS rows FROM samples');
  expect(raw?.rows).toBe(distinctRows(rows).length);
}

/** Pauses are kept to the nanosecond. */
const value = (name: MetricName) =>
  name === 'gc_pause_seconds'
    ? fc.nat(1e15).map((nanoseconds) => nanoseconds / 1e9)
    : name.endsWith('_seconds')
      ? fc.double({ min: 0, max: 1e6, noNaN: true })
      : fc.integer({ min: 0, max: 2 ** 40 });

/** The same (lifetime, time) always carries the same values, as a sample sent twice does. */
const sampleAt = (lifetime: number, second: number, values: Partial<Record<MetricName, number>>): SampleRow => ({
  lifetime: lifetime.toString(16).padStart(16, '0'),
  instance: `checkout-${lifetime % 2}`,
  time: base + second * 1000,
  ...values,
});

const history = fc
  .uniqueArray(
    fc.tuple(
      fc.integer({ min: 1, max: 3 }),
      fc.integer({ min: 0, max: 3 * 3600 }),
      fc.record(Object.fromEntries(METRIC_NAMES.map((name) => [name, value(name)])), { requiredKeys: [] }),
    ),
    { selector: ([lifetime, second]) => `${lifetime} ${second}`, minLength: 1, maxLength: 60 },
  )
  .map((samples) => samples.map(([lifetime, second, values]) => sampleAt(lifetime, second, values)));

describe('rollUp', () => {
  it('makes rollups that are a function of the samples, however they arrive', async () => {
    await fc.assert(
      fc.asyncProperty(history, fc.array(fc.nat(), { minLength: 4, maxLength: 4 }), async (rows, cuts) => {
        for (const table of ROLLED_UP) await store.command(`TRUNCATE TABLE ${table}`);
        for (const cut of cuts) {
          // Any part of the history, again and in another order, with a roll-up after each.
          const start = cut % rows.length;
          const part = rows.slice(start, start + 1 + (cut % 29)).reverse();
          await insertSamples(store, columnsOf(part));
          await rollUp(store);
        }
        await insertSamples(store, columnsOf(rows));
        await rollUp(store);
        await expectRollupsOf(rows);
      }),
      { numRuns: 6 },
    );
  });

  const ramp = Array.from({ length: 400 }, (_, tick) => sampleAt(1 + (tick % 2), tick * 10, { rss: 1e6 + tick * 4096, gc_count: tick }));

  it('changes nothing when everything is sent again', async () => {
    await insertSamples(store, columnsOf(ramp));
    await rollUp(store);
    const before = await store.query('SELECT * EXCEPT (received_at) FROM samples ORDER BY lifetime, time');
    for (let again = 0; again < 3; again++) await insertSamples(store, columnsOf(ramp));
    await rollUp(store);
    expect(await store.query('SELECT * EXCEPT (received_at) FROM samples ORDER BY lifetime, time')).toEqual(before);
    await expectRollupsOf(ramp);
  });

  it('gives the same when several run at once while samples come in', async () => {
    const parts = Array.from({ length: 8 }, (_, part) => ramp.slice(part * 50, part * 50 + 50));
    await Promise.all(
      parts.map(async (part) => {
        await insertSamples(store, columnsOf(part));
        await rollUp(store);
      }),
    );
    await rollUp(store);
    await expectRollupsOf(ramp);
  });

  it('writes nothing anew when nothing came in', async () => {
    await insertSamples(store, columnsOf(ramp));
    await rollUp(store);
    const counts = () =>
      store.query(
        'SELECT (SELECT count() FROM minute_rollups) AS minutes, (SELECT count() FROM hour_rollups) AS hours, (SELECT count() FROM service_hours) AS services',
      );
    const before = await counts();
    await rollUp(store);
    await rollUp(store);
    expect(await counts()).toEqual(before);
  });

  it('counts a process for one environment, also where an agent that starts anew names another', async () => {
    const [before, after] = [ramp.slice(0, 20), ramp.slice(20, 40).map((row) => ({ ...row, environment: 'staging' }))];
    await insertSamples(store, columnsOf(before));
    await rollUp(store);
    expect(await serviceHours()).toMatchObject([{ environment: 'production', rss_count: 20 }]);
    await insertSamples(store, columnsOf(after));
    await rollUp(store);
    expect(await serviceHours()).toMatchObject([{ environment: 'staging', rss_count: 40 }]);
  });

  it('finds what an insert that took long shows only after later ones were rolled up', async () => {
    await insertSamples(store, columnsOf(ramp.slice(100)));
    await rollUp(store);
    // Shown now, and dated when the insert began: before the newest roll-up, after the last that read all of the overlap.
    await store.command('CREATE TABLE slow AS raw_samples');
    await store.insertNative('slow', columnsOf(ramp.slice(0, 100)));
    await store.command('INSERT INTO raw_samples SELECT * REPLACE (received_at - toIntervalSecond(100) AS received_at) FROM slow');
    await store.command('DROP TABLE slow');
    await store.command('TRUNCATE TABLE rollup_checkpoints');
    await store.command(`INSERT INTO rollup_checkpoints (name, received_through)
      SELECT arrayJoin(['samples', 'settled', 'hours']) AS name, now64(3) - toIntervalSecond(if(name = 'samples', 1, 61))`);
    await rollUpMinutes(store);
    await rollUpHours(store);
    await expectRollupsOf(ramp);
  });

  it('reads little again between two readings of the whole overlap', async () => {
    await insertSamples(store, columnsOf(ramp));
    await rollUp(store);
    await store.command('TRUNCATE TABLE minute_rollups');
    await store.command(`INSERT INTO rollup_checkpoints (name, received_through)
      SELECT arrayJoin(['samples', 'settled']), now64(3) + toIntervalSecond(60)`);
    await rollUpMinutes(store);
    expect(await store.query('SELECT * FROM minute_rollups')).toEqual([]);
    await rollUpMinutes(store, { isThorough: true });
    expect(await stored('minute_rollups', 'minute')).toEqual(naiveRollups(ramp, 60_000));
  });

  it('keeps the latest value of each metric, to the millisecond, whichever sample and insert had it', async () => {
    const late: SampleRow = { ...sampleAt(1, 30, { rss: 5, cpu_seconds: 0.25, gc_pause_seconds: 1e-9 }), time: base + 30_900 };
    const rows = [
      sampleAt(1, 30, { rss: 2 ** 53 - 1, heap_live: 7, cpu_seconds: 1e6 / 3, gc_pause_seconds: 3 }),
      late,
      sampleAt(1, 31, { threads: 3, memory_limit: 0 }),
      sampleAt(1, 90, { requests: 1 }),
    ];
    for (const row of rows.toReversed()) await insertSamples(store, columnsOf([row]));
    await rollUp(store);
    await expectRollupsOf(rows);
    expect((await stored('hour_rollups', 'hour'))[0]).toMatchObject({
      rss_last: 5,
      heap_live_last: 7,
      cpu_seconds_last: 0.25,
      gc_pause_seconds_last: 1e-9,
      memory_limit_last: 0,
      requests_last: 1,
    });
  });

  it('takes in samples that come hours late', async () => {
    await insertSamples(store, columnsOf(ramp.slice(100)));
    await rollUp(store);
    await insertSamples(store, columnsOf(ramp.slice(0, 100)));
    await rollUp(store);
    await expectRollupsOf(ramp);
  });
});
