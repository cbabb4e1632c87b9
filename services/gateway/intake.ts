/** Counts what came in, by sender and by what was wrong with it. Labels come from fixed sets and configured token names only. */
import type { Metrics } from '../../shared/metrics.ts';
import type { BatchProblems } from '../../shared/wire.ts';

export type Source = 'agent' | 'otlp';

export interface Intake {
  accepted(source: Source, team: string, samples: number): void;
  problems(source: Source, problems: BatchProblems): void;
  otlpPoints(outcome: string, count: number): void;
}

export function createIntake(metrics: Metrics): Intake {
  const samples = metrics.counter('leakline_gateway_samples_total', 'samples the bus has taken for good', ['source', 'team']);
  const refused = metrics.counter('leakline_gateway_refused_total', 'samples refused within a batch that was taken', ['source', 'reason']);
  const changed = metrics.counter('leakline_gateway_changed_total', 'values made absent (cleared) or put right (normalised)', [
    'source',
    'field',
    'change',
  ]);
  const points = metrics.counter('leakline_gateway_otlp_points_total', 'data points of mapped OTLP metrics by what became of them', [
    'outcome',
  ]);
  return {
    accepted: (source, team, count) => samples.inc({ source, team }, count),
    problems: (source, problems) => {
      for (const [reason, count] of problems.refused) refused.inc({ source, reason }, count);
      for (const [field, count] of problems.cleared) changed.inc({ source, field, change: 'cleared' }, count);
      for (const [field, count] of problems.normalised) changed.inc({ source, field, change: 'normalised' }, count);
    },
    otlpPoints: (outcome, count) => points.inc({ outcome }, count),
  };
}
