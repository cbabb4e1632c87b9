/** Verdicts and incident states: always a shape and a word, never colour alone. */
import type { IncidentState } from '../../../shared/incident.ts';
import type { Verdict } from '../../../shared/judgement.ts';

const SHAPES: Record<Verdict, string> = {
  leak: 'M8 1.5c3 3.9 4.9 6.4 4.9 8.7a4.9 4.9 0 0 1-9.8 0C3.1 7.9 5 5.4 8 1.5z',
  growing: 'M3.5 12.5 12.2 3.8M6.5 3.5h6v6',
  steady: 'M2.5 6h11M2.5 10h11',
  undecided: 'M8 2.5a5.5 5.5 0 1 0 .01 0zM8 5v3.2l2 1.6',
};

export const VERDICT_WORDS: Record<Verdict, string> = { leak: 'Leak', growing: 'Growing', steady: 'Steady', undecided: 'Undecided' };

export function VerdictIcon({ verdict }: { verdict: Verdict }) {
  return (
    <svg class={`icon verdict-icon ${verdict}`} viewBox="0 0 16 16" width="14" height="14" aria-hidden="true">
      <path d={SHAPES[verdict]} />
    </svg>
  );
}

export function VerdictBadge({ verdict }: { verdict: Verdict | null }) {
  if (verdict === null) return <span class="badge waiting">Not judged yet</span>;
  return (
    <span class={`badge ${verdict}`}>
      <VerdictIcon verdict={verdict} />
      {VERDICT_WORDS[verdict]}
    </span>
  );
}

const STATE_WORDS: Record<IncidentState, string> = {
  open: 'Open',
  acknowledged: 'Acknowledged',
  silenced: 'Silenced',
  resolved: 'Resolved',
  dismissed: 'Not a leak',
};

export function StateBadge({ state }: { state: IncidentState }) {
  return <span class={`badge state ${state}`}>{STATE_WORDS[state]}</span>;
}
