/** The instances of a service as the detector sees them, and the lifetimes of their processes. */
import { useState } from 'preact/hooks';
import type { ApiJudgement as Judgement, ApiLifetime as Lifetime } from '../api-schema.ts';
import { LevelBar } from './fleet-row.tsx';
import { formatBytes, formatDuration, formatFullMoment, formatLeft, formatMoment, formatSlope, plural } from './format.ts';
import { TableHead } from './table-head.tsx';
import { VerdictBadge } from './verdict-badge.tsx';

const FIRST_ROWS = 8;

/** Many rows begin as few, with a button for the others. */
function useFirstRows<Row>(rows: readonly Row[]) {
  const [all, setAll] = useState(false);
  const more = rows.length > FIRST_ROWS && !all && (
    <button type="button" class="quiet" onClick={() => setAll(true)}>
      Show all {rows.length}
    </button>
  );
  return { shown: rows.slice(0, all ? undefined : FIRST_ROWS), more };
}

export function InstanceTable({ judgements, now }: { judgements: readonly Judgement[]; now: number }) {
  const instances = judgements.filter(({ instance }) => instance !== '').sort((a, b) => b.slopeBytesPerHour - a.slopeBytesPerHour);
  const { shown, more } = useFirstRows(instances);
  if (instances.length === 0) return null;
  return (
    <section class="block">
      <h2>Instances</h2>
      <div class="scroll">
        <table>
          <TableHead
            columns={['Instance', 'Verdict', 'Slope', 'Level', 'Time to limit', 'What is seen']}
            numbers={['Slope', 'Time to limit']}
          />
          <tbody>
            {shown.map((judgement) => (
              <tr key={`${judgement.instance}/${judgement.version}/${judgement.lifetime}`}>
                <th scope="row" class="mono">
                  {judgement.instance}
                  <span class="interval">{judgement.version}</span>
                </th>
                <td>
                  <VerdictBadge verdict={judgement.verdict} />
                </td>
                <td class="number">{formatSlope(judgement.slopeBytesPerHour)}</td>
                <td class="cell-memory">
                  <LevelBar level={judgement.levelBytes} limit={judgement.limitBytes} />
                </td>
                <td class="number">{judgement.exhaustsAt === null ? '–' : formatLeft(judgement.exhaustsAt, now)}</td>
                <td class="cell-why">
                  <span class="why">{judgement.explanation}</span>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {more}
    </section>
  );
}

const ENDS: Record<Lifetime['endedBy'], string> = {
  running: 'running',
  restart: 'restarted',
  oom: 'killed, out of memory',
  exit: 'ended',
  silent: 'no sign any more',
};

export function LifetimeTable({ lifetimes, now }: { lifetimes: readonly Lifetime[]; now: number }) {
  const { shown, more } = useFirstRows(lifetimes);
  const ooms = lifetimes.filter(({ endedBy }) => endedBy === 'oom').length;
  if (lifetimes.length === 0) return null;
  return (
    <section class="block">
      <h2>
        Processes{' '}
        <span class="muted">
          {plural(lifetimes.length, 'lifetime')}
          {ooms > 0 ? `, ${plural(ooms, 'OOM kill')}` : ''}
        </span>
      </h2>
      <div class="scroll">
        <table>
          <TableHead
            columns={['Instance', 'Version', 'Started', 'Age', 'Ended', 'Highest RSS', 'Host, pid']}
            numbers={['Age', 'Highest RSS']}
          />
          <tbody>
            {shown.map((lifetime) => (
              <tr key={lifetime.lifetime}>
                <th scope="row" class="mono">
                  {lifetime.instance}
                </th>
                <td>{lifetime.version}</td>
                <td class="tabular" title={formatFullMoment(lifetime.startedAt)}>
                  {formatMoment(lifetime.startedAt, now)}
                </td>
                <td class="number">{formatDuration((lifetime.endedAt ?? lifetime.lastSeenAt) - lifetime.startedAt)}</td>
                <td>
                  <span class={`end ${lifetime.endedBy}`}>{ENDS[lifetime.endedBy]}</span>
                  {lifetime.endedBy !== 'running' && (
                    <span class="interval">{formatMoment(lifetime.endedAt ?? lifetime.lastSeenAt, now)}</span>
                  )}
                </td>
                <td class="number">{formatBytes(lifetime.rssPeakBytes)}</td>
                <td class="mono muted">
                  {lifetime.host}, {lifetime.pid}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {more}
    </section>
  );
}
