/** Retries with full-jitter back-off, and only what says it may be retried. Nothing else in the project retries. */
import pRetry from 'p-retry';
import { LeaklineError } from './errors.ts';

export interface RetryOptions {
  readonly signal: AbortSignal;
  /** Attempts after the first; Infinity for "until it works or the signal says stop". */
  readonly retries: number;
  readonly minDelayMs?: number;
  readonly maxDelayMs?: number;
  /** Called before each wait, so the loop can count and log (sampled) what went wrong. */
  readonly onFailure?: (error: Error, attempt: number) => void;
}

/** Errors without a `retry` mark (network faults of a library) count as transient. */
export async function retry<Result>(operation: () => Promise<Result>, options: RetryOptions): Promise<Result> {
  return pRetry(operation, {
    retries: options.retries,
    minTimeout: options.minDelayMs ?? 100,
    maxTimeout: options.maxDelayMs ?? 10_000,
    randomize: true,
    signal: options.signal,
    shouldRetry: ({ error }) => !(error instanceof LeaklineError) || error.retry,
    onFailedAttempt: ({ error, attemptNumber }) => options.onFailure?.(error, attemptNumber),
  });
}
