/** What every channel must hold: which answers are worth a retry, patience, truncation of the huge, and secrecy. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Config } from '../../../shared/config.ts';
import { startMailServer, type MailServer } from '../../fakes/mail-server.ts';
import { startFakeSlack, type FakeSlack } from '../../fakes/slack.ts';
import { event, leak, NOW } from './leak.ts';
import { notifyConfig, openStage, type Stage } from './stage.ts';

type Outcome = 'sent' | 'retried' | 'refused' | 'unconfirmed';

interface Contract {
  readonly name: string;
  readonly config: () => Config;
  /** Makes the other side answer so. */
  readonly fail: (answer: number) => void;
  readonly count: () => number;
  readonly answers: readonly (readonly [number, Outcome])[];
  readonly secrets: () => readonly string[];
}

const PASSWORD = 'mail-p@ssword-SECRET';
const HMAC_KEY = 'hmac-key-SECRET';

let slack: FakeSlack;
let mail: MailServer;
let hook: { url: string; bodies: string[]; status: number; close: () => Promise<void> };
let stage: Stage;

beforeAll(async () => {
  slack = await startFakeSlack({ postIntervalMs: 0, processingMs: 0 });
  mail = await startMailServer({ user: 'leakline', password: PASSWORD });
  const bodies: string[] = [];
  const server = createServer((request, response) => {
    let body = '';
    request.on('data', (part: Buffer) => (body += part.toString()));
    request.on('end', () => {
      if (hook.status < 300) bodies.push(body);
      response.writeHead(hook.status).end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/in/WEBHOOKPATHSECRET`;
  hook = { url, bodies, status: 200, close: () => new Promise((resolve) => server.close(() => resolve())) };
});
afterAll(() => Promise.all([slack.close(), mail.close(), hook.close()]));
beforeEach(() => {
  stage = openStage();
  slack.messages.length =
    slack.webhookMessages.length =
    slack.faults.length =
    mail.mails.length =
    mail.faults.length =
    hook.bodies.length =
      0;
  hook.status = 200;
});
afterEach(() => stage.close());

const HTTP_ANSWERS = [
  [400, 'refused'],
  [401, 'refused'],
  [403, 'refused'],
  [404, 'refused'],
  [410, 'refused'],
  [408, 'retried'],
  [429, 'retried'],
  [500, 'retried'],
  [502, 'retried'],
  [503, 'retried'],
] as const;

const contracts: Contract[] = [
  {
    name: 'slack',
    config: () => notifyConfig({ slackToken: slack.token, slackChannel: 'C0LEAKS01', slackApiUrl: slack.apiUrl }),
    fail: (status) => slack.faults.push({ method: 'chat.postMessage', kind: 'status', status, retryAfter: 7, times: 9 }),
    count: () => slack.roots().length,
    answers: [
      [404, 'refused'],
      [429, 'retried'],
      [500, 'retried'],
      [503, 'retried'],
    ],
    secrets: () => [slack.token],
  },
  {
    name: 'slack-webhook',
    config: () => notifyConfig({ slackWebhookUrl: slack.webhookUrl }),
    fail: (status) => slack.faults.push({ method: 'webhook', kind: 'status', status, times: 9 }),
    count: () => slack.webhookMessages.length,
    answers: HTTP_ANSWERS,
    secrets: () => ['WEBHOOKSECRET'],
  },
  {
    name: 'email',
    config: () => notifyConfig({ smtpUrl: mail.url, emailFrom: 'alerts@example.org', emailTo: 'anna@example.org' }),
    fail: (code) =>
      mail.faults.push({
        at: code === 535 ? 'AUTH' : code === 0 ? 'DATA' : code > 600 ? 'DATA' : 'RCPT',
        code: code > 600 ? code - 600 : code,
        times: 9,
      }),
    count: () => mail.mails.length,
    answers: [
      [421, 'retried'],
      [450, 'retried'],
      [452, 'retried'],
      [550, 'refused'],
      [553, 'refused'],
      [535, 'refused'],
      [600 + 451, 'retried'],
      [600 + 554, 'refused'],
      [0, 'unconfirmed'],
    ],
    secrets: () => [PASSWORD, encodeURIComponent(PASSWORD), Buffer.from(PASSWORD).toString('base64')],
  },
  {
    name: 'webhook',
    config: () => notifyConfig({ webhookUrl: hook.url, webhookSecret: HMAC_KEY }),
    fail: (status) => (hook.status = status),
    count: () => hook.bodies.length,
    answers: HTTP_ANSWERS,
    secrets: () => ['WEBHOOKPATHSECRET', HMAC_KEY],
  },
];

describe.each(contracts)('$name', (contract) => {
  const told = () => stage.notifier(stage.channels(contract.config()), { config: contract.config() });
  const everything = () => stage.lines.join('\n') + JSON.stringify(stage.log.deliveries());

  it.each(contract.answers)('answer %i: %s, said to the log without a secret', async (answer, outcome) => {
    contract.fail(answer);
    stage.log.append(event('opened', NOW));
    expect(await told().deliverPending(NOW)).toMatchObject({ [outcome]: 1 });
    expect(contract.count()).toBe(0);
    expect(stage.log.deliveries()[0]?.error).not.toBe('');
    for (const secret of contract.secrets()) expect(everything()).not.toContain(secret);
  });

  it('comes through once the other side is back, once', async () => {
    contract.fail(contract.answers.find(([, outcome]) => outcome === 'retried')![0]);
    stage.log.append(event('opened', NOW));
    const notifier = told();
    await notifier.deliverPending(NOW);
    slack.faults.length = mail.faults.length = 0;
    hook.status = 200;
    for (let minute = 1; minute <= 12; minute++) await notifier.deliverPending(NOW + minute * 60_000);
    expect(contract.count()).toBe(1);
  });

  it('takes a huge and hostile incident', async () => {
    const huge = `${'<!channel> & `code` *bold* "x" \u202e\u0000'.repeat(300)}end`;
    const judgement = leak({
      service: huge,
      environment: huge,
      version: huge,
      explanation: huge,
      instances: Array.from({ length: 60 }, (_, index) => `${huge}-${index}`),
      slopeBytesPerHour: Number.MAX_SAFE_INTEGER,
      limitBytes: Number.MAX_SAFE_INTEGER,
    });
    stage.log.append(event('opened', NOW, { judgement, note: huge }));
    expect(await told().deliverPending(NOW)).toMatchObject({ sent: 1 });
    expect(contract.count()).toBe(1);
    // Plain text shows a mention as it is written; only mrkdwn would make one of it.
    const marked = [...slack.messages, ...slack.webhookMessages].flatMap(
      ({ blocks }) => JSON.stringify(blocks).match(/"mrkdwn","text":"(?:[^"\\]|\\.)*"/g) ?? [],
    );
    expect(marked.filter((text) => text.includes('<!channel'))).toEqual([]);
    if (contract.name.startsWith('slack')) expect(marked.length).toBeGreaterThan(5);
  });

  it('has figures that are not numbers told as text', async () => {
    const judgement = leak({
      slopeLow: NaN,
      slopeHigh: NaN,
      limitBytes: 0,
      exhaustsAt: null,
      onsetAt: null,
      fit: null,
      instances: [],
      version: '',
    });
    stage.log.append(event('opened', NOW, { judgement }));
    expect(await told().deliverPending(NOW)).toMatchObject({ sent: 1 });
    const said = JSON.stringify([slack.messages, slack.webhookMessages, hook.bodies, mail.mails.map(({ mail: one }) => one.text)]);
    expect(said).not.toMatch(/NaN|undefined|Infinity|null h/);
  });

  it('shows a secret to nobody when all goes well', async () => {
    stage.log.append(event('opened', NOW), event('resolved', NOW + 1));
    await told().deliverPending(NOW + 2);
    for (const secret of contract.secrets()) expect(everything()).not.toContain(secret);
  });
});

it('names every mistake in the settings at once', () => {
  const config = notifyConfig({ slackToken: 'xoxb-1', slackWebhookUrl: 'ftp://x', smtpUrl: 'mail.example.org', webhookUrl: 'nonsense' });
  expect(() => stage.channels(config)).toThrow(
    /slackChannel(.|\n)*twice(.|\n)*emailFrom(.|\n)*smtp:\/\/(.|\n)*slackWebhookUrl(.|\n)*webhookUrl/,
  );
});
