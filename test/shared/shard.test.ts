/** Which shard a service is of is said in two languages; they must agree, or a service is judged twice or by nobody. */
import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { shardOf } from '../../shared/shard.ts';
import { insertSamples } from '../../shared/store/samples.ts';
import { readSeries } from '../../shared/store/series.ts';
import type { Store } from '../../shared/store/store.ts';
import { columnsOf, temporaryStore } from './store/fixture.ts';

let store: Store;
let close: () => Promise<void>;

beforeAll(async () => ({ store, close } = await temporaryStore()));
afterAll(() => close());

it('every service is read by the detector that owns its shard, and by no other', async () => {
  const time = Date.now() - 60_000;
  const services = [...new Set(fc.sample(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 30 }), { numRuns: 300, seed: 1 }))];
  await insertSamples(
    store,
    columnsOf(services.map((service, index) => ({ service, lifetime: index.toString(16).padStart(16, '0'), time, rss: 1 }))),
  );
  for (const count of [1, 3, 12]) {
    const read: string[] = [];
    for (let shard = 0; shard < count; shard++) {
      const series = await readSeries(store, { from: time - 1000, to: time + 1000, blockMs: 1000, shards: { count, owned: [shard] } });
      expect(series.every(({ service }) => shardOf(service, count) === shard)).toBe(true);
      if (count === 12) expect(series.length).toBeGreaterThan(services.length / 48);
      read.push(...series.map(({ service }) => service));
    }
    expect(read.sort()).toEqual([...services].sort());
  }
});
