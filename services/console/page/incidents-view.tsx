/** All incidents: those that wait for somebody, those in hand, and the past. */
import type { ApiIncident, IncidentList } from '../api-schema.ts';
import { usePolled } from './api-client.ts';
import { Failure, Loading, Stale } from './feedback.tsx';
import { formatAgo, formatLeft, formatMoment, formatSlope } from './format.ts';
import { incidentPath } from './router.ts';
import { TableHead } from './table-head.tsx';
import { StateBadge } from './verdict-badge.tsx';

const isOver = ({ state }: ApiIncident) => state === 'resolved' || state === 'dismissed';

function Row({ incident, now }: { incident: ApiIncident; now: number }) {
  const { judgement } = incident;
  return (
    <tr>
      <th scope="row">
        <a href={incidentPath(incident.id)}>{incident.service}</a>
        <span class="interval">{[incident.environment, incident.version].filter((part) => part !== '').join(' · ')}</span>
      </th>
      <td>
        <StateBadge state={incident.state} />
        {incident.silencedUntil !== null && <span class="interval">until {formatMoment(incident.silencedUntil, now)}</span>}
      </td>
      <td class="tabular" data-label="Opened">
        {formatAgo(incident.openedAt, now)}
      </td>
      <td class="number" data-label="Slope">
        {formatSlope(judgement.slopeBytesPerHour)}
      </td>
      <td class="number" data-label="Time to limit">
        {isOver(incident) || judgement.exhaustsAt === null ? '–' : formatLeft(judgement.exhaustsAt, now)}
      </td>
      <td class="cell-why">
        <span class="why">{judgement.explanation}</span>
        {incident.note !== '' && (
          <span class="interval">
            {incident.actor}: {incident.note}
          </span>
        )}
      </td>
    </tr>
  );
}

function Group({ title, incidents, now }: { title: string; incidents: readonly ApiIncident[]; now: number }) {
  if (incidents.length === 0) return null;
  return (
    <section class="block">
      <h2>
        {title} <span class="muted">{incidents.length}</span>
      </h2>
      <table class="cards">
        <TableHead
          columns={['Service', 'State', 'Opened', 'Slope', 'Time to limit', 'What was seen last']}
          numbers={['Slope', 'Time to limit']}
        />
        <tbody>
          {incidents.map((incident) => (
            <Row key={incident.id} incident={incident} now={now} />
          ))}
        </tbody>
      </table>
    </section>
  );
}

export function IncidentsView() {
  const list = usePolled<IncidentList>('/incidents');
  if (list.data === null) return list.error === null ? <Loading /> : <Failure error={list.error} retry={list.refresh} />;
  const { incidents, at } = list.data;
  return (
    <>
      <Stale error={list.error} />
      <div class="page-head">
        <h1>Incidents</h1>
      </div>
      {incidents.length === 0 && (
        <section class="empty small-empty">
          <p>No leak has been found so far. When one is, it opens an incident here and one message where you want it.</p>
        </section>
      )}
      <Group title="Waiting for somebody" incidents={incidents.filter(({ state }) => state === 'open')} now={at} />
      <Group title="In hand" incidents={incidents.filter(({ state }) => state === 'acknowledged' || state === 'silenced')} now={at} />
      <Group title="Past" incidents={incidents.filter(isOver)} now={at} />
    </>
  );
}
