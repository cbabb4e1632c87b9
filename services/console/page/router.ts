/** Which view the address asks for. Links are plain `<a href>`; clicks inside the page do not reload it. */
import { useEffect, useState } from 'preact/hooks';

export type Route =
  | { readonly view: 'fleet' }
  | { readonly view: 'service'; readonly environment: string; readonly service: string }
  | { readonly view: 'incidents' }
  | { readonly view: 'incident'; readonly id: string; readonly action: string | null }
  | { readonly view: 'sql' }
  | { readonly view: 'nowhere' };

export const servicePath = (environment: string, service: string): string =>
  `/services/${encodeURIComponent(environment)}/${encodeURIComponent(service)}`;

export const incidentPath = (id: string): string => `/incidents/${encodeURIComponent(id)}`;

function decoded(part: string | undefined): string {
  try {
    return decodeURIComponent(part ?? '');
  } catch {
    return part ?? '';
  }
}

export function parseRoute(location: { readonly pathname: string; readonly search: string }): Route {
  const parts = location.pathname.split('/').slice(1);
  const query = new URLSearchParams(location.search);
  if (parts.length === 1 && parts[0] === '') return { view: 'fleet' };
  if (parts[0] === 'services' && parts.length === 3) return { view: 'service', environment: decoded(parts[1]), service: decoded(parts[2]) };
  if (parts[0] === 'incidents' && parts.length === 1) return { view: 'incidents' };
  if (parts[0] === 'incidents' && parts.length === 2) return { view: 'incident', id: decoded(parts[1]), action: query.get('action') };
  if (parts[0] === 'sql' && parts.length === 1) return { view: 'sql' };
  return { view: 'nowhere' };
}

const NAVIGATED = 'leakline:navigated';

export function navigate(path: string, { replace = false, keepScroll = false } = {}): void {
  if (replace) history.replaceState(null, '', path);
  else history.pushState(null, '', path);
  window.dispatchEvent(new Event(NAVIGATED));
  if (!keepScroll) window.scrollTo(0, 0);
}

function followInside(event: MouseEvent): void {
  if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  const link = (event.target as Element | null)?.closest('a');
  if (link === null || link === undefined || link.origin !== location.origin || link.target !== '' || link.hasAttribute('download')) return;
  if (link.pathname.startsWith('/api/')) return;
  event.preventDefault();
  navigate(link.pathname + link.search);
}

export function useRoute(): Route {
  const [route, setRoute] = useState(() => parseRoute(location));
  useEffect(() => {
    const update = () => setRoute(parseRoute(location));
    window.addEventListener('popstate', update);
    window.addEventListener(NAVIGATED, update);
    document.addEventListener('click', followInside);
    return () => {
      window.removeEventListener('popstate', update);
      window.removeEventListener(NAVIGATED, update);
      document.removeEventListener('click', followInside);
    };
  }, []);
  return route;
}
