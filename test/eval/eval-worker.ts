/** Child process of the evaluation: generates, walks and scores its share of the cases. */
import { policyFor, type AlertLevel } from '../../services/detector/policy.ts';
import type { Case } from './corpus-case.ts';
import { makeCase, type CaseId, type Part } from './corpus.ts';
import { nezhaCases } from './nezha.ts';
import { programCases } from './programs.ts';
import { RIVALS, rivalOpenings } from './rivals.ts';
import { scoreCase, type Outcome } from './score.ts';
import { detect } from './walk.ts';

export interface Job {
  readonly ids: readonly CaseId[];
  readonly rivals: boolean;
  /** File of real pods to score too; '' = none. */
  readonly pods: string;
  /** Part of the recorded programs to score too. */
  readonly programs: Part | undefined;
}

/** The other settings of the knob, as rules of their own. */
export const KNOB: Readonly<Record<string, AlertLevel>> = { 'alerts: few': 'few', 'alerts: early': 'early' };

/** Outcomes per rule name; the detector's name is `leakline`. */
export type Results = Record<string, Outcome[]>;

async function work(job: Job): Promise<Results> {
  const results: Results = { leakline: [] };
  const policy = policyFor('production');
  const score = (one: Case) => {
    results['leakline']?.push(scoreCase(one, detect(one, policy)));
    if (!job.rivals) return;
    for (const [name, alerts] of Object.entries(KNOB))
      (results[name] ??= []).push(scoreCase(one, detect(one, policyFor('production', alerts))));
    for (const name of Object.keys(RIVALS)) (results[name] ??= []).push(scoreCase(one, rivalOpenings(one, name)));
  };
  for (const id of job.ids) score(makeCase(id));
  if (job.pods !== '') for (const one of await nezhaCases(job.pods)) score(one);
  if (job.programs !== undefined) for (const one of await programCases(job.programs)) score(one);
  return results;
}

process.on('message', (job: Job) => {
  void work(job).then((results) =>
    process.send?.(results, () => {
      process.disconnect();
    }),
  );
});
