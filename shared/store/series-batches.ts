/** Series of every service a few services at a time, so that a fleet is never held at once. */
import type { Series } from '../series.ts';
import { BatchArrays, readSeriesByRows, readToldColumns } from './series-rows.ts';
import { readEnds, readSeries, type NameRange, type SeriesQuery } from './series.ts';
import type { Store } from './store.ts';

/** A dozen columns of so many blocks take some 150 MB. */
const BLOCKS_AT_ONCE = 1_500_000;

/** What was yielded is written over by what comes after it: who keeps a series for longer copies it. */
export async function* readSeriesInBatches(
  store: Store,
  query: Omit<SeriesQuery, 'services' | 'names' | 'instance'>,
): AsyncGenerator<Series[]> {
  const [told, ends] = await Promise.all([readToldColumns(store, query), readEnds(store, query)]);
  const shared = { told, ends, arrays: new BatchArrays() };
  for (const names of await namesOf(store, query)) {
    const batch = { ...query, names };
    yield* (await readSeriesByRows(store, batch, shared)) ?? [await readSeries(store, batch)];
  }
}

/** Ranges that together hold every name there is: of a service that has no lifetime rolled up yet only the size is unknown. */
async function namesOf(store: Store, { from, to, blockMs }: SeriesQuery): Promise<NameRange[]> {
  const most = (BLOCKS_AT_ONCE * blockMs) / (to - from);
  const services = await store.query<{ name: string; lifetimes: number }>(
    `SELECT CAST(service AS String) AS name, uniq(lifetime) AS lifetimes FROM lifetimes
    WHERE last_seen >= fromUnixTimestamp64Milli({from:Int64}) GROUP BY service ORDER BY name`,
    { from: Math.floor(from) },
  );
  const starts = [''];
  let held = 0;
  for (const { name, lifetimes } of services) {
    if (held > 0 && held + lifetimes > most) {
      starts.push(name);
      held = 0;
    }
    held += lifetimes;
  }
  return starts.map((first, index) => ({ first, before: starts[index + 1] }));
}
