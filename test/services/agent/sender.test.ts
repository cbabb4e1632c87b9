import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock, type Clock } from '../../../shared/clock.ts';
import { LeaklineError } from '../../../shared/errors.ts';
import type { Bus, OutgoingMessage } from '../../../shared/bus/bus.ts';
import { Sender } from '../../../services/agent/sender.ts';
import { Spool } from '../../../services/agent/spool.ts';
import { busTransport, httpTransport, type Transport } from '../../../services/agent/transport.ts';

/** A gateway that answers as it is told and remembers what came. */
class Gateway {
  readonly requests: { readonly body: string; readonly headers: IncomingMessage['headers']; readonly url: string | undefined }[] = [];
  answer: (count: number, response: ServerResponse) => void = (_, response) => response.writeHead(204).end();
  readonly sockets = new Set<unknown>();
  readonly #server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    this.sockets.add(request.socket);
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      this.requests.push({ body: gunzipSync(Buffer.concat(chunks)).toString(), headers: request.headers, url: request.url });
      this.answer(this.requests.length, response);
    });
  });

  async listen(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  close(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }
}

let directory: string;
let spool: Spool;
let gateway: Gateway;
let stopping: AbortController;
let sending: Promise<void> | undefined;
const changes: string[] = [];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'leakline-sender-'));
  spool = new Spool(directory, 8 << 20);
  gateway = new Gateway();
  stopping = new AbortController();
  changes.length = 0;
});
afterEach(async () => {
  stopping.abort(new Error('test over'));
  await sending;
  spool.close();
  gateway.close();
  rmSync(directory, { recursive: true, force: true });
});

const put = (...contents: string[]) => contents.forEach((content) => spool.append(gzipSync(content), 1));

function run(transport: Transport, clock: Clock = systemClock): Sender {
  const sender = new Sender({
    spool,
    transport,
    agentId: 'agent-1',
    clock,
    signal: stopping.signal,
    onChange: (failing, message) => changes.push(`${failing ? 'fails' : 'works'}: ${message}`),
  });
  sending = sender.run();
  return sender;
}

const sent = (count: number) => expect.poll(() => gateway.requests.length, { interval: 5, timeout: 10_000 }).toBeGreaterThanOrEqual(count);
const empty = () => expect.poll(() => spool.stats.batches, { interval: 5, timeout: 10_000 }).toBe(0);

describe('over HTTP', () => {
  it('sends in order over one connection, with token, and deletes what was acknowledged', async () => {
    const sender = run(httpTransport({ url: `${await gateway.listen()}/leakline/`, token: 'team-token' }));
    put('a', 'b', 'c');
    await empty();
    expect(gateway.requests.map(({ body }) => body)).toEqual(['a', 'b', 'c']);
    expect(gateway.requests[0]).toMatchObject({
      url: '/leakline/v1/samples',
      headers: { authorization: 'Bearer team-token', 'content-encoding': 'gzip', 'content-type': 'application/json' },
    });
    expect(gateway.sockets.size).toBe(1);
    expect(sender.stats).toMatchObject({ sentBatches: 3, sentSamples: 3, failing: false });
  });

  it('sends a batch again until it is taken, and none behind it before', async () => {
    gateway.answer = (count, response) => response.writeHead(count < 3 ? 503 : 200).end('busy');
    run(httpTransport({ url: await gateway.listen(), token: '' }));
    put('a', 'b');
    await empty();
    expect(gateway.requests.map(({ body }) => body)).toEqual(['a', 'a', 'a', 'b']);
    expect(changes).toHaveLength(2);
    expect(changes[0]).toMatch(/^fails: http:\/\/127\.0\.0\.1:\d+ answers 503: busy$/);
    expect(changes[1]).toMatch(/^works/);
  });

  it('waits as long as the gateway asks', async () => {
    gateway.answer = (count, response) => response.writeHead(count === 1 ? 429 : 204, { 'retry-after': '17' }).end();
    const slept: number[] = [];
    const clock: Clock = { now: () => 0, sleep: (ms) => (slept.push(ms), Promise.resolve()) };
    run(httpTransport({ url: await gateway.listen(), token: '' }), clock);
    put('a');
    await empty();
    expect(slept).toEqual([17_000]);
  });

  it('gives up a batch that is refused for what it is, and delivers those behind it', async () => {
    gateway.answer = (count, response) => response.writeHead(count === 1 ? 400 : 204).end('bad column');
    const sender = run(httpTransport({ url: await gateway.listen(), token: '' }));
    put('a', 'b');
    await empty();
    expect(gateway.requests.map(({ body }) => body)).toEqual(['a', 'b']);
    expect(sender.stats).toMatchObject({ refusedBatches: 1, sentBatches: 1 });
    expect(sender.stats.lastError?.message).toContain('bad column');
  });

  it('keeps everything when the token is refused, and says what to mend without showing it', async () => {
    gateway.answer = (count, response) => response.writeHead(count === 1 ? 401 : 204).end();
    const slept: number[] = [];
    const clock: Clock = { now: () => 0, sleep: (ms) => (slept.push(ms), Promise.resolve()) };
    run(httpTransport({ url: await gateway.listen(), token: 'wrong-token' }), clock);
    put('a');
    await empty();
    expect(gateway.requests).toHaveLength(2);
    expect(slept).toEqual([30_000]);
    expect(changes[0]).toContain('agent.token');
    expect(changes.join()).not.toContain('wrong-token');
  });

  it('outlives a gateway that is not there, and one that hangs up', async () => {
    const url = await gateway.listen();
    gateway.answer = (count, response) => (count === 1 ? response.socket?.destroy() : response.writeHead(204).end());
    run(httpTransport({ url, token: '' }));
    put('a');
    await sent(2);
    await empty();
    expect(changes[0]).toMatch(/^fails: .* does not answer/);
  });

  it('stops at once, leaving unsent what was not acknowledged', async () => {
    gateway.answer = () => undefined;
    run(httpTransport({ url: await gateway.listen(), token: '' }));
    put('a', 'b');
    await sent(1);
    stopping.abort(new Error('stopping'));
    await sending;
    expect(spool.stats.batches).toBe(2);
  });

  it.each(['ftp://x', 'not a url', 'http://user:secret@host'])('refuses %s as an address, without repeating it', (url) => {
    const attempt = () => httpTransport({ url, token: '' });
    expect(attempt).toThrow(LeaklineError);
    expect(attempt).not.toThrow(/secret/);
  });
});

it('over the bus: inflated, keyed by agent, and again until it is taken', async () => {
  const published: { topic: string; messages: readonly OutgoingMessage[] }[] = [];
  let failures = 1;
  const bus: Pick<Bus, 'publish'> = {
    publish: (topic, messages) => {
      if (failures-- > 0) return Promise.reject(new LeaklineError('LKL_ERR_BUS_UNAVAILABLE', 'no broker'));
      published.push({ topic, messages });
      return Promise.resolve();
    },
  };
  run(busTransport(bus, 'kafka'));
  put('{"a":1}');
  await empty();
  expect(published).toEqual([{ topic: 'leakline.samples', messages: [{ key: 'agent-1', value: Buffer.from('{"a":1}') }] }]);
});
