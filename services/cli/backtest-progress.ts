/** How far a backtest is, on a terminal: bar, rows, rate and time left. Nothing where nobody watches. */
import { createLogUpdate } from 'log-update';
import type { HistoryProgress } from '../detector/history-source.ts';

const BAR_WIDTH = 24;
const INTERVAL_MS = 100;

export interface Progress {
  show(progress: HistoryProgress): void;
  /** Takes the line away. */
  clear(): void;
}

export function createProgress(stream: NodeJS.WriteStream, now: () => number): Progress {
  if (!stream.isTTY) return { show: () => undefined, clear: () => undefined };
  const update = createLogUpdate(stream);
  let stage = '';
  let startedAt = now();
  let shownAt = Number.NEGATIVE_INFINITY;
  return {
    show(progress) {
      const at = now();
      if (progress.stage !== stage) [stage, startedAt, shownAt] = [progress.stage, at, Number.NEGATIVE_INFINITY];
      if (at - shownAt < INTERVAL_MS) return;
      shownAt = at;
      update(progressLine(progress, at - startedAt));
    },
    clear() {
      update.clear();
      update.done();
    },
  };
}

export function progressLine({ stage, rows, share }: HistoryProgress, elapsedMs: number): string {
  const rate = elapsedMs > 0 ? `${Math.round((rows / elapsedMs) * 1000).toLocaleString('en')} rows/s` : '';
  const parts = [stage, `${rows.toLocaleString('en')} rows`, rate];
  if (share > 0) {
    const bar = '█'.repeat(Math.round(share * BAR_WIDTH)).padEnd(BAR_WIDTH, '░');
    parts.unshift(`${bar} ${String(Math.floor(share * 100))} %`);
    parts.push(`${timeLeft((elapsedMs * (1 - share)) / share)} left`);
  }
  return parts.filter((part) => part !== '').join(' · ');
}

function timeLeft(ms: number): string {
  const seconds = Math.ceil(ms / 1000);
  return seconds < 90 ? `${String(seconds)} s` : `${String(Math.round(seconds / 60))} min`;
}
