/** The same story as the demo with every service in a process of its own, over a real broker, told in Slack and by mail. */
import { mkdtempSync, rmSync } from 'node:fs';
import { spawn, type ChildProcess } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, inject, it } from 'vitest';
import { startFakeSlack, type FakeSlack } from '../fakes/slack.ts';
import { startMailServer, type MailServer } from '../fakes/mail-server.ts';
import { ensureTopics } from '../../shared/bus/kafka.ts';
import { createLog } from '../../shared/log.ts';
import { kafkaSettings } from '../harness/kafka-topic.ts';
import { LeaklineProcess, startService } from '../harness/leakline-process.ts';
import { until } from '../harness/until.ts';

const ROOT = join(import.meta.dirname, '../..');
const PROGRAMS = [
  { service: 'fleet-sessions', command: process.execPath, file: 'leaky-sessions.mjs' },
  { service: 'fleet-pages', command: 'python3', file: 'leaky-cache.py' },
  { service: 'fleet-catalogue', command: process.execPath, file: 'healthy.mjs' },
];
const folder = mkdtempSync(join(tmpdir(), 'leakline-fleet-'));
const socket = join(folder, 'agent.sock');
const started: LeaklineProcess[] = [];
const programs: ChildProcess[] = [];
let consoleUrl = '';
let slack: FakeSlack;
let mail: MailServer;

const SETTINGS = { LEAKLINE_PROFILE: 'minutes', LEAKLINE_DETECTOR_DEFAULT_MEMORY_LIMIT: '256MiB' };

async function start(args: readonly string[], env: Record<string, string> = {}): Promise<string> {
  const service = await startService({ args, cwd: folder, env: { ...SETTINGS, ...env } });
  started.push(service.process);
  return service.url;
}

beforeAll(async () => {
  const brokers = inject('kafkaBrokers');
  const kafka = ['--kafka', brokers.join(',')];
  await ensureTopics(kafkaSettings(brokers), createLog({ level: 'silent', secrets: [] }));
  const store = ['--store', await start(['store', '--data', join(folder, 'data')])];
  await start(['ingester', ...kafka, ...store]);
  slack = await startFakeSlack();
  mail = await startMailServer({ user: 'leakline', password: 'mail-password' });
  await start(['detector', ...store], {
    LEAKLINE_NOTIFY_SLACK_TOKEN: slack.token,
    LEAKLINE_NOTIFY_SLACK_CHANNEL: 'C0LEAKS01',
    LEAKLINE_NOTIFY_SLACK_API_URL: slack.apiUrl,
    LEAKLINE_NOTIFY_SMTP_URL: mail.url,
    LEAKLINE_NOTIFY_EMAIL_FROM: 'leakline@example.com',
    LEAKLINE_NOTIFY_EMAIL_TO: 'oncall@example.com',
    // The mail server's certificate is signed by nobody.
    NODE_TLS_REJECT_UNAUTHORIZED: '0',
  });
  consoleUrl = await start(['console', ...store]);
  const agent = new LeaklineProcess({
    args: ['agent', ...kafka, '--interval', '1s', '--match', '--fleet-test$', '--data', join(folder, 'agent')],
    cwd: folder,
    env: { ...SETTINGS, LEAKLINE_AGENT_SOCKET: socket },
  });
  started.push(agent);
  await agent.start();
  for (const { service, command, file } of PROGRAMS) {
    const env = {
      ...process.env,
      NODE_OPTIONS: `--require ${join(ROOT, 'probes/nodejs/leakline.cjs')}`,
      PYTHONPATH: join(ROOT, 'probes/python'),
      LEAKLINE_SOCKET: socket,
      LEAKLINE_INTERVAL_MS: '1000',
      LEAKLINE_SERVICE: service,
      LEAK_MIB_PER_SECOND: '1',
    };
    programs.push(spawn(command, [join(ROOT, 'test/fleet', file), '--fleet-test'], { env, stdio: 'ignore' }));
  }
});

afterAll(async () => {
  for (const program of programs) program.kill('SIGKILL');
  for (const leakline of started.reverse()) await leakline.stop();
  await Promise.all([slack.close(), mail.close()]);
  rmSync(folder, { recursive: true, force: true });
});

it('gives the same incidents as the demo', { timeout: 240_000 }, async () => {
  const answer = await until(
    'incidents of both leaking programs',
    async () => (await (await fetch(`${consoleUrl}/api/v1/incidents`)).json()) as { incidents: { service: string; state: string }[] },
    ({ incidents }) => incidents.filter(({ service }) => service.startsWith('fleet-')).length >= 2,
    200_000,
  );
  const ours = answer.incidents.filter(({ service }) => service.startsWith('fleet-'));
  expect(ours.map(({ service, state }) => `${service} ${state}`).sort()).toEqual(['fleet-pages open', 'fleet-sessions open']);
});

it(
  'tells of each incident once in Slack and once by mail, with slope, time to limit, onset, reason and chart',
  { timeout: 90_000 },
  async () => {
    await until(
      'messages',
      () => Promise.resolve({ roots: slack.roots().length, mails: mail.mails.length }),
      ({ roots, mails }) => roots >= 2 && mails >= 2,
      60_000,
    );
    for (const service of ['fleet-pages', 'fleet-sessions']) {
      const roots = slack.roots().filter(({ blocks }) => JSON.stringify(blocks).includes(service));
      expect(roots).toHaveLength(1);
      const said = JSON.stringify(roots[0]?.blocks);
      for (const fact of [/MB\/(h|min)|GB\/h/, /limit/i, /since/i, /keeps growing|grows/i]) expect(said).toMatch(fact);
      const openings = mail.mails.filter(({ mail: { subject = '', inReplyTo } }) => subject.includes(service) && inReplyTo === undefined);
      expect(openings).toHaveLength(1);
      expect(openings[0]?.mail.attachments.map(({ contentType }) => contentType)).toEqual(['image/png']);
    }
    expect([...slack.files.values()].filter(({ isComplete }) => isComplete).length).toBeGreaterThanOrEqual(2);
  },
);
