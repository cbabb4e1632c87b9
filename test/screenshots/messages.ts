/**
 * Takes the pictures of docs/alerts.md: a real notifier sends to the stand-ins, Chromium shows what arrived.
 * `npx tsx test/screenshots/messages.ts` writes docs/images/slack-message.png and docs/images/email.png.
 */
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { startMailServer } from '../fakes/mail-server.ts';
import { startFakeSlack } from '../fakes/slack.ts';
import { event, NOW } from '../services/notifier/leak.ts';
import { notifyConfig, openStage } from '../services/notifier/stage.ts';
import { slackPage } from './slack-page.ts';

const IMAGES = join(import.meta.dirname, '../../docs/images');

const slack = await startFakeSlack({ postIntervalMs: 0, processingMs: 0 });
const mail = await startMailServer();
const stage = openStage();
const config = notifyConfig({
  slackToken: slack.token,
  slackChannel: 'C0LEAKS01',
  slackApiUrl: slack.apiUrl,
  smtpUrl: mail.url,
  emailFrom: 'Leakline <alerts@example.org>',
  emailTo: 'anna@example.org',
});
stage.log.append(event('opened', NOW));
await stage.notifier(stage.channels(config), { config }).deliverPending(NOW);

const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox'] });
const shoot = async (html: string, name: string, width: number) => {
  const page = await browser.newPage({ viewport: { width, height: 600 }, deviceScaleFactor: 2 });
  await page.setContent(html, { waitUntil: 'load' });
  await page.screenshot({ path: join(IMAGES, name), fullPage: true });
  await page.close();
};

const [root] = slack.roots();
if (root === undefined) throw new Error('no message arrived');
await shoot(slackPage(root, slack.messages.length - 1, slack.files, 'Etc/UTC'), 'slack-message.png', 800);

const received = mail.mails[0]?.mail;
const chart = received?.attachments[0]?.content.toString('base64') ?? '';
await shoot(String(received?.html).replace('cid:chart@leakline', `data:image/png;base64,${chart}`), 'email.png', 720);

await browser.close();
stage.close();
await Promise.all([slack.close(), mail.close()]);
