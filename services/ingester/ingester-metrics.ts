/** What the ingester says about itself. */
import type { Metrics } from '../../shared/metrics.ts';
import type { BatchProblems } from '../../shared/wire.ts';

export type IngesterMetrics = ReturnType<typeof ingesterMetrics>;

export function ingesterMetrics(metrics: Metrics) {
  const refused = metrics.counter('leakline_ingester_refused_rows_total', 'rows left out of a batch that was taken', ['reason']);
  const cleared = metrics.counter('leakline_ingester_cleared_values_total', 'values made absent because they cannot be true', ['column']);
  const normalised = metrics.counter('leakline_ingester_normalised_total', 'strings and labels cut or replaced', ['field']);
  return {
    rows: metrics.counter('leakline_ingester_rows_total', 'samples stored, repeated ones included'),
    batches: metrics.counter('leakline_ingester_batches_total', 'batches read from the bus'),
    repeated: metrics.counter('leakline_ingester_repeated_batches_total', 'batches that had been read before, sent or delivered again'),
    deadLetters: metrics.counter('leakline_ingester_dead_letters_total', 'messages that were unreadable or had refused rows', ['code']),
    deadLettersDropped: metrics.counter('leakline_ingester_dead_letters_dropped_total', 'dead letters counted but not kept: too many'),
    insertSeconds: metrics.histogram('leakline_ingester_insert_seconds', 'time an insert took'),
    storeFailures: metrics.counter('leakline_ingester_store_failures_total', 'inserts that failed and were tried again'),
    rollupSeconds: metrics.histogram('leakline_ingester_rollup_seconds', 'time a roll-up took'),
    bufferedRows: metrics.gauge('leakline_ingester_buffered_rows', 'samples read and not yet stored'),
    lag: metrics.gauge('leakline_ingester_lag_messages', 'messages on the bus not yet stored, over the partitions owned'),
    countProblems: (problems: BatchProblems) => {
      for (const [reason, count] of problems.refused) refused.inc({ reason }, count);
      for (const [column, count] of problems.cleared) cleared.inc({ column }, count);
      for (const [field, count] of problems.normalised) normalised.inc({ field }, count);
    },
  };
}
