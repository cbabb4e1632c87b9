/** Entry of the page: session first, then the view the address asks for. */
import './fonts.css';
import './base.css';
import './views.css';
import 'uplot/dist/uPlot.min.css';
import { render } from 'preact';
import { useEffect } from 'preact/hooks';
import type { Session, Status } from '../api-schema.ts';
import { usePolled } from './api-client.ts';
import { Failure, Loading } from './feedback.tsx';
import { FleetView } from './fleet-view.tsx';
import { IncidentView } from './incident-view.tsx';
import { IncidentsView } from './incidents-view.tsx';
import { LoginView } from './login-view.tsx';
import { useRoute, type Route } from './router.ts';
import { ServiceView } from './service-view.tsx';
import { Shell } from './shell.tsx';
import { SqlView } from './sql-view.tsx';

const SESSION_EVERY_MS = 5 * 60_000;

const titleOf = (route: Route): string => {
  switch (route.view) {
    case 'service':
      return route.service;
    case 'incidents':
    case 'incident':
      return 'Incidents';
    case 'sql':
      return 'SQL';
    default:
      return 'Fleet';
  }
};

function View({ route, canAct }: { route: Route; canAct: boolean }) {
  switch (route.view) {
    case 'fleet':
      return <FleetView />;
    case 'service':
      return (
        <ServiceView
          key={`${route.environment}/${route.service}`}
          environment={route.environment}
          service={route.service}
          canAct={canAct}
        />
      );
    case 'incidents':
      return <IncidentsView />;
    case 'incident':
      return <IncidentView key={route.id} id={route.id} action={route.action} canAct={canAct} />;
    case 'sql':
      return <SqlView />;
    case 'nowhere':
      return (
        <section class="empty">
          <h1>Nothing here</h1>
          <p>
            There is no page at this address. <a href="/">Go to the fleet</a>.
          </p>
        </section>
      );
  }
}

function Page() {
  const route = useRoute();
  const session = usePolled<Session>('/session', SESSION_EVERY_MS);
  const signedIn = session.data?.roles.includes('reader') ?? false;
  const status = usePolled<Status>(signedIn ? '/status' : null);
  const waiting = status.data?.openIncidents.filter(({ state }) => state === 'open').length ?? 0;
  const title = titleOf(route);

  useEffect(() => {
    document.title = `${waiting > 0 ? `(${waiting}) ` : ''}${title} · Leakline`;
  }, [title, waiting]);
  // A token may be taken away while the page is open.
  useEffect(() => {
    if (status.error?.status === 401) session.refresh();
  }, [status.error]);

  if (session.data === null) return session.error === null ? <Loading /> : <Failure error={session.error} retry={session.refresh} />;
  if (!signedIn) return <LoginView onSignedIn={session.refresh} />;
  return (
    <Shell view={route.view} status={status} session={session.data} onSignedOut={session.refresh}>
      <View route={route} canAct={session.data.roles.includes('operator')} />
    </Shell>
  );
}

const root = document.getElementById('page');
if (root !== null) render(<Page />, root);
