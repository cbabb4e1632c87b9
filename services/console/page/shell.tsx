/** Head of every view: where one is, and whether the pipeline behind it is well. */
import type { ComponentChildren } from 'preact';
import type { Session, Status } from '../api-schema.ts';
import { call, type Polled } from './api-client.ts';
import { formatAgo, plural } from './format.ts';
import type { Route } from './router.ts';

function Mark() {
  return (
    <svg class="mark" viewBox="0 0 32 32" width="22" height="22" aria-hidden="true">
      <path class="mark-drop" d="M16 3c5.4 7 9 11.9 9 16.8a9 9 0 0 1-18 0C7 14.9 10.6 10 16 3z" />
      <path class="mark-line" d="M10.5 21.5l3.9-3.2 2.9 2.1 4.4-5.4" />
    </svg>
  );
}

function PipelineState({ status }: { status: Polled<Status> }) {
  const { data, error } = status;
  if (error !== null) return <span class="pulse bad">{error.status === 0 ? 'Console unreachable' : 'Store unavailable'}</span>;
  if (data === null) return <span class="pulse">…</span>;
  if (data.problems.length > 0) {
    return (
      <details class="pulse-details">
        <summary class="pulse warn">{plural(data.problems.length, 'problem')}</summary>
        <ul>
          {data.problems.map((problem) => (
            <li key={problem}>{problem}</li>
          ))}
        </ul>
      </details>
    );
  }
  const evaluated = data.lastEvaluationAt === null ? '' : `, judged ${formatAgo(data.lastEvaluationAt, data.at)}`;
  return (
    <span class="pulse good">
      {plural(data.agents.length, 'agent')}
      <span class="wide-only">{evaluated}</span>
    </span>
  );
}

interface ShellProps {
  readonly view: Route['view'];
  readonly status: Polled<Status>;
  readonly session: Session;
  readonly onSignedOut: () => void;
  readonly children: ComponentChildren;
}

export function Shell({ view, status, session, onSignedOut, children }: ShellProps) {
  const waiting = status.data?.openIncidents.filter(({ state }) => state === 'open').length ?? 0;
  const current = (...views: Route['view'][]) => (views.includes(view) ? ('page' as const) : undefined);
  const signOut = () => void call('/session', { method: 'DELETE' }).then(onSignedOut, onSignedOut);
  return (
    <>
      <a class="skip" href="#content">
        Skip to content
      </a>
      <header class="top">
        <a class="brand" href="/" aria-label="Leakline: fleet">
          <Mark />
          <span class="brand-name">Leakline</span>
        </a>
        <nav aria-label="Main">
          <a href="/" aria-current={current('fleet', 'service')}>
            Fleet
          </a>
          <a href="/incidents" aria-current={current('incidents', 'incident')}>
            Incidents
            {waiting > 0 && (
              <span class="count" aria-label={`${waiting} open`}>
                {waiting}
              </span>
            )}
          </a>
          <a href="/sql" aria-current={current('sql')}>
            SQL
          </a>
        </nav>
        <div class="top-end">
          <PipelineState status={status} />
          {!session.open && session.user !== null && (
            <button type="button" class="quiet" onClick={signOut} title={`Signed in as ${session.user}`}>
              Sign out
            </button>
          )}
        </div>
      </header>
      <main id="content" tabIndex={-1}>
        {children}
      </main>
    </>
  );
}
