/** Sends the spool in order: batch n + 1 goes only after n was acknowledged, and is deleted only then. */
import type { Clock } from '../../shared/clock.ts';
import { LeaklineError } from '../../shared/errors.ts';
import { retry } from '../../shared/retry.ts';
import type { Spool, SpooledBatch } from './spool.ts';
import type { Transport } from './transport.ts';

export interface SenderStats {
  sentBatches: number;
  sentSamples: number;
  /** Batches the receiver will never take; given up so that those behind them arrive. */
  refusedBatches: number;
  lastError: { readonly at: number; readonly message: string } | undefined;
  lastSentAt: number | undefined;
  /** The last attempt failed: there is something to tell people. */
  failing: boolean;
}

export interface SenderOptions {
  readonly spool: Spool;
  readonly transport: Transport;
  readonly agentId: string;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Told once when sending begins to fail and once when it works again, not for each attempt. */
  readonly onChange: (failing: boolean, message: string) => void;
}

/** A wrong token or address is mended by people: look again now and then. */
const MISTAKE_WAIT_MS = 30_000;
const MAX_BACKOFF_MS = 30_000;

const isRefused = (error: unknown): boolean => error instanceof LeaklineError && error.code.startsWith('LKL_ERR_BATCH_');

export class Sender {
  readonly stats: SenderStats = {
    sentBatches: 0,
    sentSamples: 0,
    refusedBatches: 0,
    lastError: undefined,
    lastSentAt: undefined,
    failing: false,
  };
  readonly #options: SenderOptions;

  constructor(options: SenderOptions) {
    this.#options = options;
  }

  /** Runs until the signal; what is then unsent stays in the spool. */
  async run(): Promise<void> {
    const { spool, signal } = this.#options;
    const isStopping = () => signal.aborted;
    while (!isStopping()) {
      try {
        await spool.ready(signal);
        const batch = spool.next();
        if (batch !== undefined) await this.#deliver(batch);
      } catch (error) {
        if (isStopping()) return;
        this.#failed(error);
        await this.#options.clock.sleep(MISTAKE_WAIT_MS, signal).catch(() => undefined);
      }
    }
  }

  async #deliver(batch: SpooledBatch): Promise<void> {
    const { spool, transport, agentId, clock, signal } = this.#options;
    let waitMs = 0;
    const attempt = async () => {
      if (waitMs > 0) await clock.sleep(waitMs, signal);
      waitMs = 0;
      await transport.send(batch.payload, agentId, signal);
    };
    const onFailure = (error: Error) => {
      if (isRefused(error)) return;
      this.#failed(error);
      const wish = error instanceof LeaklineError ? error.details['retryAfterMs'] : undefined;
      waitMs = typeof wish === 'number' ? wish : 0;
    };
    try {
      await retry(attempt, { signal, retries: Infinity, minDelayMs: 250, maxDelayMs: MAX_BACKOFF_MS, onFailure });
    } catch (error) {
      if (!isRefused(error)) throw error;
      this.stats.refusedBatches++;
      this.stats.lastError = { at: clock.now(), message: (error as Error).message };
      spool.acknowledge(batch);
      return;
    }
    spool.acknowledge(batch);
    this.stats.sentBatches++;
    this.stats.sentSamples += batch.samples;
    this.stats.lastSentAt = clock.now();
    if (!this.stats.failing) return;
    this.stats.failing = false;
    this.#options.onChange(false, `${transport.target} takes samples again`);
  }

  #failed(error: unknown): void {
    const message = error instanceof Error ? error.message : String(error);
    this.stats.lastError = { at: this.#options.clock.now(), message };
    if (this.stats.failing) return;
    this.stats.failing = true;
    this.#options.onChange(true, message);
  }
}
