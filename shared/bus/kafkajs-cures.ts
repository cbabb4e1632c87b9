/**
 * Faults of kafkajs 2.2.4, cured on its prototypes when this file is loaded. kafkajs is unmaintained, and
 * test/shared/bus/kafkajs-cures.test.ts fails when the patched sources change.
 */
import { createRequire } from 'node:module';
import { systemClock } from '../clock.ts';

interface RequestQueue {
  readonly pending: readonly unknown[];
  readonly inflight: ReadonlyMap<number, { sentAt: number; requestTimeout: number; timeoutRequest(): void }>;
  readonly requestTimeout: number;
  readonly enforceRequestTimeout: boolean;
  requestTimeoutIntervalId: NodeJS.Timeout;
  isConnected(): boolean;
  destroy(): void;
  scheduleCheckPendingRequests(): void;
  scheduleRequestTimeoutCheck(): void;
}

interface ConsumerGroup {
  readonly generationId: number | null;
  fetch(nodeId: number): Promise<object[]>;
}

const load = createRequire(import.meta.url);
const queue = (load('kafkajs/src/network/requestQueue/index.js') as { prototype: RequestQueue }).prototype;
const group = (load('kafkajs/src/consumer/consumerGroup.js') as { prototype: ConsumerGroup }).prototype;

/**
 * A queue with nothing pending re-arms a timer of 1 ms for ever: 3 to 4 % of a core with nothing to do.
 * With nothing pending there is nothing to check; push() schedules again.
 */
// eslint-disable-next-line @typescript-eslint/unbound-method -- called with the queue as `this`
const scheduleCheck = queue.scheduleCheckPendingRequests;
queue.scheduleCheckPendingRequests = function (this: RequestQueue) {
  if (this.pending.length > 0) scheduleCheck.call(this);
};

/**
 * Each connection looks ten times a second whether a request is overdue: 0.1 % of a core per connection, for time-outs
 * of many seconds. Once a second is enough.
 */
const TIMEOUT_CHECK_MS = 1_000;

queue.scheduleRequestTimeoutCheck = function (this: RequestQueue) {
  if (!this.enforceRequestTimeout) return;
  this.destroy();
  this.requestTimeoutIntervalId = setInterval(() => {
    const now = systemClock.now();
    for (const request of this.inflight.values()) if (now - request.sentAt > request.requestTimeout) request.timeoutRequest();
    if (!this.isConnected()) this.destroy();
  }, TIMEOUT_CHECK_MS);
};

/** Which fetched batches belong to the assignment under which they were fetched. */
const generations = new WeakMap<object, () => boolean>();

/**
 * A fetcher that finds stale metadata rejoins the group while batches of other brokers wait to be handled. Resolving those
 * afterwards would move the new assignment's position past messages nobody has seen.
 */
// eslint-disable-next-line @typescript-eslint/unbound-method -- called with the group as `this`
const fetchBatches = group.fetch;
group.fetch = async function (this: ConsumerGroup, nodeId: number) {
  const generation = this.generationId;
  const batches = await fetchBatches.call(this, nodeId);
  for (const batch of batches) generations.set(batch, () => this.generationId === generation);
  return batches;
};

/** False once the group has been joined anew since the batch was fetched. */
export function isOfCurrentGeneration(batch: object): boolean {
  return generations.get(batch)?.() ?? false;
}
