/** What the ingester says about itself: on /metrics, and what it counts also for its reports. */
import type { Metrics } from '../../shared/metrics.ts';
import type { BatchProblems } from '../../shared/wire.ts';
import type { IngesterTally } from './ingester-tally.ts';

export type IngesterMetrics = ReturnType<typeof ingesterMetrics>;

export function ingesterMetrics(metrics: Metrics, tally: IngesterTally) {
  const rows = metrics.counter('leakline_ingester_rows_total', 'samples stored, repeated ones included');
  const repeated = metrics.counter(
    'leakline_ingester_repeated_batches_total',
    'batches that had been read before, sent or delivered again',
  );
  const repeatedRows = metrics.counter(
    'leakline_ingester_repeated_rows_total',
    'samples in repeated batches: storing them again changed nothing',
  );
  const letters = metrics.counter('leakline_ingester_dead_letters_total', 'messages that were unreadable or had refused rows', ['code']);
  const dropped = metrics.counter('leakline_ingester_dead_letters_dropped_total', 'dead letters counted but not kept: too many', ['code']);
  const refused = metrics.counter('leakline_ingester_refused_rows_total', 'rows left out of a batch that was taken', ['reason']);
  const cleared = metrics.counter('leakline_ingester_cleared_values_total', 'values made absent because they cannot be true', ['column']);
  const normalised = metrics.counter('leakline_ingester_normalised_total', 'strings and labels cut or replaced', ['field']);
  const storeFailures = metrics.counter('leakline_ingester_store_failures_total', 'inserts that failed and were tried again');
  const paused = metrics.counter('leakline_ingester_paused_seconds_total', 'time nothing more was read because the store had to catch up');
  return {
    batches: metrics.counter('leakline_ingester_batches_total', 'batches read from the bus'),
    insertSeconds: metrics.histogram('leakline_ingester_insert_seconds', 'time an insert took'),
    insertRows: metrics.histogram('leakline_ingester_insert_rows', 'samples in an insert', [], [1, 10, 100, 1e3, 1e4, 1e5, 1e6]),
    rollupSeconds: metrics.histogram('leakline_ingester_rollup_seconds', 'time a roll-up took'),
    bufferedRows: metrics.gauge('leakline_ingester_buffered_rows', 'samples read and not yet stored'),
    bufferedBytes: metrics.gauge('leakline_ingester_buffered_bytes', 'messages read and not yet stored'),
    lag: metrics.gauge('leakline_ingester_lag_messages', 'messages on the bus not yet stored, by partition owned', ['partition']),
    countStored: (count: number) => {
      rows.inc(count);
      tally.add('rows', '', count);
    },
    countRepeated: (count: number) => {
      repeated.inc();
      repeatedRows.inc(count);
      tally.add('repeated_rows', '', count);
    },
    countLetter: (code: string, isKept: boolean) => {
      letters.inc({ code });
      tally.add('dead_letters', code, 1);
      if (isKept) return;
      dropped.inc({ code });
      tally.add('dropped_letters', code, 1);
    },
    countStoreFailure: () => {
      storeFailures.inc();
      tally.add('store_failures', '', 1);
    },
    countPaused: (ms: number) => {
      paused.inc(ms / 1000);
      tally.add('paused_ms', '', Math.round(ms));
    },
    countProblems: (problems: BatchProblems) => {
      for (const [reason, count] of problems.refused) {
        refused.inc({ reason }, count);
        tally.add('refused_rows', reason, count);
      }
      for (const [column, count] of problems.cleared) {
        cleared.inc({ column }, count);
        tally.add('cleared_values', column, count);
      }
      for (const [field, count] of problems.normalised) {
        normalised.inc({ field }, count);
        tally.add('normalised', field, count);
      }
    },
  };
}
