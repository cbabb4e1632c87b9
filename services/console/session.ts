/**
 * Signing in on the page: a token once given lives in an HttpOnly, SameSite=Strict cookie, checked on each request like a header.
 * What changes something must come from our own page (same origin, JSON body) or carry its own bearer token.
 */
import { parseCookie, stringifySetCookie } from 'cookie';
import type { FastifyRequest } from 'fastify';
import type { Auth, Authenticate } from '../../shared/auth.ts';
import { LeaklineError } from '../../shared/errors.ts';

const COOKIE = 'leakline_session';
const MAX_AGE_SECONDS = 30 * 86_400;

/** Header or proxy user first, then the cookie. */
export function authenticateWithCookie(auth: Auth): Authenticate {
  return (headers) => {
    const principal = auth.authenticate(headers);
    if (principal !== null || headers.cookie === undefined) return principal;
    const token = parseCookie(headers.cookie)[COOKIE];
    return token === undefined || token === '' ? null : auth.authenticateToken(token);
  };
}

export function sessionCookie(token: string, secure: boolean): string {
  const maxAge = token === '' ? 0 : MAX_AGE_SECONDS;
  return stringifySetCookie({ name: COOKIE, value: token, httpOnly: true, sameSite: 'strict', path: '/', secure, maxAge });
}

/**
 * onRequest hook of every route that changes something. A form of another site cannot send JSON without asking first,
 * and browsers tell where a request comes from; callers that are no browser send neither header.
 */
export function requireSameOrigin(publicUrl: string): (request: FastifyRequest) => Promise<void> {
  const publicHost = publicUrl === '' ? undefined : hostOf(publicUrl);
  return (request) => {
    const { origin, host, 'sec-fetch-site': site, 'content-type': contentType } = request.headers;
    if (site !== undefined && site !== 'same-origin' && site !== 'none') throw refused(`Sec-Fetch-Site is ${site}`);
    if (origin !== undefined && hostOf(origin) !== host && hostOf(origin) !== publicHost)
      throw refused(`Origin is ${origin.slice(0, 100)}`);
    if (request.method === 'POST' && !/^application\/json\b/i.test(contentType ?? '')) {
      throw new LeaklineError('LKL_ERR_MEDIA_TYPE', 'the body must be sent as application/json');
    }
    return Promise.resolve();
  };
}

const hostOf = (origin: string): string | undefined => (URL.canParse(origin) ? new URL(origin).host : undefined);

const refused = (why: string) => new LeaklineError('LKL_ERR_FORBIDDEN', `requests from pages of other sites are refused (${why})`);
