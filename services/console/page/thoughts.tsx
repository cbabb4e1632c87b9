/** What the detector thought over time, newest first. */
import type { ServiceDetail } from '../api-schema.ts';
import { formatMoment } from './format.ts';
import { VERDICT_WORDS, VerdictIcon } from './verdict-badge.tsx';

const MOST_WORDS = 6;

export function Thoughts({ history, now }: { history: ServiceDetail['history']; now: number }) {
  if (history.length === 0) return null;
  return (
    <details class="thoughts">
      <summary>What the detector thought</summary>
      <ol>
        {history
          .slice(-MOST_WORDS)
          .reverse()
          .map((span) => (
            <li key={span.from}>
              <span class="tabular muted">{formatMoment(span.from, now)}</span>
              <span class={`thought ${span.verdict}`}>
                <VerdictIcon verdict={span.verdict} /> {VERDICT_WORDS[span.verdict]}
              </span>
              <span>{span.explanation}</span>
            </li>
          ))}
      </ol>
    </details>
  );
}
