import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { createAuth, type Auth } from '../../shared/auth.ts';
import { LeaklineError } from '../../shared/errors.ts';

const INGEST = 'ingest-token-0123456789';
const READER = 'reader-token-0123456789';
const OPERATOR = 'operator-token-0123456789';

const auth = (config: Partial<Parameters<typeof createAuth>[0]>): Auth =>
  createAuth({ ingestTokens: [], readerTokens: [], operatorTokens: [], trustedProxyHeader: '', ...config });

const bearer = (token: string) => ({ authorization: `Bearer ${token}` });
const roles = (principal: ReturnType<Auth['authenticate']>) => [...(principal?.roles ?? [])].sort();

describe('auth', () => {
  it('is open only when nothing at all is configured', () => {
    expect(auth({}).open).toBe(true);
    expect(roles(auth({}).authenticate({}))).toEqual(['ingest', 'operator', 'reader']);
    expect(auth({ ingestTokens: [INGEST] }).open).toBe(false);
    expect(auth({ trustedProxyHeader: 'X-User' }).open).toBe(false);
    expect(auth({ trustedProxyHeader: 'X-User' }).authenticate({})).toBeNull();
  });

  it('gives each kind of token its role, operator the role of a reader too', () => {
    const tokens = auth({ ingestTokens: [INGEST], readerTokens: [READER], operatorTokens: [OPERATOR] });
    expect(roles(tokens.authenticate(bearer(INGEST)))).toEqual(['ingest']);
    expect(roles(tokens.authenticate(bearer(READER)))).toEqual(['reader']);
    expect(roles(tokens.authenticate(bearer(OPERATOR)))).toEqual(['operator', 'reader']);
    expect(tokens.authenticate({ authorization: `bearer  ${READER} ` })?.name).toBe('reader-1');
  });

  it('joins the roles of a token that stands in two lists', () => {
    const both = auth({ ingestTokens: [INGEST], readerTokens: [INGEST] });
    expect(roles(both.authenticateToken(INGEST))).toEqual(['ingest', 'reader']);
  });

  it.each([
    ['no header', {}],
    ['a wrong token', bearer('ingest-token-0123456780')],
    ['a prefix', bearer(INGEST.slice(0, -1))],
    ['another scheme', { authorization: `Basic ${INGEST}` }],
    ['an empty token', { authorization: 'Bearer ' }],
    ['two tokens', { authorization: `Bearer ${INGEST} ${INGEST}` }],
    ['the hash instead of the token', bearer(createHash('sha256').update(INGEST).digest('hex'))],
  ])('knows nobody by %s', (_name, headers) => {
    expect(auth({ ingestTokens: [INGEST] }).authenticate(headers)).toBeNull();
  });

  it('takes hashes and team names', () => {
    const hash = createHash('sha256').update(READER).digest('hex');
    const named = auth({ ingestTokens: [`payments=${INGEST}`, `web=sha256:${hash.toUpperCase()}`] });
    expect(named.authenticateToken(INGEST)?.name).toBe('payments');
    expect(named.authenticateToken(READER)?.name).toBe('web');
    expect(named.authenticateToken(`payments=${INGEST}`)).toBeNull();
  });

  it('keeps base64 padding as part of the token', () => {
    expect(auth({ ingestTokens: ['QWxhZGRpbjpvcGVuIHNlc2FtZQ=='] }).authenticateToken('QWxhZGRpbjpvcGVuIHNlc2FtZQ==')?.name).toBe(
      'ingest-1',
    );
  });

  it.each([['short'], ['sha256:abc'], ['has a blank in the middle'], ['team=short']])('refuses the token %s without naming it', (token) => {
    const attempt = () => auth({ readerTokens: [READER, token] });
    expect(attempt).toThrow(LeaklineError);
    expect(attempt).toThrow(/readerTokens: entry 2/);
    expect(attempt).not.toThrow(token);
  });

  it('believes the proxy header as operator, never as ingest, and a good token before it', () => {
    const proxied = auth({ readerTokens: [READER], trustedProxyHeader: 'X-Forwarded-User' });
    expect(proxied.authenticate({ 'x-forwarded-user': 'ada' })?.name).toBe('ada');
    expect(roles(proxied.authenticate({ 'x-forwarded-user': 'ada' }))).toEqual(['operator', 'reader']);
    expect(proxied.authenticate({ 'x-forwarded-user': 'ada', ...bearer(READER) })?.name).toBe('reader-1');
    expect(proxied.authenticate({ 'x-forwarded-user': ' ' })).toBeNull();
    expect(proxied.authenticate({ 'x-forwarded-user': 'a'.repeat(201) })).toBeNull();
    expect(auth({ readerTokens: [READER] }).authenticate({ 'x-forwarded-user': 'ada' })).toBeNull();
  });
});
