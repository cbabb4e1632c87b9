/** The channels the configuration asks for. */
import type { Clock } from '../../shared/clock.ts';
import type { Config } from '../../shared/config.ts';
import { LeaklineError } from '../../shared/errors.ts';
import type { Logger } from '../../shared/log.ts';
import type { Channel } from './channel.ts';
import { createEmail } from './email.ts';
import { createSlackWebhook } from './slack-webhook.ts';
import { createSlack } from './slack.ts';
import { createWebhook } from './webhook.ts';

export interface ChannelDeps {
  readonly clock: Clock;
  readonly log: Logger;
}

/** Empty when nothing is set. Throws LKL_ERR_CONFIG with every setting that is missing beside another or malformed. */
export function createChannels({ notify }: Pick<Config, 'notify'>, { clock, log }: ChannelDeps): Channel[] {
  const problems: string[] = [];
  const needs = (isNeeded: boolean, isSet: boolean, problem: string) => {
    if (isNeeded && !isSet) problems.push(problem);
  };
  const { slackToken, slackChannel, slackWebhookUrl, smtpUrl, emailFrom, emailTo, webhookUrl } = notify;
  needs(slackToken !== '', slackChannel !== '', 'notify.slackToken is set, notify.slackChannel is not: set the id of the channel (C…)');
  needs(
    slackToken !== '',
    slackWebhookUrl === '',
    'notify.slackToken and notify.slackWebhookUrl are both set: one leak would be told twice, keep one',
  );
  needs(smtpUrl !== '', emailFrom !== '' && emailTo.length > 0, 'notify.smtpUrl is set: notify.emailFrom and notify.emailTo must be too');
  needs(
    smtpUrl !== '',
    /^smtps?:\/\/[^/]/.test(smtpUrl) && URL.canParse(smtpUrl),
    'notify.smtpUrl must be smtp://USER:PASSWORD@HOST:PORT or smtps://…, special characters %-encoded',
  );
  for (const [name, url] of Object.entries({ slackWebhookUrl, webhookUrl }))
    needs(url !== '', /^https?:\/\//.test(url) && URL.canParse(url), `notify.${name} must be an http:// or https:// address`);
  if (problems.length > 0) throw new LeaklineError('LKL_ERR_CONFIG', problems.join('\n'), { details: { problems } });

  const { allowPrivateTargets } = notify;
  return [
    ...(slackToken === '' ? [] : [createSlack({ token: slackToken, channel: slackChannel, apiUrl: notify.slackApiUrl, clock, log })]),
    ...(slackWebhookUrl === '' ? [] : [createSlackWebhook({ url: slackWebhookUrl, allowPrivateTargets, clock })]),
    ...(smtpUrl === '' ? [] : [createEmail({ smtpUrl, from: emailFrom, to: emailTo })]),
    ...(webhookUrl === '' ? [] : [createWebhook({ url: webhookUrl, secret: notify.webhookSecret, allowPrivateTargets, clock })]),
  ];
}
