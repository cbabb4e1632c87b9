/** One incident: what is known, what was done and sent, and what to do. */
import { useEffect, useState } from 'preact/hooks';
import type { ApiIncidentEvent, IncidentDetail } from '../api-schema.ts';
import { usePolled } from './api-client.ts';
import { Failure, Loading, Stale } from './feedback.tsx';
import { formatAgo, formatFullMoment, formatMoment } from './format.ts';
import { IncidentActions, isActionName } from './incident-actions.tsx';
import { JudgementFacts } from './judgement-facts.tsx';
import { incidentPath, navigate, servicePath } from './router.ts';
import { SqlSnippet } from './sql-snippet.tsx';
import { TableHead } from './table-head.tsx';
import { StateBadge } from './verdict-badge.tsx';

const EVENT_WORDS: Record<ApiIncidentEvent['type'], string> = {
  opened: 'opened it',
  updated: 'looked again',
  resolved: 'resolved it',
  reopened: 'reopened it',
  acknowledged: 'acknowledged it',
  unacknowledged: 'gave it back',
  dismissed: 'called it not a leak',
  silenced: 'silenced it',
};

function Timeline({ detail }: { detail: IncidentDetail }) {
  return (
    <section class="block">
      <h2>History</h2>
      <ol class="timeline">
        {detail.events.map((event) => (
          <li key={event.id} class={event.type}>
            <span class="tabular muted" title={formatFullMoment(event.at)}>
              {formatMoment(event.at, detail.at)}
            </span>
            <span>
              <b>{event.actor}</b> {EVENT_WORDS[event.type]}
              {event.until === null ? '' : ` until ${formatMoment(event.until, detail.at)}`}
              {event.explanation === '' ? '' : `: ${event.explanation}`}
              {event.note !== '' && <q>{event.note}</q>}
            </span>
          </li>
        ))}
      </ol>
    </section>
  );
}

function Deliveries({ detail }: { detail: IncidentDetail }) {
  if (detail.deliveries.length === 0) {
    return (
      <section class="block">
        <h2>Messages</h2>
        <p class="muted">
          Nothing was sent. Slack, mail and webhooks are set up under <code>notify</code> in the configuration.
        </p>
      </section>
    );
  }
  return (
    <section class="block">
      <h2>Messages</h2>
      <table>
        <TableHead columns={['Channel', 'When', 'Result']} />
        <tbody>
          {detail.deliveries.map((delivery) => (
            <tr key={`${delivery.channel}/${delivery.event}`}>
              <th scope="row">{delivery.channel}</th>
              <td class="tabular">{formatMoment(delivery.at, detail.at)}</td>
              <td>
                {delivery.state}
                {delivery.error !== '' && <span class="interval">{delivery.error}</span>}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

export function IncidentView({ id, action, canAct }: { id: string; action: string | null; canAct: boolean }) {
  const detail = usePolled<IncidentDetail>(incidentPath(id));
  const [asked] = useState(isActionName(action) ? action : null);
  // The question is asked once; a reload must not ask it again.
  useEffect(() => {
    if (action !== null) navigate(incidentPath(id), { replace: true, keepScroll: true });
  }, [action]);

  if (detail.data === null) return detail.error === null ? <Loading /> : <Failure error={detail.error} retry={detail.refresh} />;
  const { incident, at } = detail.data;
  return (
    <>
      <Stale error={detail.error} />
      <header class="page-head">
        <p class="crumbs">
          <a href="/incidents">Incidents</a>
        </p>
        <h1>
          <a href={servicePath(incident.environment, incident.service)}>{incident.service}</a> <StateBadge state={incident.state} />
        </h1>
        <p class="muted">
          {[incident.environment, incident.version, `opened ${formatAgo(incident.openedAt, at)}`, `incident ${incident.id}`]
            .filter((part) => part !== '')
            .join(' · ')}
        </p>
      </header>
      <IncidentActions key={incident.state} incident={incident} now={at} canAct={canAct} asked={asked} />
      <JudgementFacts judgement={incident.judgement} now={at} />
      <p>
        <a href={servicePath(incident.environment, incident.service)}>Curves, instances and processes of {incident.service}</a>
      </p>
      <Timeline detail={detail.data} />
      <Deliveries detail={detail.data} />
      <SqlSnippet sql={detail.data.sql} />
    </>
  );
}
