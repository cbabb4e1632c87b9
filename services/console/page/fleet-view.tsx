/** The fleet, most urgent first. */
import { useEffect, useMemo, useState } from 'preact/hooks';
import { VERDICTS, type Verdict } from '../../../shared/judgement.ts';
import type { Fleet, ServiceSummary } from '../api-schema.ts';
import { usePolled } from './api-client.ts';
import { EmptyFleet } from './empty-fleet.tsx';
import { Failure, Loading, Stale } from './feedback.tsx';
import { FleetRow } from './fleet-row.tsx';
import { HOUR, plural } from './format.ts';
import { IncidentBanner } from './incident-banner.tsx';
import { TableHead } from './table-head.tsx';
import { VERDICT_WORDS, VerdictIcon } from './verdict-badge.tsx';

interface Filter {
  readonly words: string;
  readonly verdict: Verdict | null;
  readonly environment: string;
}

function matches(summary: ServiceSummary, filter: Filter): boolean {
  if (filter.environment !== '' && summary.environment !== filter.environment) return false;
  if (filter.verdict !== null && summary.judgement?.verdict !== filter.verdict) return false;
  const text = [summary.service, summary.environment, summary.runtime, ...summary.versions, summary.judgement?.reason ?? '']
    .join(' ')
    .toLowerCase();
  return filter.words
    .toLowerCase()
    .split(/\s+/)
    .every((word) => text.includes(word));
}

function VerdictFilter({
  services,
  chosen,
  choose,
}: {
  services: ServiceSummary[];
  chosen: Verdict | null;
  choose: (verdict: Verdict | null) => void;
}) {
  const countOf = (verdict: Verdict) => services.filter(({ judgement }) => judgement?.verdict === verdict).length;
  return (
    <div class="chips" role="group" aria-label="Filter by verdict">
      <button type="button" class="chip" aria-pressed={chosen === null} onClick={() => choose(null)}>
        All <b>{services.length}</b>
      </button>
      {VERDICTS.map((verdict) => (
        <button
          key={verdict}
          type="button"
          class={`chip ${verdict}`}
          aria-pressed={chosen === verdict}
          onClick={() => choose(chosen === verdict ? null : verdict)}
        >
          <VerdictIcon verdict={verdict} />
          {VERDICT_WORDS[verdict]} <b>{countOf(verdict)}</b>
        </button>
      ))}
    </div>
  );
}

/** As many as the tallest screen shows; the others follow once these are painted. */
const FIRST_ROWS = 60;

function useAllAfterPaint(): boolean {
  const [all, setAll] = useState(false);
  useEffect(() => {
    const timer = window.setTimeout(() => setAll(true), 50);
    return () => window.clearTimeout(timer);
  }, []);
  return all;
}

function FleetTable({ services, now }: { services: ServiceSummary[]; now: number }) {
  const all = useAllAfterPaint();
  return (
    <table class="fleet">
      <TableHead
        columns={[
          'Service',
          'Verdict',
          'Time to limit',
          'Slope',
          'Memory',
          (services[0]?.sparkline.stepMs ?? 0) >= HOUR ? 'Two days' : 'Two hours',
          'What is seen',
        ]}
        numbers={['Time to limit', 'Slope']}
      />
      <tbody>
        {services.slice(0, all ? undefined : FIRST_ROWS).map((summary) => (
          <FleetRow key={`${summary.environment}/${summary.service}`} summary={summary} now={now} />
        ))}
      </tbody>
    </table>
  );
}

export function FleetView() {
  const fleet = usePolled<Fleet>('/services');
  const [filter, setFilter] = useState<Filter>({ words: '', verdict: null, environment: '' });
  const services = fleet.data?.services ?? [];
  const environments = useMemo(() => [...new Set(services.map(({ environment }) => environment))].sort(), [fleet.data]);
  const shown = useMemo(() => services.filter((summary) => matches(summary, filter)), [fleet.data, filter]);

  if (fleet.data === null) return fleet.error === null ? <Loading /> : <Failure error={fleet.error} retry={fleet.refresh} />;
  if (services.length === 0) return <EmptyFleet />;
  return (
    <>
      <Stale error={fleet.error} />
      <IncidentBanner services={services} now={fleet.data.at} />
      <div class="toolbar">
        <h1>
          Fleet <span class="muted">{plural(services.length, 'service')}</span>
        </h1>
        <VerdictFilter services={services} chosen={filter.verdict} choose={(verdict) => setFilter({ ...filter, verdict })} />
        <div class="toolbar-end">
          {environments.length > 1 && (
            <select
              aria-label="Environment"
              value={filter.environment}
              onChange={(event) => setFilter({ ...filter, environment: event.currentTarget.value })}
            >
              <option value="">All environments</option>
              {environments.map((environment) => (
                <option key={environment} value={environment}>
                  {environment === '' ? '(none)' : environment}
                </option>
              ))}
            </select>
          )}
          <input
            type="search"
            aria-label="Search services"
            placeholder="Search"
            value={filter.words}
            onInput={(event) => setFilter({ ...filter, words: event.currentTarget.value })}
          />
        </div>
      </div>
      {shown.length === 0 ? (
        <section class="empty small-empty">
          <p>No service matches.</p>
          <button type="button" onClick={() => setFilter({ words: '', verdict: null, environment: '' })}>
            Show all
          </button>
        </section>
      ) : (
        <FleetTable services={shown} now={fleet.data.at} />
      )}
    </>
  );
}
