/** The API over a real store: what it answers, that the OpenAPI document tells the truth, and what it refuses. */
import { Ajv2020 } from 'ajv/dist/2020.js';
import type { InjectOptions, LightMyRequestResponse } from 'fastify';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Fleet, IncidentDetail, IncidentList, ServiceDetail, Status } from '../../../services/console/api-schema.ts';
import { EXAMPLES } from '../../../services/console/page/sql-examples.ts';
import { systemClock } from '../../../shared/clock.ts';
import { appendIncidentEvents, readIncidentEvents } from '../../../shared/store/incidents.ts';
import { seedFleet, type DemoFleet } from '../../page/demo-fleet.ts';
import { createTestConsole, type TestConsole } from '../../page/running-console.ts';

const READER = 'reader-token-0123456789';
const OPERATOR = 'operator-token-0123456789';
const INGEST = 'ingest-token-0123456789';

let open: TestConsole;
let guarded: TestConsole;
let demo: DemoFleet;

beforeAll(async () => {
  open = await createTestConsole();
  demo = await seedFleet(open.store, systemClock.now(), 3);
  guarded = await createTestConsole({
    store: open.store,
    readerTokens: [`ana=${READER}`],
    operatorTokens: [`mira=${OPERATOR}`],
    ingestTokens: [INGEST],
  });
}, 120_000);

afterAll(async () => {
  await guarded.close();
  await open.close();
});

const ask = (url: string, options: InjectOptions = {}) => open.server.app.inject({ url, ...options });

const post = (on: TestConsole, url: string, payload: object, headers: Record<string, string> = {}) =>
  on.server.app.inject({ method: 'POST', url, payload, headers: { 'content-type': 'application/json', ...headers } });

const sql = (query: string, format = 'JSON') => post(open, '/api/v1/sql', { query, format });

describe('the OpenAPI document', () => {
  interface Document {
    readonly openapi: string;
    readonly paths: Record<string, Record<string, { responses: Record<string, { content?: Record<string, { schema: object }> }> }>>;
    readonly components: object;
  }

  const routes: [method: 'get' | 'post' | 'delete', path: string, url: () => string, body?: object][] = [
    ['get', '/api/v1/session', () => '/api/v1/session'],
    ['delete', '/api/v1/session', () => '/api/v1/session'],
    ['get', '/api/v1/status', () => '/api/v1/status'],
    ['get', '/api/v1/services', () => '/api/v1/services'],
    ['get', '/api/v1/services/{environment}/{service}', () => '/api/v1/services/production/checkout'],
    ['get', '/api/v1/services/{environment}/{service}/curves', () => '/api/v1/services/production/checkout/curves?signal=heap_live'],
    ['get', '/api/v1/dead-letters', () => '/api/v1/dead-letters'],
    ['get', '/api/v1/incidents', () => '/api/v1/incidents'],
    ['get', '/api/v1/incidents/{id}', () => `/api/v1/incidents/${demo.incidents['checkout'] ?? ''}`],
  ];

  const documented = async () => (await ask('/api/openapi.json')).json<Document>();

  it('is OpenAPI 3.1 and lists every route', async () => {
    const document = await documented();
    expect(document.openapi).toBe('3.1.0');
    const listed = Object.entries(document.paths).flatMap(([path, methods]) => Object.keys(methods).map((method) => `${method} ${path}`));
    const tested = routes.map(([method, path]) => `${method} ${path}`);
    expect(listed.sort()).toEqual(
      [
        ...tested,
        'post /api/v1/backup',
        'post /api/v1/dead-letters/replay',
        'post /api/v1/incidents/{id}/actions',
        'post /api/v1/session',
        'post /api/v1/sql',
      ].sort(),
    );
  });

  it.each(routes)('tells the truth about %s %s', async (method, path, url) => {
    const document = await documented();
    const schema = document.paths[path]?.[method]?.responses['200']?.content?.['application/json']?.schema ?? {};
    const response = await ask(url(), { method: method.toUpperCase() as 'GET' });
    expect(response.statusCode).toBe(200);
    const ajv = new Ajv2020({ strict: false });
    const validate = ajv.compile({ ...schema, components: document.components });
    expect(validate(response.json()), JSON.stringify(validate.errors)).toBe(true);
    // A schema that allows anything would pass anything.
    expect(validate({})).toBe(false);
  });
});

describe('services', () => {
  it('lists the fleet, the most urgent first', async () => {
    const { services } = (await ask('/api/v1/services')).json<Fleet>();
    expect(services).toHaveLength(12);
    expect(services.map(({ judgement }) => judgement?.verdict)).toEqual([
      ...['leak', 'leak', 'growing', 'growing', 'undecided', 'undecided'],
      ...new Array<string>(6).fill('steady'),
    ]);
    const [first, second] = services;
    expect(first?.judgement?.exhaustsAt).toBeLessThan(second?.judgement?.exhaustsAt ?? 0);
    expect(services.find(({ service, environment }) => service === 'checkout' && environment === 'production')).toMatchObject({
      runtime: 'nodejs',
      instances: 3,
      limitBytes: 512e6,
      incident: { id: demo.incidents['checkout'], state: 'open' },
    });
  });

  it('shows one service: judgements, lifetimes, incidents', async () => {
    const detail = (await ask('/api/v1/services/production/checkout')).json<ServiceDetail>();
    expect(detail.judgements.filter(({ instance }) => instance !== '')).toHaveLength(3);
    expect(detail.history.map(({ verdict }) => verdict)).toEqual(['undecided', 'leak']);
    expect(detail.lifetimes.every(({ endedBy }) => endedBy === 'running')).toBe(true);
    expect(detail.incidents.map(({ id }) => id)).toEqual([demo.incidents['checkout']]);
    expect(detail.sql).toContain("service = 'checkout'");
  });

  it('draws a curve per lifetime with the limit', async () => {
    const curves = (await ask('/api/v1/services/production/checkout/curves?signal=anon')).json<{
      curves: { values: number[] }[];
      limitBytes: number;
    }>();
    expect(curves.limitBytes).toBe(512e6);
    expect(curves.curves).toHaveLength(3);
    for (const { values } of curves.curves) expect(values.at(-1)).toBeGreaterThan((values[0] ?? 0) * 1.2);
  });

  it.each([
    ['/api/v1/services/production/nobody', 404],
    ['/api/v1/services/production/checkout?from=2&to=1', 400],
    ['/api/v1/services/production/checkout/curves?signal=nonsense', 400],
    ['/api/v1/services/production/checkout?from=x', 400],
  ])('answers %s with %d and a code', async (url, status) => {
    const response = await ask(url);
    expect(response.statusCode).toBe(status);
    expect(response.json<{ error: { code: string } }>().error.code).toMatch(/^LKL_ERR_/);
  });
});

describe('dead letters', () => {
  const replay = (on: TestConsole, headers: Record<string, string> = {}) =>
    post(on, '/api/v1/dead-letters/replay', { ids: ['0123456789abcdef'] }, headers);

  it('are sent again by operators alone, and only where the console has a bus', async () => {
    expect((await replay(guarded, { authorization: `Bearer ${READER}` })).statusCode).toBe(403);
    const answer = await replay(guarded, { authorization: `Bearer ${OPERATOR}` });
    expect(answer.statusCode).toBe(400);
    expect(answer.json<{ error: { message: string } }>().error.message).toMatch(/no bus.*--kafka/);
  });

  it.each([{ ids: [] }, { ids: Array.from({ length: 17 }, () => 'x') }, {}])('are not sent for %j', async (body) => {
    expect((await post(open, '/api/v1/dead-letters/replay', body)).statusCode).toBe(400);
  });
});

describe('status', () => {
  it('names agents and open incidents, which are no ill health of the pipeline', async () => {
    const status = (await ask('/api/v1/status')).json<Status>();
    expect(status.agents.map(({ agent }) => agent)).toEqual(['agent-node-1', 'agent-node-2', 'agent-node-3']);
    expect(status).toMatchObject({ healthy: true, services: 12, problems: [] });
    expect(status.openIncidents.map(({ service }) => service).sort()).toEqual(['checkout', 'image-resizer']);
  });
});

describe('incidents', () => {
  const actions = (name: string) => `/api/v1/incidents/${demo.incidents[name] ?? ''}/actions`;
  const asOperator = { authorization: `Bearer ${OPERATOR}` };

  it('appends an event with the name of the operator, and nothing else', async () => {
    const before = await readIncidentEvents(open.store);
    const response = await post(guarded, actions('checkout'), { action: 'acknowledge', note: 'on it' }, asOperator);
    expect(response.json()).toMatchObject({ state: 'acknowledged', actor: 'mira', note: 'on it' });
    const added = (await readIncidentEvents(open.store)).filter(({ id }) => !before.some((event) => event.id === id));
    expect(added).toEqual([
      expect.objectContaining({ type: 'acknowledged', actor: 'mira', note: 'on it', incident: demo.incidents['checkout'] }),
    ]);
    const detail = (await ask(`/api/v1/incidents/${demo.incidents['checkout'] ?? ''}`)).json<IncidentDetail>();
    expect(detail.incident.state).toBe('acknowledged');
    expect(detail.events.map(({ type }) => type)).toEqual(['acknowledged', 'opened']);
    expect(detail.deliveries).toHaveLength(2);
  });

  it('takes silence with an end, giving back, and "not a leak"', async () => {
    const until = systemClock.now() + 3_600_000;
    const does = async (payload: object) =>
      (await post(guarded, actions('image-resizer'), payload, asOperator)).json<{ state: string; silencedUntil: number | null }>();
    expect(await does({ action: 'unacknowledge' })).toMatchObject({ state: 'open' });
    expect(await does({ action: 'silence', until })).toMatchObject({ state: 'silenced', silencedUntil: until });
    const id = demo.incidents['image-resizer'] ?? '';
    const over = systemClock.now() - 1;
    await appendIncidentEvents(open.store, [
      { id: 'over', incident: id, at: systemClock.now() + 1, type: 'silenced', until: over, actor: 'mira', note: '' },
    ]);
    const asOpen = { state: 'open', silencedUntil: null };
    expect((await ask(`/api/v1/incidents/${id}`)).json<IncidentDetail>().incident).toMatchObject(asOpen);
    const listed = (await ask('/api/v1/incidents?state=open')).json<IncidentList>().incidents;
    expect(listed.find((incident) => incident.id === id)).toMatchObject(asOpen);
    expect((await sql(`SELECT state, silenced_until FROM incidents WHERE id = '${id}'`, 'TSV')).body).toBe(
      'state\tsilenced_until\nopen\t\\N\n',
    );
    expect(await does({ action: 'dismiss', note: 'a cache' })).toMatchObject({ state: 'dismissed' });
  });

  it.each([
    ['an action the state has no room for', { action: 'unacknowledge' }, 400],
    ['a silence in the past', { action: 'silence', until: 1 }, 400],
    ['a silence without end', { action: 'silence' }, 400],
    ['a silence of years', { action: 'silence', until: 4e12 }, 400],
    ['an unknown action', { action: 'delete' }, 400],
    ['a note of a book', { action: 'dismiss', note: 'x'.repeat(501) }, 400],
  ])('refuses %s and writes nothing', async (_what, payload, status) => {
    const before = await readIncidentEvents(open.store);
    expect((await post(guarded, actions('catalogue'), payload, asOperator)).statusCode).toBe(status);
    expect(await readIncidentEvents(open.store)).toEqual(before);
  });

  it('never changes anything on GET', async () => {
    const before = await readIncidentEvents(open.store);
    await ask(`/incidents/${demo.incidents['checkout'] ?? ''}?action=dismiss`);
    expect((await ask(actions('checkout'))).statusCode).toBe(404);
    expect(await readIncidentEvents(open.store)).toEqual(before);
  });
});

describe('who may what', () => {
  const bearer = (token: string) => ({ headers: { authorization: `Bearer ${token}` } });
  const guardedAsk = (url: string, options: InjectOptions = {}) => guarded.server.app.inject({ url, ...options });

  it.each(['/api/v1/services', '/api/v1/status', '/api/v1/incidents', '/api/v1/services/production/checkout'])(
    '%s needs a reader',
    async (url) => {
      expect((await guardedAsk(url)).statusCode).toBe(401);
      expect((await guardedAsk(url, bearer(INGEST))).statusCode).toBe(403);
      expect((await guardedAsk(url, bearer(READER))).statusCode).toBe(200);
    },
  );

  it('lets no reader act, and nobody run SQL without a token', async () => {
    const url = `/api/v1/incidents/${demo.incidents['checkout'] ?? ''}/actions`;
    expect((await post(guarded, url, { action: 'dismiss' }, { authorization: `Bearer ${READER}` })).statusCode).toBe(403);
    expect((await post(guarded, '/api/v1/sql', { query: 'SELECT 1' })).statusCode).toBe(401);
  });

  const cookieOf = (response: LightMyRequestResponse) => String(response.headers['set-cookie']);

  it('keeps a token in a cookie scripts cannot read, and forgets it', async () => {
    const signedIn = await post(guarded, '/api/v1/session', { token: OPERATOR });
    expect(signedIn.json()).toEqual({ open: false, user: 'mira', roles: ['reader', 'operator'] });
    expect(cookieOf(signedIn)).toMatch(/HttpOnly.*SameSite=Strict/);
    const cookie = cookieOf(signedIn).split(';')[0] ?? '';
    expect((await guardedAsk('/api/v1/services', { headers: { cookie } })).statusCode).toBe(200);
    const signedOut = await guardedAsk('/api/v1/session', { method: 'DELETE', headers: { cookie } });
    expect(cookieOf(signedOut)).toContain('Max-Age=0');
  });

  it('marks the cookie Secure behind an https address', async () => {
    const https = await createTestConsole({ store: open.store, readerTokens: [READER], publicUrl: 'https://leaks.example.org' });
    const response = await post(https, '/api/v1/session', { token: READER }, { origin: 'https://leaks.example.org' });
    expect(cookieOf(response)).toContain('Secure');
    await https.close();
  });

  it('signs nobody in with a wrong token or one that only sends', async () => {
    expect((await post(guarded, '/api/v1/session', { token: 'wrong-token-0123456789' })).statusCode).toBe(401);
    expect((await post(guarded, '/api/v1/session', { token: INGEST })).statusCode).toBe(403);
  });

  it.each([
    ['another origin', { origin: 'https://evil.example' }, 403],
    ['a cross-site request', { 'sec-fetch-site': 'cross-site' }, 403],
    ['a sibling site', { 'sec-fetch-site': 'same-site' }, 403],
    ['a form', { 'content-type': 'application/x-www-form-urlencoded' }, 415],
    ['plain text', { 'content-type': 'text/plain' }, 415],
  ])('refuses an action from %s although the cookie is right', async (_what, headers, status) => {
    const cookie = `leakline_session=${OPERATOR}`;
    const before = await readIncidentEvents(open.store);
    const response = await guarded.server.app.inject({
      method: 'POST',
      url: `/api/v1/incidents/${demo.incidents['checkout'] ?? ''}/actions`,
      headers: { 'content-type': 'application/json', cookie, ...headers },
      payload: '{"action":"dismiss"}',
    });
    expect(response.statusCode).toBe(status);
    expect(await readIncidentEvents(open.store)).toEqual(before);
  });

  it('says no token, anywhere', () => {
    const everything = [...guarded.logged, ...open.logged].join('\n');
    for (const token of [READER, OPERATOR, INGEST]) expect(everything).not.toContain(token);
  });
});

describe('SQL', () => {
  it.each(EXAMPLES)('answers: $question', async ({ sql: query }) => {
    const response = await sql(query, 'JSONCompact');
    expect(response.json<{ data: unknown[] }>().data, response.body).toBeInstanceOf(Array);
    expect(response.statusCode).toBe(200);
  });

  it.each([
    ['JSON', 'application/json', /"data":\s*\[/],
    ['CSV', 'text/csv', /^"one"\n1\n$/],
    ['tsv', 'text/tab-separated-values', /^one\n1\n$/],
    ['pretty', 'text/plain', /one/],
    ['PrettyCompact', 'text/plain', /one/],
  ])('gives %s as %s', async (format, type, body) => {
    const response = await sql('SELECT 1 AS one', format);
    expect(response.headers['content-type']).toContain(type);
    expect(response.body).toMatch(body);
  });

  it.each(['JSON', 'CSV', 'Parquet'])('says in a header that an answer in %s was cut', async (format) => {
    expect((await sql('SELECT number FROM numbers(100001)', format)).headers['x-leakline-cut-at-rows']).toBe('100000');
    expect((await sql('SELECT number FROM numbers(99999)', format)).headers['x-leakline-cut-at-rows']).toBeUndefined();
  });

  it.each([
    "INSERT INTO incident_events (id) VALUES ('x')",
    'DROP TABLE raw_samples',
    'ALTER TABLE raw_samples DELETE WHERE 1',
    "SELECT * FROM file('/etc/passwd', 'LineAsString')",
    "SELECT file('/etc/passwd')",
    "SELECT * FROM url('http://127.0.0.1:1/', 'CSV', 'a String')",
    "SELECT 1 INTO OUTFILE '/tmp/leakline-outfile'",
    'SET readonly = 0',
    'SELECT 1; DROP TABLE raw_samples',
    'SELECT * FROM system.processes',
    'SELECT 1 SETTINGS readonly = 0',
    'SELECT sleep(3)',
    'nonsense',
  ])('refuses %s with a reason, and goes on', async (query) => {
    const response = await sql(query);
    expect(response.statusCode, response.body).toBe(400);
    expect(response.json()).toMatchObject({ error: { code: 'LKL_ERR_SQL_REFUSED', message: expect.stringMatching(/\w{3}/) as string } });
    expect((await sql('SELECT count() AS samples FROM samples')).statusCode).toBe(200);
  });
});

describe('headers', () => {
  it('lets the page load nothing from elsewhere and be framed by nobody', async () => {
    const { headers } = await ask('/');
    expect(headers['content-security-policy']).toContain("script-src 'self'");
    expect(headers['content-security-policy']).toContain("frame-ancestors 'none'");
    expect(headers['content-security-policy']).not.toContain('unsafe');
    expect(headers).toMatchObject({ 'x-content-type-options': 'nosniff', 'referrer-policy': 'no-referrer', 'x-frame-options': 'DENY' });
  });

  it('keeps answers of the API out of caches and compresses them', async () => {
    const response = await ask('/api/v1/services', { headers: { 'accept-encoding': 'gzip' } });
    expect(response.headers).toMatchObject({ 'cache-control': 'no-store', 'content-encoding': 'gzip' });
  });

  it('is open to loopback names alone while no token is configured', async () => {
    expect((await ask('/api/v1/services', { headers: { host: 'evil.example' } })).statusCode).toBe(403);
  });
});
