/**
 * A detector for whatever shards this process owns at the moment. Shards that were gained together are judged together, so that
 * a process which owns them all reads the store once and not once a shard; those of a detector that died come as another group,
 * which alone has to read its history. Pure apart from the port.
 */
import type { Shards } from '../../shared/shard.ts';
import type { Detector, Evaluation } from './detector.ts';

export interface ShardedOptions {
  /** Asked before each evaluation. */
  readonly shards: () => Promise<Shards>;
  readonly detectorOf: (shards: Shards) => Detector;
}

interface Group {
  readonly shards: Shards;
  readonly detector: Detector;
}

export function createShardedDetector({ shards, detectorOf }: ShardedOptions): Detector {
  let groups: readonly Group[] = [];

  /** A group that lost a shard starts anew with what is left to it: what it knows of the lost one must not be judged again. */
  const regroup = ({ count, owned }: Shards): readonly Group[] => {
    const kept = groups.filter((group) => group.shards.count === count && group.shards.owned.every((shard) => owned.includes(shard)));
    const gained = owned.filter((shard) => !kept.some((group) => group.shards.owned.includes(shard)));
    if (gained.length === 0) return kept;
    const fresh = { count, owned: gained };
    return [...kept, { shards: fresh, detector: detectorOf(fresh) }];
  };

  return {
    evaluate: async (at): Promise<Evaluation> => {
      const now = await shards();
      // While partitions are dealt out anew nobody owns any, mostly to get the same again: what is known is kept until then.
      if (now.owned.length > 0) groups = regroup(now);
      const evaluations: Evaluation[] = [];
      for (const { detector } of now.owned.length > 0 ? groups : []) evaluations.push(await detector.evaluate(at));
      return {
        at: Math.min(at, ...evaluations.map((evaluation) => evaluation.at)),
        pooled: evaluations.flatMap(({ pooled }) => pooled),
        instances: evaluations.flatMap(({ instances }) => instances),
        events: evaluations.flatMap(({ events }) => events),
      };
    },
  };
}
