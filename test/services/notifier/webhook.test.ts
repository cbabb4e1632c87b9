/** Webhooks: signed, resolved once, never redirected, never to where secrets live. */
import { createHmac } from 'node:crypto';
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { addressProblem } from '../../../services/notifier/target-address.ts';
import { event, INCIDENT, NOW } from './leak.ts';
import { notifyConfig, openStage, type Stage } from './stage.ts';

let stage: Stage;
let server: Server;
let received: { headers: IncomingHttpHeaders; body: string; path: string }[];
let status: number;
let headers: Record<string, string>;

beforeEach(async () => {
  stage = openStage();
  received = [];
  status = 204;
  headers = {};
  server = createServer((request, response) => {
    let body = '';
    request.on('data', (part: Buffer) => (body += part.toString()));
    request.on('end', () => {
      received.push({ headers: request.headers, body, path: request.url ?? '' });
      response.writeHead(status, headers).end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
});
afterEach(async () => {
  stage.close();
  await new Promise((resolve) => server.close(resolve));
});

const address = () => `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook/SECRETPATH`;
const told = (notify: Record<string, unknown>) => {
  const config = notifyConfig(notify);
  return stage.notifier(stage.channels(config), { config });
};

describe('a webhook', () => {
  it('gets the change as JSON, with a signature over time and body', async () => {
    stage.log.append(event('opened', NOW));
    await told({ webhookUrl: address(), webhookSecret: 'a-shared-secret' }).deliverPending(NOW);
    const { headers: sent, body } = received[0]!;
    const parsed = JSON.parse(body) as { incident: { id: string }; change: string; title: string };
    expect(parsed).toMatchObject({ version: 1, change: 'opened', incident: { id: INCIDENT, state: 'open', service: 'checkout' } });
    const [, seconds = '', digest] = /^t=(\d+),v1=(\w+)$/.exec(String(sent['x-leakline-signature'])) ?? [];
    expect(digest).toBe(createHmac('sha256', 'a-shared-secret').update(`${seconds}.${body}`).digest('hex'));
    expect(sent['idempotency-key']).toBe(`${INCIDENT}/${event('opened', NOW).id}`);
  });

  it('does not follow a redirect, and says so without the address', async () => {
    status = 302;
    headers = { location: 'http://169.254.169.254/latest/meta-data' };
    stage.log.append(event('opened', NOW));
    expect(await told({ webhookUrl: address() }).deliverPending(NOW)).toMatchObject({ refused: 1 });
    expect(received).toHaveLength(1);
    expect(stage.log.deliveries()[0]?.error).toBe('notify.webhookUrl answers 302: redirects are not followed, set the final address');
  });

  it.each([
    'http://169.254.169.254/latest',
    'http://[fd00:ec2::254]/',
    'http://[::ffff:169.254.169.254]/',
    'http://0.0.0.0/',
    'http://2852039166/',
  ])('never sends to %s', async (webhookUrl) => {
    stage.log.append(event('opened', NOW));
    expect(await told({ webhookUrl }).deliverPending(NOW)).toMatchObject({ refused: 1 });
    expect(stage.log.deliveries()[0]?.error).toContain('notify.webhookUrl leads to');
  });

  it('checks the address a name resolves to, and sends to private ones only where that is allowed', async () => {
    stage.log.append(event('opened', NOW));
    const named = address().replace('127.0.0.1', 'localhost');
    expect(await told({ webhookUrl: named, allowPrivateTargets: false }).deliverPending(NOW)).toMatchObject({ refused: 1 });
    expect(received).toHaveLength(0);
  });

  it.each(['8.8.8.8', '2606:4700::1111'])('may go to %s', (target) => expect(addressProblem(target, false)).toBeUndefined());
  it.each(['10.1.2.3', '172.20.0.1', '192.168.1.1', '127.0.0.1', '100.64.0.1', '::1', 'fd12::1', '::ffff:10.0.0.1'])(
    '%s is private',
    (target) => {
      expect(addressProblem(target, true)).toBeUndefined();
      expect(addressProblem(target, false)).toContain('private');
    },
  );
});
