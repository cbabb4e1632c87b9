/** Pools the judgements of the instances of one version: one leaking replica makes the version leak, the fastest tells when it ends. */
import type { Judgement, Verdict } from '../../shared/judgement.ts';

const SEVERITY: readonly Verdict[] = ['steady', 'growing', 'undecided', 'leak'];

export function poolJudgements(judgements: readonly Judgement[]): Judgement {
  const worst = judgements.reduce<Verdict>(
    (verdict, { verdict: next }) => (SEVERITY.indexOf(next) > SEVERITY.indexOf(verdict) ? next : verdict),
    'steady',
  );
  const alike = judgements.filter(({ verdict }) => verdict === worst);
  const lead = alike.reduce((best, next) => (urgency(next) > urgency(best) ? next : best));
  const onsets = alike.flatMap(({ onsetAt }) => (onsetAt === null ? [] : [onsetAt]));
  const of = judgements.length === 1 ? '' : worst === 'leak' ? `${String(alike.length)} of ${String(judgements.length)} instances: ` : '';
  return {
    ...lead,
    instance: '',
    lifetime: '',
    startedAt: Math.min(...alike.map(({ startedAt }) => startedAt)),
    verdict: worst,
    explanation: `${of}${lead.explanation}`,
    // What all do, as load does to them, leaves no less room for doubt than what the surest does.
    confidence: Math.max(...alike.map(({ confidence }) => confidence)),
    onsetAt: worst === 'leak' && onsets.length > 0 ? Math.min(...onsets) : lead.onsetAt,
    // The one that runs out first leads.
    instances: worst === 'leak' ? [...new Set([lead.instance, ...alike.map(({ instance }) => instance).sort()])] : [],
  };
}

/** Soonest exhaustion first, steeper slope where no limit is known. */
function urgency(judgement: Judgement): number {
  return judgement.exhaustsAt === null ? judgement.slopeBytesPerHour : 1e15 - judgement.exhaustsAt / 1e3;
}
