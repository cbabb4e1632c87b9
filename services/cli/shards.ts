/** Detectors of a fleet share the services: Kafka says who judges which shard, by the partitions of a topic that holds nothing. */
import { TOPICS, type Bus } from '../../shared/bus/bus.ts';
import type { Shards } from '../../shared/shard.ts';

const DETECTOR_GROUP = 'leakline-detector';

/** Joins the group. The shards owned are known from then on, and change as detectors come and go. */
export async function joinDetectors(bus: Bus): Promise<() => Promise<Shards>> {
  const subscription = await bus.subscribe({
    topic: TOPICS.detectorShards,
    group: DETECTOR_GROUP,
    onMessages: () => Promise.resolve(),
    onRevoked: () => undefined,
  });
  return async () => ({ count: await bus.partitionsOf(TOPICS.detectorShards), owned: subscription.partitions() });
}
