/** What `leakline status` says of the pipeline, above all what ingesters reported into a real store. */
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import type { Status } from '../../../services/console/api-schema.ts';
import { systemClock } from '../../../shared/clock.ts';
import { saveIngesterReport, type ReportEntry } from '../../../shared/store/ingester-reports.ts';
import { rollUp } from '../../../shared/store/rollups.ts';
import { insertSamples } from '../../../shared/store/samples.ts';
import { createTestConsole, openTestStore, type TestConsole } from '../../page/running-console.ts';
import { columnsOf } from '../../shared/store/fixture.ts';

let opened: Awaited<ReturnType<typeof openTestStore>>;
let running: TestConsole;

beforeAll(async () => {
  opened = await openTestStore();
});
afterAll(() => opened.close());
/** A console of its own each: one that runs keeps what it read for some seconds. */
beforeEach(async () => {
  await opened.store.command('TRUNCATE TABLE ingester_reports');
  running = await createTestConsole({ store: opened.store });
  return () => running.close();
});

const status = async () => (await running.server.app.inject({ url: '/api/v1/status' })).json<Status>();
const now = systemClock.now();
const lag = (partition: number, value: number) => ({ kind: 'lag_messages', key: String(partition), value }) as const;
const insertedAt = (value: number) => ({ kind: 'last_insert_at', key: '', value }) as const;
const report = (ingester: string, at: number, ...entries: ReportEntry[]) => saveIngesterReport(opened.store, { at, ingester, entries });

it('knows nothing where no ingester has reported', async () => {
  expect(await status()).toMatchObject({
    lagMessages: null,
    lastInsertAt: null,
    ingesters: [],
    partitions: [],
    deadLettersLastHour: [],
    clampedLastHour: [],
    problems: ['no agent has sent anything lately'],
  });
});

it('adds up what ingesters report, and follows partitions that move', async () => {
  // Partition 1 goes from the first ingester to the second, which takes both when the first ends.
  await report('one', now - 30_000, insertedAt(now - 31_000), lag(0, 90), lag(1, 80), { kind: 'rows', key: '', value: 100 });
  await report('one', now - 20_000, insertedAt(now - 21_000), lag(0, 9), { kind: 'paused_ms', key: '', value: 1500 });
  await report('two', now - 15_000, insertedAt(0), lag(1, 8));
  const during = await status();
  expect(during.partitions).toEqual([
    { partition: 0, lagMessages: 9, ingester: 'one' },
    { partition: 1, lagMessages: 8, ingester: 'two' },
  ]);
  running = await createTestConsole({ store: opened.store });
  await report('two', now - 5_000, insertedAt(now - 6_000), lag(0, 3), lag(1, 2), { kind: 'rows', key: '', value: 11 });
  await report('two', now - 4_000, insertedAt(now - 6_000), lag(0, 3), lag(1, 2), { kind: 'cleared_values', key: 'rss', value: 4 });
  expect(await status()).toMatchObject({
    lagMessages: 5,
    lastInsertAt: now - 6_000,
    storedRowsLastHour: 111,
    partitions: [
      { partition: 0, lagMessages: 3, ingester: 'two' },
      { partition: 1, lagMessages: 2, ingester: 'two' },
    ],
    ingesters: [
      { ingester: 'one', lastReportAt: now - 20_000, pausedSecondsLastHour: 1.5 },
      { ingester: 'two', lastReportAt: now - 4_000 },
    ],
    clampedLastHour: [{ what: 'values cleared', why: 'rss', count: 4 }],
    problems: ['no agent has sent anything lately'],
  });
});

it('forgets what is older than an hour', async () => {
  await report('old', now - 2 * 3_600_000, insertedAt(1), { kind: 'dead_letters', key: 'LKL_ERR_BATCH_MALFORMED', value: 9 });
  expect(await status()).toMatchObject({ ingesters: [], deadLettersLastHour: [] });
});

it('is not healthy while dead letters flood, the store refuses rows, a limit is met, or no ingester reports', async () => {
  await report(
    'one',
    now - 120_000,
    insertedAt(now),
    { kind: 'dead_letters', key: 'LKL_ERR_BATCH_VERSION', value: 700 },
    { kind: 'dropped_letters', key: 'LKL_ERR_BATCH_VERSION', value: 100 },
    { kind: 'dead_letters', key: 'LKL_ERR_BATCH_MALFORMED', value: 1 },
    { kind: 'dead_letters', key: 'LKL_ERR_ROWS_REFUSED', value: 2 },
    { kind: 'refused_rows', key: 'too_many_services', value: 5 },
    { kind: 'refused_rows', key: 'time_too_old', value: 6 },
  );
  const { healthy, problems, deadLettersLastHour } = await status();
  expect(healthy).toBe(false);
  expect(deadLettersLastHour[0]).toEqual({ code: 'LKL_ERR_BATCH_VERSION', messages: 700, notKept: 100 });
  expect(problems.slice(1)).toEqual([
    expect.stringMatching(/^no ingester has reported for \d+ s/),
    expect.stringMatching(/^700 messages .*LKL_ERR_BATCH_VERSION.*100 of them too many to keep/),
    expect.stringMatching(/^the store refused what 2 messages hold/),
    expect.stringMatching(/^5 samples .*too_many_services/),
  ]);
});

it('gives the detector time for its first verdict', async () => {
  await insertSamples(opened.store, columnsOf([{ time: systemClock.now(), rss: 1 }]));
  await rollUp(opened.store);
  const problemsAfter = async (ms: number) => {
    const later = await createTestConsole({ store: opened.store, clock: { ...systemClock, now: () => systemClock.now() + ms } });
    return (await later.server.app.inject({ url: '/api/v1/status' })).json<Status>().problems;
  };
  expect(await problemsAfter(0)).toEqual([]);
  expect(await problemsAfter(11 * 60_000)).toContain('the detector has not judged anything yet');
});
