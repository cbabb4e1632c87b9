/** The cures patch private methods of kafkajs: these tests fail when a new release changes what is patched. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { describe, expect, it, vi } from 'vitest';
import '../../../shared/bus/kafkajs-cures.ts';

const load = createRequire(import.meta.url);
const digest = (path: string) =>
  createHash('sha256')
    .update(readFileSync(load.resolve(path)))
    .digest('hex')
    .slice(0, 16);

interface Queue {
  pending: unknown[];
  throttledUntil: number;
  throttleCheckTimeoutId: NodeJS.Timeout | null;
  inflight: Map<number, object>;
  checkPendingRequests(): void;
  scheduleRequestTimeoutCheck(): void;
  destroy(): void;
}

function newQueue(options: object = {}): Queue {
  const RequestQueue = load('kafkajs/src/network/requestQueue/index.js') as new (options: object) => Queue;
  const logger = { debug: () => undefined };
  return new RequestQueue({
    maxInFlightRequests: 1,
    requestTimeout: 1000,
    enforceRequestTimeout: false,
    clientId: '',
    broker: '',
    logger,
    ...options,
  });
}

describe('the patched sources of kafkajs', () => {
  it.each([
    ['kafkajs/src/network/requestQueue/index.js', 'b55986089c14f8f7'],
    ['kafkajs/src/consumer/consumerGroup.js', 'f3e461738585a8dc'],
    ['kafkajs/src/consumer/runner.js', 'fad3247df2e3ba48'],
    ['kafkajs/src/producer/sendMessages.js', '8a120e6993955e04'],
  ])('%s is the one the cures were made for', (path, expected) => {
    expect(digest(path)).toBe(expected);
  });
});

describe('an idle request queue', () => {
  it('sets no timer', () => {
    const queue = newQueue();
    queue.checkPendingRequests();
    expect(queue.throttleCheckTimeoutId).toBeNull();
  });

  it('times an overdue request out, and stops looking once disconnected', () => {
    vi.useFakeTimers();
    try {
      let connected = true;
      const queue = newQueue({ enforceRequestTimeout: true, isConnected: () => connected });
      let timedOut = 0;
      queue.inflight.set(1, { sentAt: Date.now(), requestTimeout: 3_000, timeoutRequest: () => timedOut++ });
      queue.scheduleRequestTimeoutCheck();
      vi.advanceTimersByTime(3_000);
      expect(timedOut).toBe(0);
      vi.advanceTimersByTime(1_000);
      expect(timedOut).toBe(1);
      connected = false;
      vi.advanceTimersByTime(1_000);
      expect(vi.getTimerCount()).toBe(0);
    } finally {
      vi.useRealTimers();
    }
  });

  it('still sends what had to wait out a throttle', () => {
    vi.useFakeTimers();
    try {
      const queue = newQueue();
      queue.throttledUntil = Date.now() + 500;
      let sent = 0;
      queue.pending.push({ send: () => sent++, expectResponse: true });
      queue.checkPendingRequests();
      vi.advanceTimersByTime(499);
      expect(sent).toBe(0);
      vi.advanceTimersByTime(20);
      expect(sent).toBe(1);
      expect(vi.getTimerCount()).toBe(0);
    } finally {
      vi.useRealTimers();
    }
  });
});
