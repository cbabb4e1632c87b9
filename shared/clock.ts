/** The only place that reads the wall clock. Pure code takes `at: number`; loops take a `Clock`. */
import { setTimeout as delay } from 'node:timers/promises';

export interface Clock {
  /** Milliseconds UTC. */
  now(): number;
  /** Resolves after `ms`; rejects with the signal's reason when aborted. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  sleep: (ms, signal) => delay(ms, undefined, signal === undefined ? {} : { signal }),
};
