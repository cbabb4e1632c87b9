/** Mail through a real SMTP dialogue. */
import { afterEach, describe, expect, it } from 'vitest';
import { needsTls } from '../../../services/notifier/email.ts';
import { startMailServer, type MailServer, type MailServerOptions } from '../../fakes/mail-server.ts';
import { event, HOUR, INCIDENT, leak, NOW } from './leak.ts';
import { notifyConfig, openStage, type Stage } from './stage.ts';

let server: MailServer;
let stage: Stage;

async function open(options: MailServerOptions = {}, more: Record<string, unknown> = {}) {
  server = await startMailServer(options);
  stage = openStage();
  const config = notifyConfig({
    smtpUrl: server.url,
    emailFrom: 'Leakline <alerts@example.org>',
    emailTo: 'anna@example.org,ben@example.org',
    ...more,
  });
  return stage.notifier(stage.channels(config), { config });
}

afterEach(async () => {
  stage.close();
  await server.close();
});

describe('one incident by mail', () => {
  it('is a mail in text and HTML with the chart inside, over STARTTLS, logged in', async () => {
    const told = await open({ user: 'leak line', password: 'p@ss:wörd/42', requireTls: true });
    stage.log.append(event('opened', NOW));
    expect(await told.deliverPending(NOW)).toMatchObject({ sent: 1 });
    const [received, ...others] = server.mails;
    expect(others).toEqual([]);
    expect(received).toMatchObject({
      user: 'leak line',
      isEncrypted: true,
      from: 'alerts@example.org',
      to: ['anna@example.org', 'ben@example.org'],
    });
    const { mail } = received!;
    expect(mail.subject).toBe('[Leakline] checkout leaks 18 MB/h, runs out of memory in 8 h');
    for (const part of ['15–21 MB/h', '97 % sure', 'version v42', '8 h (7–9.5 h), full at', '3 of 4']) expect(mail.text).toContain(part);
    expect(mail.html).toContain('97 % sure');
    const [chart] = mail.attachments;
    expect(chart).toMatchObject({ contentType: 'image/png', related: true, cid: 'chart@leakline' });
    expect(mail.headers.get('auto-submitted')).toBe('auto-generated');
    expect(mail.headers.get('list')).toMatchObject({ id: { id: 'alerts.leakline.example.org' } });
    expect(mail.messageId).toBe(`<leakline.${INCIDENT}.${event('opened', NOW).id}@example.org>`);
  });

  it('ends in the thread it began, and keeps silent about what a new mail is not worth', async () => {
    const told = await open();
    stage.log.append(event('opened', NOW));
    await told.deliverPending(NOW);
    stage.log.append(event('acknowledged', NOW + 1000), event('updated', NOW + 60_000, { judgement: leak({ slopeBytesPerHour: 30e6 }) }));
    expect(await told.deliverPending(NOW + 120_000)).toMatchObject({ sent: 0 });
    stage.log.append(event('resolved', NOW + HOUR, { note: 'v43 has stayed calm' }));
    expect(await told.deliverPending(NOW + HOUR)).toMatchObject({ sent: 1 });
    const [first, last] = server.mails.map(({ mail }) => mail);
    expect(last?.inReplyTo).toBe(first?.messageId);
    expect(last?.references).toBe(first?.messageId);
    expect(last?.subject).toBe(`Re: ${first?.subject ?? ''}`);
    expect(last?.text).toContain('v43 has stayed calm');
  });

  it('calls for the last time when the last hour begins and nobody has acknowledged', async () => {
    const told = await open();
    stage.log.append(event('opened', NOW));
    await told.deliverPending(NOW);
    await told.deliverPending(NOW + 7.1 * HOUR);
    await told.deliverPending(NOW + 7.5 * HOUR);
    expect(server.mails.map(({ mail }) => mail.headers.get('x-leakline-change'))).toEqual(['opened', 'last-call']);
  });

  it('escapes names and notes in HTML', async () => {
    const told = await open();
    stage.log.append(
      event('opened', NOW, { judgement: leak({ version: '<img src=x onerror=alert(1)>', explanation: 'a <b>bold</b> claim & more' }) }),
    );
    await told.deliverPending(NOW);
    const html = String(server.mails[0]?.mail.html);
    expect(html).not.toContain('<img src=x');
    expect(html).toContain('a &lt;b&gt;bold&lt;/b&gt; claim &amp; more');
  });
});

describe('a mail whose fate is unknown', () => {
  it('is not sent again; a reminder follows in its thread while the incident stays open', async () => {
    const told = await open();
    server.faults.push({ at: 'DATA', code: -1 });
    stage.log.append(event('opened', NOW));
    expect(await told.deliverPending(NOW)).toMatchObject({ unconfirmed: 1 });
    expect(await told.deliverPending(NOW + 60_000)).toMatchObject({ sent: 0, waiting: 1 });
    expect(await told.deliverPending(NOW + 16 * 60_000)).toMatchObject({ sent: 1 });
    expect(await told.deliverPending(NOW + 60 * 60_000)).toMatchObject({ sent: 0 });
    const [first, reminder] = server.mails.map(({ mail }) => mail);
    expect(reminder?.inReplyTo).toBe(first?.messageId);
    expect(reminder?.text).toContain('An earlier message may not have arrived');
  });

  it.each([
    ['smtp://user:secret@mail.example.org:587', true],
    ['smtp://mail.example.org:25', false],
    ['smtp://user:secret@127.0.0.1:1025', false],
    ['smtps://user:secret@mail.example.org', false],
  ])('%s: a password needs STARTTLS: %s', (url, expected) => expect(needsTls(url)).toBe(expected));
});
