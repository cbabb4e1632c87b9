/** One service in the fleet: verdict, time, speed, level, shape, reason. */
import type { ServiceSummary } from '../api-schema.ts';
import {
  formatAgo,
  formatBytes,
  formatLeft,
  formatLeftInterval,
  formatMoment,
  formatPercent,
  formatSlope,
  formatSlopeInterval,
} from './format.ts';
import { servicePath } from './router.ts';
import { Sparkline } from './sparkline.tsx';
import { StateBadge, VerdictBadge } from './verdict-badge.tsx';
import { waitingText } from './waiting-text.ts';

/** After so long without a sample the service is gone, and its row says so. */
const SILENT_MS = 15 * 60_000;

export function LevelBar({ level, limit }: { level: number; limit: number }) {
  if (limit <= 0) return <span class="tabular">{formatBytes(level)}</span>;
  const share = Math.min(1, level / limit);
  return (
    <span class="level">
      <span class="tabular">
        {formatBytes(level)} <span class="muted">of {formatBytes(limit)}</span>
      </span>
      <svg
        class={`level-bar ${share > 0.9 ? 'full' : ''}`}
        viewBox="0 0 100 4"
        preserveAspectRatio="none"
        role="img"
        aria-label={`${formatPercent(share)} of the limit`}
      >
        <rect class="level-rail" width="100" height="4" rx="2" />
        <rect class="level-fill" width={(100 * share).toFixed(1)} height="4" rx="2" />
      </svg>
    </span>
  );
}

function TimeLeft({ judgement, now }: { judgement: ServiceSummary['judgement']; now: number }) {
  if (judgement === null || judgement.exhaustsAt === null || judgement.verdict === 'steady') return <span class="muted">–</span>;
  return (
    <>
      <strong class="figure">{formatLeft(judgement.exhaustsAt, now)}</strong>
      <span class="interval">{formatLeftInterval(judgement.exhaustsEarliest, judgement.exhaustsLatest, now)}</span>
    </>
  );
}

function Slope({ judgement }: { judgement: ServiceSummary['judgement'] }) {
  if (judgement === null) return <span class="muted">–</span>;
  return (
    <>
      <span class="figure">{formatSlope(judgement.slopeBytesPerHour)}</span>
      <span class="interval">{formatSlopeInterval(judgement.slopeLow, judgement.slopeHigh)}</span>
    </>
  );
}

const WHERE = { heap: 'heap', native: 'outside the heap', mixed: 'heap and native', unknown: '' } as const;

function Why({ summary, now }: { summary: ServiceSummary; now: number }) {
  const { judgement } = summary;
  if (judgement === null) return <span class="muted">The detector has not looked at it yet.</span>;
  const since = judgement.onsetAt !== null && judgement.verdict !== 'steady' ? `since ${formatMoment(judgement.onsetAt, now)}` : '';
  const facts = [judgement.verdict === 'leak' ? WHERE[judgement.kind] : '', since, waitingText(judgement, now)].filter(
    (fact) => fact !== '',
  );
  return (
    <>
      <span class="why">{judgement.explanation}</span>
      {facts.length > 0 && <span class="interval">{facts.join(' · ')}</span>}
    </>
  );
}

export function FleetRow({ summary, now }: { summary: ServiceSummary; now: number }) {
  const { service, environment, versions, runtime, instances, judgement, incident } = summary;
  const silent = now - summary.lastSampleAt > SILENT_MS;
  const tone = judgement?.verdict ?? 'waiting';
  return (
    <tr class={`fleet-row ${tone}`}>
      <th scope="row" class="cell-service">
        <a href={servicePath(environment, service)}>{service}</a>
        <span class="interval">{[environment, versions[0] ?? '', runtime, `×${instances}`].filter((part) => part !== '').join(' · ')}</span>
      </th>
      <td class="cell-verdict">
        <VerdictBadge verdict={judgement?.verdict ?? null} />
        {incident !== null && incident.state !== 'open' && <StateBadge state={incident.state} />}
        {silent && <span class="interval">last seen {formatAgo(summary.lastSampleAt, now)}</span>}
      </td>
      <td class="number cell-left" data-label="Time to limit">
        <TimeLeft judgement={judgement} now={now} />
      </td>
      <td class="number cell-slope" data-label="Slope">
        <Slope judgement={judgement} />
      </td>
      <td class="cell-memory" data-label="Memory">
        <LevelBar level={summary.levelBytes} limit={summary.limitBytes} />
      </td>
      <td class="cell-spark">
        <Sparkline sparkline={summary.sparkline} tone={tone} />
      </td>
      <td class="cell-why">
        <Why summary={summary} now={now} />
      </td>
    </tr>
  );
}
