/** What the detector says, in one sentence and the figures behind it. */
import type { ApiJudgement as Judgement } from '../api-schema.ts';
import {
  formatBytes,
  formatFullMoment,
  formatLeft,
  formatLeftInterval,
  formatMoment,
  formatPercent,
  formatSlope,
  formatSlopeInterval,
} from './format.ts';
import { waitingText } from './waiting-text.ts';

interface Fact {
  readonly name: string;
  readonly value: string;
  readonly more: string;
}

const WHERE = { heap: 'in the heap', native: 'outside the heap', mixed: 'heap and outside it', unknown: 'not known' } as const;

function factsOf(judgement: Judgement, now: number): Fact[] {
  const { exhaustsAt, onsetAt, limitBytes, levelBytes, instances } = judgement;
  const facts: Fact[] = [];
  if (exhaustsAt !== null) {
    facts.push({
      name: 'Time to limit',
      value: formatLeft(exhaustsAt, now),
      more: formatLeftInterval(judgement.exhaustsEarliest, judgement.exhaustsLatest, now),
    });
  }
  facts.push(
    { name: 'Slope', value: formatSlope(judgement.slopeBytesPerHour), more: formatSlopeInterval(judgement.slopeLow, judgement.slopeHigh) },
    {
      name: 'Level',
      value: formatBytes(levelBytes),
      more: limitBytes > 0 ? `${formatPercent(levelBytes / limitBytes)} of ${formatBytes(limitBytes)}` : 'no limit known',
    },
  );
  if (judgement.verdict === 'leak' || judgement.verdict === 'growing') {
    facts.push({
      name: 'Where',
      value: WHERE[judgement.kind],
      more: instances.length > 0 ? `on ${instances.length === 1 ? (instances[0] ?? '') : `${instances.length} instances`}` : '',
    });
  }
  if (onsetAt !== null)
    facts.push({ name: 'Since', value: formatMoment(onsetAt, now), more: judgement.version === '' ? '' : `version ${judgement.version}` });
  facts.push({ name: 'Confidence', value: formatPercent(judgement.confidence), more: judgement.reason });
  return facts;
}

const sentence = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? '' : '.');

export function JudgementFacts({ judgement, now }: { judgement: Judgement | null; now: number }) {
  if (judgement === null) {
    return (
      <section class="card verdict-card">
        <p class="lead">The detector has not looked at this service yet.</p>
        <p class="muted">It judges on a schedule; a first verdict needs some minutes of samples.</p>
      </section>
    );
  }
  const waits = waitingText(judgement, now);
  return (
    <section class={`card verdict-card ${judgement.verdict}`} aria-label="Verdict">
      <p class="lead">{sentence(judgement.explanation)}</p>
      {waits !== '' && <p class="waiting-for">{sentence(waits)}</p>}
      <dl class="facts">
        {factsOf(judgement, now).map(({ name, value, more }) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>
              <span class="fact-value">{value}</span>
              <span class="interval">{more}</span>
            </dd>
          </div>
        ))}
      </dl>
      <p class="muted small" title={formatFullMoment(judgement.at)}>
        Judged at {formatMoment(judgement.at, now)} on {judgement.signal}; intervals hold with 90{'\u202f'}% probability.
      </p>
    </section>
  );
}
