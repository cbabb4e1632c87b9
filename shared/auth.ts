/**
 * Who may do what over HTTP: bearer tokens (hashed in memory, compared in constant time) and the user header of a trusted proxy.
 * Pure: headers in, principal out. The hook at the end is the only part that knows fastify.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import type { FastifyRequest } from 'fastify';
import type { Config } from './config.ts';
import { LeaklineError } from './errors.ts';

/** `ingest` writes samples and reads nothing; `reader` reads; `operator` also acknowledges, silences and dismisses. */
export type Role = 'ingest' | 'reader' | 'operator';

export interface Principal {
  /** Name of the token (TEAM of `TEAM=TOKEN`, else `ingest-1` …) or of the user behind the proxy. */
  readonly name: string;
  readonly roles: ReadonlySet<Role>;
}

export type Authenticate = (headers: IncomingHttpHeaders) => Principal | null;

export interface Auth {
  /** Neither a token nor a proxy header is configured: everybody is `anonymous` with every role (loopback only). */
  readonly open: boolean;
  readonly authenticate: Authenticate;
  /** The same for a bare token, as a login form gives it. */
  authenticateToken(token: string): Principal | null;
}

interface KnownToken extends Principal {
  readonly digest: Buffer;
}

/** A shorter one can be guessed over the network. */
const MIN_TOKEN_LENGTH = 16;
const MAX_USER_LENGTH = 200;
/** `TEAM=TOKEN`. Base64 padding at the end of a bare token is no team. */
const NAMED_TOKEN = /^([A-Za-z][\w.-]{0,63})=(?=[^=])(.+)$/;
const SHA256_TOKEN = /^sha256:([0-9a-f]{64})$/i;
const BEARER = /^Bearer +(\S+) *$/i;

const GRANTS: Readonly<Record<Role, readonly Role[]>> = {
  ingest: ['ingest'],
  reader: ['reader'],
  operator: ['reader', 'operator'],
};

const ANONYMOUS: Principal = { name: 'anonymous', roles: new Set<Role>(['ingest', 'reader', 'operator']) };

const sha256 = (token: string): Buffer => createHash('sha256').update(token).digest();

function parseToken(entry: string, role: Role, index: number): KnownToken {
  const [, team, rest] = NAMED_TOKEN.exec(entry) ?? [];
  const token = rest ?? entry;
  const name = team ?? `${role}-${index + 1}`;
  const hex = SHA256_TOKEN.exec(token)?.[1];
  if (hex === undefined && (token.startsWith('sha256:') || token.length < MIN_TOKEN_LENGTH || /\s/.test(token))) {
    throw new LeaklineError(
      'LKL_ERR_CONFIG',
      `auth.${role}Tokens: entry ${index + 1} must be sha256: and 64 hex digits, or a token of at least ${MIN_TOKEN_LENGTH} characters without blanks; ` +
        '`openssl rand -hex 24` makes one',
    );
  }
  return { name, roles: new Set(GRANTS[role]), digest: hex === undefined ? sha256(token) : Buffer.from(hex, 'hex') };
}

/** Throws LKL_ERR_CONFIG on a token that is malformed or too short; never names the token. */
export function createAuth(config: Config['auth']): Auth {
  const known = [
    ...config.ingestTokens.map((entry, index) => parseToken(entry, 'ingest', index)),
    ...config.readerTokens.map((entry, index) => parseToken(entry, 'reader', index)),
    ...config.operatorTokens.map((entry, index) => parseToken(entry, 'operator', index)),
  ];
  const userHeader = config.trustedProxyHeader.toLowerCase();
  const open = known.length === 0 && userHeader === '';

  /** Looks at every token whatever matched, so the time taken tells nothing. */
  const authenticateToken = (token: string): Principal | null => {
    const digest = sha256(token);
    const matches = known.filter((candidate) => timingSafeEqual(candidate.digest, digest));
    const first = matches[0];
    if (first === undefined) return null;
    return { name: first.name, roles: new Set(matches.flatMap(({ roles }) => [...roles])) };
  };

  const authenticate: Authenticate = (headers) => {
    if (open) return ANONYMOUS;
    const token = BEARER.exec(headers.authorization ?? '')?.[1];
    const bearer = token === undefined ? null : authenticateToken(token);
    if (bearer !== null || userHeader === '') return bearer;
    const user = headers[userHeader];
    if (typeof user !== 'string' || user.trim() === '' || user.length > MAX_USER_LENGTH) return null;
    return { name: user.trim(), roles: new Set(GRANTS.operator) };
  };

  return { open, authenticate, authenticateToken };
}

declare module 'fastify' {
  interface FastifyRequest {
    /** Set by requireRole; null on routes open to all. */
    principal: Principal | null;
  }
}

/** onRequest hook: runs before a byte of the body is read. 401 for nobody, 403 for somebody without the role. */
export function requireRole(role: Role, authenticate: Authenticate): (request: FastifyRequest) => Promise<void> {
  return (request) => {
    const principal = authenticate(request.headers);
    if (principal === null) {
      throw new LeaklineError('LKL_ERR_UNAUTHORIZED', `this needs a token with the role ${role}: send "Authorization: Bearer TOKEN"`);
    }
    if (!principal.roles.has(role)) {
      throw new LeaklineError('LKL_ERR_FORBIDDEN', `${principal.name} lacks the role ${role} (auth.${role}Tokens grants it)`);
    }
    request.principal = principal;
    return Promise.resolve();
  };
}
