/** Incidents nobody has taken yet, above everything else. */
import type { ServiceSummary } from '../api-schema.ts';
import { formatLeft, formatSlope } from './format.ts';
import { incidentPath } from './router.ts';
import { VerdictIcon } from './verdict-badge.tsx';

const MOST_SHOWN = 3;

export function IncidentBanner({ services, now }: { services: readonly ServiceSummary[]; now: number }) {
  const open = services.flatMap(({ service, environment, judgement, incident }) =>
    incident?.state === 'open' && judgement !== null ? [{ service, environment, judgement, incident }] : [],
  );
  if (open.length === 0) return null;
  return (
    <section class="banner" aria-label="Open incidents">
      {open.slice(0, MOST_SHOWN).map(({ service, environment, judgement, incident }) => (
        <a key={incident.id} class="banner-row" href={incidentPath(incident.id)}>
          <VerdictIcon verdict="leak" />
          <span>
            <b>{service}</b>
            {environment === '' ? '' : ` in ${environment}`} leaks {formatSlope(judgement.slopeBytesPerHour).replace('+', '')}
            {judgement.exhaustsAt === null ? '' : `, limit reached in ${formatLeft(judgement.exhaustsAt, now)}`}
          </span>
          <span class="banner-go">Look at it</span>
        </a>
      ))}
      {open.length > MOST_SHOWN && (
        <a class="banner-row" href="/incidents">
          <span>and {open.length - MOST_SHOWN} more</span>
        </a>
      )}
    </section>
  );
}
