/** A roll-up that has much to do, of many processes, stays within the memory of a query. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { rollUp } from '../../../shared/store/rollups.ts';
import type { Store } from '../../../shared/store/store.ts';
import { temporaryStore } from './fixture.ts';

const PROCESSES = 10_000;
const HOUR = 3_600_000;
const hour = Math.floor(Date.now() / HOUR) * HOUR - 5 * HOUR;

let store: Store;
let close: () => Promise<void>;
beforeAll(async () => ({ store, close } = await temporaryStore()));
afterAll(() => close());

it('takes an hour in pieces where all of it at once is too much, and misses no minute', { timeout: 120_000 }, async () => {
  await store.command(
    `INSERT INTO raw_samples (service, instance, lifetime, time, runtime, process_started_at, rss, heap_used, agent, seq)
    SELECT 'shop', 'shop-' || toString(process), leftPad(hex(process), 16, '0'), {hour:DateTime} + INTERVAL minute MINUTE, 'nodejs', {hour:DateTime},
      1000 + minute, minute, 'agent-1', minute
    FROM (SELECT intDiv(number, 60) AS process, number % 60 AS minute FROM numbers({rows:UInt64}))`,
    { hour: hour / 1000, rows: PROCESSES * 60 },
  );
  await rollUp(store);
  expect(
    await store.query(
      `SELECT count() AS minutes, uniqExact(lifetime, minute) AS different, countIf(samples = 1 AND rss_last = 1000 + toMinute(minute)) AS right
      FROM minute_rollups`,
    ),
  ).toEqual([{ minutes: PROCESSES * 60, different: PROCESSES * 60, right: PROCESSES * 60 }]);
  expect(await store.query('SELECT count() AS hours, min(samples) AS samples, min(rss_max) AS most FROM hour_rollups')).toEqual([
    { hours: PROCESSES, samples: 60, most: 1059 },
  ]);
});
