import { once } from 'node:events';
import { connect, type AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { gzipSync, deflateSync } from 'node:zlib';
import { afterEach, describe, expect, it } from 'vitest';
import { createAuth, requireRole } from '../../shared/auth.ts';
import { LeaklineError } from '../../shared/errors.ts';
import { createHttpServer, type HttpServer, type HttpServerOptions } from '../../shared/http-server.ts';
import { createLog } from '../../shared/log.ts';
import { Metrics } from '../../shared/metrics.ts';

const TOKEN = 'reader-token-0123456789';
const servers: HttpServer[] = [];

function build(options: Partial<HttpServerOptions> & { tokens?: string[] } = {}) {
  const lines: string[] = [];
  const auth = createAuth({ ingestTokens: [], readerTokens: options.tokens ?? [], operatorTokens: [], trustedProxyHeader: '' });
  const metrics = new Metrics();
  const server = createHttpServer({
    log: createLog({ level: 'info', secrets: [TOKEN], destination: { write: (line) => lines.push(line) } }),
    metrics,
    auth,
    maxBodyBytes: 10_000,
    maxInflatedBytes: 100_000,
    ready: () => ({ ok: true, reasons: [] }),
    ...options,
  });
  servers.push(server);
  server.app.post('/length', (request) => ({ length: JSON.stringify(request.body).length }));
  server.app.get('/broken', () => {
    throw new Error(`stack and ${TOKEN}`);
  });
  server.app.get('/away', () => {
    throw new LeaklineError('LKL_ERR_STORE_UNAVAILABLE', 'the store is away');
  });
  server.app.get('/private', { onRequest: requireRole('reader', auth.authenticate) }, (request) => ({ name: request.principal?.name }));
  return { ...server, lines, metrics };
}

afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.close()));
});

const postGzip = (body: Buffer, encoding = 'gzip') => ({
  method: 'POST' as const,
  url: '/length',
  headers: { 'content-type': 'application/json', 'content-encoding': encoding },
  payload: body,
});

describe('http server', () => {
  it('answers probes and metrics', async () => {
    const { app } = build({ ready: () => ({ ok: false, reasons: ['bus: away'] }) });
    expect((await app.inject('/healthz')).json()).toEqual({ ok: true });
    const ready = await app.inject('/readyz');
    expect([ready.statusCode, ready.json()]).toEqual([503, { ok: false, reasons: ['bus: away'] }]);
    const metrics = await app.inject('/metrics');
    expect(metrics.body).toContain('leakline_http_requests_total{method="GET",route="/readyz",status="503"} 1');
  });

  it('says errors as code and message, without stack or secret', async () => {
    const { app, lines } = build();
    const broken = await app.inject('/broken?token=in-the-query');
    expect([broken.statusCode, broken.json()]).toEqual([
      500,
      { error: { code: 'LKL_ERR_INTERNAL', message: 'internal error: the log says more' } },
    ]);
    expect(lines.join()).toContain('[redacted]');
    expect(lines.join()).not.toContain(TOKEN);
    expect(lines.join()).not.toContain('in-the-query');
    const away = await app.inject('/away');
    expect([away.statusCode, away.headers['retry-after'], away.json<{ error: object }>().error]).toEqual([
      503,
      '2',
      { code: 'LKL_ERR_STORE_UNAVAILABLE', message: 'the store is away' },
    ]);
    expect((await app.inject('/nowhere')).json<{ error: { code: string } }>().error.code).toBe('LKL_ERR_NOT_FOUND');
    expect(lines).toHaveLength(1);
  });

  it.each([
    ['gzip', gzipSync],
    ['deflate', deflateSync],
    ['identity', (body: Buffer) => body],
  ])('reads %s bodies', async (encoding, encode) => {
    const { app } = build();
    const answer = await app.inject(postGzip(encode(Buffer.from(JSON.stringify({ a: 'x'.repeat(2_000) }))), encoding));
    expect([answer.statusCode, answer.json()]).toEqual([200, { length: 2_008 }]);
  });

  it.each([
    ['a zip bomb', gzipSync(Buffer.alloc(50_000_000, ' ')).subarray(0, 9_000), 413],
    ['a body above the cap inflated', gzipSync(Buffer.from(JSON.stringify('x'.repeat(100_001)))), 413],
    ['a body above the cap as sent', Buffer.alloc(10_001, 'x'), 413],
    ['cut-off gzip', gzipSync(Buffer.from(JSON.stringify('x'.repeat(5_000)))).subarray(0, 25), 400],
    ['no gzip at all', Buffer.from('{"a":1}'), 400],
    ['gzip of no JSON', gzipSync(Buffer.from('nope')), 400],
  ])('refuses %s', async (_name, payload, status) => {
    const { app } = build();
    const answer = await app.inject(postGzip(payload));
    expect(answer.statusCode).toBe(status);
    expect(answer.json<{ error: { code: string } }>().error.code).toMatch(/^LKL_ERR_REQUEST_(TOO_LARGE|MALFORMED)$/);
  });

  it('refuses a chunked body above the cap as sent', async () => {
    const { app } = build();
    const chunks = Array.from({ length: 12 }, () => Buffer.alloc(1_000, ' '));
    const answer = await app.inject({
      method: 'POST',
      url: '/length',
      headers: { 'content-type': 'application/json', 'transfer-encoding': 'chunked' },
      payload: Readable.from(chunks),
    });
    expect(answer.statusCode).toBe(413);
  });

  it('refuses encodings and types it does not know', async () => {
    const { app } = build();
    expect((await app.inject(postGzip(Buffer.from('{}'), 'br, gzip'))).statusCode).toBe(415);
    expect((await app.inject({ method: 'POST', url: '/length', headers: { 'content-type': 'image/png' }, payload: 'x' })).statusCode).toBe(
      415,
    );
  });

  it('holds no more body bytes than its budget and gives them back', async () => {
    const { app, metrics, listen } = build({ maxInflatedBytes: 2_000, requestTimeoutMs: 60_000 });
    const url = new URL(await listen('127.0.0.1:0'));
    // Four bodies that never end hold 7996 bytes of the budget of 8000.
    const holders = Array.from({ length: 4 }, () => {
      const socket = connect(Number(url.port), '127.0.0.1');
      socket.on('error', () => undefined);
      socket.write(
        `POST /length HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 2000\r\n\r\n${' '.repeat(1_999)}`,
      );
      return socket;
    });
    const held = async () => (await metrics.registry.getSingleMetric('leakline_http_body_bytes')?.get())?.values[0]?.value;
    await expect.poll(held).toBe(7_996);
    const busy = await app.inject(postGzip(Buffer.from('{"a":1}'), 'identity'));
    expect([busy.statusCode, busy.json<{ error: { code: string } }>().error.code]).toEqual([503, 'LKL_ERR_BUSY']);
    for (const socket of holders) socket.destroy();
    await expect.poll(held).toBe(0);
    expect((await app.inject(postGzip(Buffer.from('{"a":1}'), 'identity'))).statusCode).toBe(200);
  });

  it('closes a connection that dribbles its request', async () => {
    const { listen } = build({ requestTimeoutMs: 300 });
    const url = new URL(await listen('127.0.0.1:0'));
    const socket = connect(Number(url.port), '127.0.0.1');
    const dribble = setInterval(() => socket.write('x-a: b\r\n'), 50);
    socket.on('error', () => undefined);
    socket.resume();
    socket.write('GET /healthz HTTP/1.1\r\nhost: localhost\r\n');
    await once(socket, 'close');
    clearInterval(dribble);
  });

  it('listens off loopback only with tokens', async () => {
    await expect(build().listen('0.0.0.0:0')).rejects.toMatchObject({ code: 'LKL_ERR_CONFIG' });
    await expect(build().listen('[::]:0')).rejects.toMatchObject({ code: 'LKL_ERR_CONFIG' });
    expect(await build({ tokens: [TOKEN] }).listen('0.0.0.0:0')).toMatch(/^http:/);
  });

  it('names an address it cannot have', async () => {
    const first = build();
    await first.listen('127.0.0.1:0');
    const { port } = first.app.server.address() as AddressInfo;
    await expect(build().listen(`127.0.0.1:${port}`)).rejects.toThrow(/EADDRINUSE/);
    await expect(build().listen('127.0.0.1')).rejects.toThrow(/HOST:PORT/);
  });

  it('serves an open server under loopback names only, and no cross-site changes', async () => {
    const { app } = build();
    expect((await app.inject({ url: '/healthz', headers: { host: 'evil.example' } })).statusCode).toBe(403);
    expect((await app.inject({ url: '/healthz', headers: { host: '[::1]:8420' } })).statusCode).toBe(200);
    expect((await app.inject({ ...postGzip(Buffer.from('1'), 'identity'), headers: { 'sec-fetch-site': 'cross-site' } })).statusCode).toBe(
      403,
    );
    expect((await app.inject({ url: '/healthz', headers: { 'sec-fetch-site': 'cross-site' } })).statusCode).toBe(200);
    expect((await build({ tokens: [TOKEN] }).app.inject({ url: '/healthz', headers: { host: 'leakline.example' } })).statusCode).toBe(200);
  });

  it('lets in who has the role', async () => {
    const { app } = build({ tokens: [TOKEN] });
    const refused = await app.inject('/private');
    expect([refused.statusCode, refused.headers['www-authenticate']]).toEqual([401, 'Bearer realm="leakline"']);
    const allowed = await app.inject({ url: '/private', headers: { authorization: `Bearer ${TOKEN}` } });
    expect(allowed.json()).toEqual({ name: 'reader-1' });
  });

  it('cuts off a request that outlasts the close', async () => {
    const server = build({ closeTimeoutMs: 100 });
    let entered = (): void => undefined;
    const inside = new Promise<void>((resolve) => (entered = resolve));
    server.app.get('/forever', () => {
      entered();
      return new Promise(() => undefined);
    });
    const url = await server.listen('127.0.0.1:0');
    const answer = fetch(`${url}/forever`).catch((error: unknown) => error);
    await inside;
    await server.close();
    expect(await answer).toBeInstanceOf(TypeError);
  });
});
