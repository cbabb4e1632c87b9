/** Every shard that is owned is judged once at each evaluation, by a detector that knows its history. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { Detector } from '../../../services/detector/detector.ts';
import { createShardedDetector } from '../../../services/detector/sharded.ts';
import type { Shards } from '../../../shared/shard.ts';

/** Detectors that only tell when they were made and when they judged. */
function watched() {
  const made: (readonly number[])[] = [];
  let judged: number[] = [];
  let now: Shards = { count: 4, owned: [] };
  const detectorOf = ({ owned }: Shards): Detector => {
    made.push(owned);
    return {
      evaluate: (at) => {
        judged.push(...owned);
        return Promise.resolve({ at: at - 1, pooled: [], instances: [], events: [] });
      },
    };
  };
  const detector = createShardedDetector({ shards: () => Promise.resolve(now), detectorOf });
  return {
    made,
    at: async (owned: readonly number[], count = 4) => {
      now = { count, owned };
      judged = [];
      await detector.evaluate(1000);
      return judged.sort((a, b) => a - b);
    },
  };
}

it('judges shards gained together in one group, and only those gained later in another', async () => {
  const { made, at } = watched();
  expect(await at([0, 1])).toEqual([0, 1]);
  expect(await at([0, 1])).toEqual([0, 1]);
  expect(await at([0, 1, 2, 3])).toEqual([0, 1, 2, 3]);
  expect(made).toEqual([
    [0, 1],
    [2, 3],
  ]);
});

it('begins anew with what is left where a shard is lost, or the number of shards changes', async () => {
  const { made, at } = watched();
  await at([0, 1]);
  await at([0, 1, 2]);
  expect(await at([1, 2])).toEqual([1, 2]);
  expect(await at([1, 2], 8)).toEqual([1, 2]);
  expect(made).toEqual([[0, 1], [2], [1], [1, 2]]);
});

it('judges nothing while it owns nothing, and has forgotten nothing when it gets the same back', async () => {
  const { made, at } = watched();
  await at([0, 3]);
  expect(await at([])).toEqual([]);
  expect(await at([0, 3])).toEqual([0, 3]);
  expect(made).toEqual([[0, 3]]);
});

it('judges each owned shard once, however they come and go', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.uniqueArray(fc.nat(5)), { maxLength: 20 }), async (history) => {
      const { at } = watched();
      for (const owned of history) expect(await at(owned, 6)).toEqual([...owned].sort((a, b) => a - b));
    }),
  );
});
