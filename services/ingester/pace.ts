/** Work that comes round again and again, and leaves others their share of what it works on. */
import type { Clock } from '../../shared/clock.ts';
import type { Logger } from '../../shared/log.ts';

export interface Pace {
  /** From the end of a turn to the next at least. */
  readonly intervalMs: number;
  /** A turn is followed by a rest of so many times as long as it took … */
  readonly rest: number;
  /**
   * … but of no more than this. Where a turn has to do what gathered since the one before, a rest without end would lead there: once
   * the work needs more than its share, each turn takes longer than the last, rests longer and finds still more.
   */
  readonly longestRestMs: number;
}

export interface PacedWork {
  readonly pace: Pace;
  readonly clock: Clock;
  readonly log: Logger;
  readonly signal: AbortSignal;
  readonly work: () => Promise<void>;
}

/** Until the signal says stop. A turn that fails is told and no more. */
export async function repeat({ pace, clock, log, signal, work }: PacedWork): Promise<void> {
  const { intervalMs, rest, longestRestMs } = pace;
  let tookMs = 0;
  for (;;) {
    try {
      await clock.sleep(Math.max(intervalMs, Math.min(tookMs * rest, longestRestMs)), signal);
      const startedAt = clock.now();
      await work();
      tookMs = Math.max(0, clock.now() - startedAt);
    } catch (error) {
      if (signal.aborted) return;
      log.warn({ err: error instanceof Error ? error.message : String(error) }, 'tried again at the next turn');
    }
  }
}
