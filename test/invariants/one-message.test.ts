/** One leak is one message: under kill -9 at every step, with two notifiers, with a store that goes away, and in any order of events. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Channel } from '../../services/notifier/channel.ts';
import { systemClock } from '../../shared/clock.ts';
import { LeaklineError } from '../../shared/errors.ts';
import { startMailServer, type MailServer } from '../fakes/mail-server.ts';
import { startFakeSlack, type FakeSlack } from '../fakes/slack.ts';
import { event, HOUR, leak, leakOf, NOW } from '../services/notifier/leak.ts';
import { notifyConfig, openStage, type Stage } from '../services/notifier/stage.ts';

const CHILD = new URL('one-message-child.ts', import.meta.url).pathname;
const LATER = NOW + 3 * 60_000;

let slack: FakeSlack;
let mail: MailServer;
let stage: Stage;

beforeEach(async () => {
  slack = await startFakeSlack({ postIntervalMs: 0, processingMs: 0 });
  mail = await startMailServer();
  stage = openStage();
});
afterEach(async () => {
  stage.close();
  await Promise.all([slack.close(), mail.close()]);
});

const slackSettings = () => ({ slackToken: slack.token, slackChannel: 'C0LEAKS01', slackApiUrl: slack.apiUrl });
const mailSettings = () => ({ smtpUrl: mail.url, emailFrom: 'alerts@example.org', emailTo: 'anna@example.org' });

/** Steps taken, or undefined when it was killed. */
async function runChild(notify: Record<string, unknown>, at: number, killAt: number): Promise<number | undefined> {
  const order = JSON.stringify({ path: stage.path, notify, at, killAt });
  const child = spawn(process.execPath, ['--import', 'tsx', CHILD, order], { stdio: ['ignore', 'pipe', 'inherit'] });
  let out = '';
  child.stdout.on('data', (part: Buffer) => (out += part.toString()));
  const [, signal] = (await once(child, 'close')) as [number | null, string | null];
  return signal === 'SIGKILL' ? undefined : Number(out);
}

const restart = (notify: Record<string, unknown>) => {
  const config = notifyConfig(notify);
  return stage.notifier(stage.channels(config), { config });
};

describe('kill -9', () => {
  it('at any step of a message to Slack leaves one message with one thread', async () => {
    stage.log.append(event('opened', NOW));
    const steps = (await runChild(slackSettings(), NOW, -1)) ?? 0;
    expect(steps).toBeGreaterThan(12);
    for (let killAt = 0; killAt < steps; killAt++) {
      stage.close();
      stage = openStage();
      stage.log.append(event('opened', NOW));
      slack.messages.length = 0;
      expect(await runChild(slackSettings(), NOW, killAt)).toBeUndefined();
      const survivor = restart(slackSettings());
      await survivor.deliverPending(LATER);
      expect([killAt, slack.roots().length, slack.messages.length]).toEqual([killAt, 1, 2]);
      // And from here on it is edited as if nothing had happened.
      stage.log.append(event('resolved', LATER + 1000));
      await survivor.deliverPending(LATER + 2000);
      expect(slack.roots().map(({ edits }) => edits)).toEqual([expect.any(Number)]);
      expect(JSON.stringify(slack.roots()[0]?.blocks)).toContain('no longer leaks');
    }
  }, 240_000);

  it('where no other notifier can be, the next one takes over at once, and otherwise not before the lease is over', async () => {
    const killedAt = systemClock.now();
    stage.log.append(event('opened', killedAt));
    // After the intent and before anything was asked of Slack.
    expect(await runChild(slackSettings(), killedAt, 3)).toBeUndefined();
    const config = notifyConfig(slackSettings());
    const next = (isAlone: boolean) => stage.notifier(stage.channels(config), { config, isAlone });
    expect(stage.log.deliveries()[0]?.state).toBe('intent');
    expect(await next(false).deliverPending(stage.log.deliveries()[0]!.at + 20_000)).toMatchObject({ sent: 0, waiting: 1 });
    expect(await next(true).deliverPending(systemClock.now())).toMatchObject({ sent: 1 });
    expect([slack.roots().length, slack.messages.length]).toEqual([1, 2]);
  });

  it('between sending a mail and recording it sends no second one, and the end still comes in its thread', async () => {
    stage.log.append(event('opened', NOW));
    // Steps 0 to 3 record the intent and the subject; step 4 comes before the outcome is recorded.
    expect(await runChild(mailSettings(), NOW, 4)).toBeUndefined();
    expect(mail.mails).toHaveLength(1);
    expect(stage.log.deliveries()[0]?.state).toBe('intent');
    const survivor = restart(mailSettings());
    expect(await survivor.deliverPending(LATER)).toMatchObject({ sent: 0 });
    expect(mail.mails).toHaveLength(1);
    expect(stage.log.deliveries()[0]?.state).toBe('unconfirmed');
    stage.log.append(event('resolved', LATER + 1000));
    await survivor.deliverPending(LATER + 2000);
    expect(mail.mails.map(({ mail: one }) => one.headers.get('x-leakline-change'))).toEqual(['opened', 'resolved']);
    expect(mail.mails[1]?.mail.inReplyTo).toBe(mail.mails[0]?.mail.messageId);
  });

  it('before a mail is sent loses nothing: a reminder says it all within a quarter of an hour', async () => {
    stage.log.append(event('opened', NOW));
    expect(await runChild(mailSettings(), NOW, 1)).toBeUndefined();
    const survivor = restart(mailSettings());
    for (let minute = 1; minute <= 20; minute++) await survivor.deliverPending(NOW + minute * 60_000);
    expect(mail.mails).toHaveLength(1);
    expect(mail.mails[0]?.mail.text).toContain('leaks 18 MB/h');
  });
});

describe('two notifiers', () => {
  it('say it once between them', async () => {
    for (let index = 0; index < 6; index++) stage.log.append(leakOf(`service-${index}`));
    const settings = { ...slackSettings(), ...mailSettings() };
    const config = notifyConfig(settings);
    const make = () => stage.notifier(stage.channels(config), { config, clock: systemClock, timing: { settleMs: 300 } });
    const [a, b] = [make(), make()];
    await Promise.all([a.deliverPending(NOW), b.deliverPending(NOW)]);
    await Promise.all([b.deliverPending(NOW + 1000), a.deliverPending(NOW + 1000)]);
    expect(slack.roots()).toHaveLength(6);
    expect(slack.messages).toHaveLength(12);
    expect(mail.mails).toHaveLength(6);
  });
});

describe('a store that goes away between sending and recording', () => {
  it('gets the outcome later, and nobody gets a second message', async () => {
    stage.log.append(event('opened', NOW));
    let isAway = false;
    const config = notifyConfig(mailSettings());
    const [email] = stage.channels(config);
    const channel: Channel = {
      ...email!,
      send: async (outgoing, signal) => {
        const result = await email!.send(outgoing, signal);
        isAway = true;
        return result;
      },
    };
    const away = () => Promise.reject(new LeaklineError('LKL_ERR_STORE_UNAVAILABLE', 'the store is away'));
    const ports = {
      ...stage.log,
      recordDelivery: (delivery: Parameters<typeof stage.log.recordDelivery>[0]) => (isAway ? away() : stage.log.recordDelivery(delivery)),
    };
    const told = stage.notifier([channel], { ports });
    await expect(told.deliverPending(NOW)).rejects.toMatchObject({ code: 'LKL_ERR_STORE_UNAVAILABLE' });
    await expect(told.deliverPending(NOW + 1000)).rejects.toMatchObject({ code: 'LKL_ERR_STORE_UNAVAILABLE' });
    isAway = false;
    await told.deliverPending(LATER);
    expect(mail.mails).toHaveLength(1);
    expect(stage.log.deliveries()).toMatchObject([{ state: 'sent' }]);
  });
});

describe('events', () => {
  it('in any order, and doubled, are one message that shows the newest state', async () => {
    const events = [
      event('opened', NOW),
      event('updated', NOW + HOUR, { judgement: leak({ slopeBytesPerHour: 44e6 }) }),
      event('acknowledged', NOW + 2 * HOUR),
    ];
    const told = restart(slackSettings());
    for (const index of [1, 0, 2, 1, 0]) {
      stage.log.append(events[index]!);
      await told.deliverPending(NOW + 3 * HOUR + index);
    }
    expect(slack.roots()).toHaveLength(1);
    const said = JSON.stringify(slack.roots()[0]?.blocks);
    expect(said).toContain('44 MB/h');
    expect(said).toContain('Acknowledged by');
  });

  it('of an incident that was over before anybody was told are not told', async () => {
    stage.log.append(event('opened', NOW), event('resolved', NOW + 1000));
    const told = restart({ ...slackSettings(), ...mailSettings() });
    await told.deliverPending(NOW + 2000);
    expect([slack.messages.length, mail.mails.length]).toEqual([0, 0]);
  });
});
