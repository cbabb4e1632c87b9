/** Rows older than the configured retention go, what was made of them stays, and a changed retention holds from the next start. */
import { isDeepStrictEqual } from 'node:util';
import { afterAll, expect, it } from 'vitest';
import { loadConfig } from '../../../shared/config.ts';
import { migrate } from '../../../shared/store/migrate.ts';
import { rollUp } from '../../../shared/store/rollups.ts';
import { insertSamples } from '../../../shared/store/samples.ts';
import { toSqlTime } from '../../../shared/store/sql-time.ts';
import { openStore, type Store } from '../../../shared/store/store.ts';
import { until } from '../../harness/until.ts';
import { columnsOf, temporaryDirectory } from './fixture.ts';

const DAY = 86_400_000;
const start = Date.now();
const { path, remove } = temporaryDirectory();
let store: Store;

afterAll(async () => {
  await store.close();
  remove();
});

async function open(rawDays: number, minuteDays: number, rollupDays: number): Promise<void> {
  store = await openStore({ path });
  await migrate(store, { rawRetentionMs: rawDays * DAY, minuteRetentionMs: minuteDays * DAY, rollupRetentionMs: rollupDays * DAY });
}

/** Rows that say how old they are. */
async function insert(...days: number[]): Promise<void> {
  const rows = days.map((age) => ({
    time: start - age * DAY,
    rss: age,
    instance: `aged-${String(age)}`,
    lifetime: String(age).padStart(16, '0'),
  }));
  await insertSamples(store, columnsOf(rows));
  await store.insertRows(
    'dead_letters',
    days.map((age) => ({ id: String(age), at: toSqlTime(start - age * DAY), reason: String(age) })),
  );
}

/** What a merge does, which comes by itself within hours. */
async function merge(): Promise<void> {
  for (const table of ['raw_samples', 'dead_letters', 'minute_rollups', 'hour_rollups', 'lifetimes', 'incident_events']) {
    await store.command(`OPTIMIZE TABLE ${table} FINAL`);
  }
}

const agesOf = async (table: string, column: string) =>
  (await store.query<{ ages: number[] }>(`SELECT arraySort(groupArray(toUInt32(${column}))) AS ages FROM ${table} FINAL`))[0]!.ages;
const ages = async () => ({
  samples: await agesOf('raw_samples', 'rss'),
  letters: await agesOf('dead_letters', 'reason'),
  minutes: await agesOf('minute_rollups', 'rss_max'),
  hours: await agesOf('hour_rollups', 'rss_max'),
  lifetimes: await agesOf('lifetimes', 'rss_peak'),
});

it(
  'samples and dead letters go, roll-ups and incidents stay, from the start on which a retention is shorter',
  { timeout: 180_000 },
  async () => {
    await open(600, 600, 600);
    await insert(1, 13, 15, 300, 500);
    await rollUp(store);
    await store.insertRows('incident_events', [{ incident: 'old', id: 'e', at: toSqlTime(start - 500 * DAY), type: 'opened' }]);
    await merge();
    const all = [1, 13, 15, 300, 500];
    expect(await ages()).toEqual({ samples: all, letters: all, minutes: all, hours: all, lifetimes: all });

    await store.close();
    await open(14, 100, 400);
    const young = [1, 13];
    const old = [1, 13, 15, 300];
    const left = { samples: young, letters: young, minutes: [1, 13, 15], hours: old, lifetimes: old };
    await until('what is too old by now is gone, though nobody merges', ages, (found) => isDeepStrictEqual(found, left), 120_000);
    // That rows are gone changes no roll-up.
    await insert(2);
    await rollUp(store);
    expect(await ages()).toMatchObject({ minutes: [1, 2, 13, 15], hours: [1, 2, 13, 15, 300] });
    expect(await store.query('SELECT incident FROM incident_events FINAL')).toEqual([{ incident: 'old' }]);
  },
);

it('what comes too old, or becomes so, goes when it is merged', { timeout: 120_000 }, async () => {
  await insert(20);
  await merge();
  expect(await ages()).toMatchObject({ samples: [1, 2, 13], letters: [1, 2, 13] });
});

it('a longer retention keeps from the next start what the shorter one did not', { timeout: 120_000 }, async () => {
  await store.close();
  await open(30, 600, 600);
  await insert(20, 40, 550);
  await merge();
  expect(await ages()).toMatchObject({ samples: [1, 2, 13, 20], letters: [1, 2, 13, 20] });
});

it('the longest that may be configured keeps everything', { timeout: 120_000 }, async () => {
  await store.close();
  const longest = { 'store.rawRetention': '50y', 'store.minuteRetention': '50y', 'store.rollupRetention': '50y' };
  const { rawRetention, minuteRetention, rollupRetention } = loadConfig({ env: {}, flags: longest, readFile: () => '' }).store;
  await open(rawRetention / DAY, minuteRetention / DAY, rollupRetention / DAY);
  await insert(1000);
  await merge();
  expect(await ages()).toMatchObject({ samples: [1, 2, 13, 20, 1000], letters: [1, 2, 13, 20, 1000] });
});
