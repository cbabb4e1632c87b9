/** Child process of the evaluation: generates, walks and scores its share of the cases. */
import { policyFor } from '../../services/detector/policy.ts';
import { makeCase, type CaseId } from './corpus.ts';
import { RIVALS, rivalOpenings } from './rivals.ts';
import { scoreCase, type Outcome } from './score.ts';
import { detect } from './walk.ts';

export interface Job {
  readonly ids: readonly CaseId[];
  readonly rivals: boolean;
}

/** Outcomes per rule name; the detector's name is `leakline`. */
export type Results = Record<string, Outcome[]>;

process.on('message', (job: Job) => {
  const results: Results = { leakline: [] };
  const policy = policyFor('production');
  for (const id of job.ids) {
    const one = makeCase(id);
    results['leakline']?.push(scoreCase(one, detect(one, policy)));
    if (!job.rivals) continue;
    for (const name of Object.keys(RIVALS)) (results[name] ??= []).push(scoreCase(one, rivalOpenings(one, name)));
  }
  process.send?.(results, () => {
    process.disconnect();
  });
});
