/** What an error of Slack's Web API means for a delivery, and the mend to name. */
import { WebAPIHTTPError, WebAPIPlatformError, WebAPIRateLimitedError, WebAPIRequestError } from '@slack/web-api';
import type { SendResult } from './channel.ts';

/** Slack's own trouble; anything else Slack says about a call stays true until somebody mends it. */
const TRANSIENT = new Set([
  'ratelimited',
  'rate_limited',
  'message_limit_exceeded',
  'internal_error',
  'fatal_error',
  'service_unavailable',
  'request_timeout',
  'team_added_to_org',
  'enterprise_is_restricted_temporarily',
]);

const MEND: Record<string, string> = {
  invalid_auth: 'notify.slackToken is not a valid bot token',
  not_authed: 'notify.slackToken is empty',
  account_inactive: 'the app or its workspace was switched off; make a new notify.slackToken',
  token_revoked: 'notify.slackToken was revoked; install the app again',
  token_expired: 'notify.slackToken has expired; install the app again',
  channel_not_found: 'notify.slackChannel must be the id of a channel the app can see (C…), and the app must be invited to it',
  not_in_channel: 'invite the app to the channel: /invite @Leakline',
  is_archived: 'the channel is archived; set another notify.slackChannel',
  missing_scope: 'the app lacks a scope; docs/alerts.md has the manifest with all of them',
  restricted_action: 'the workspace forbids the app to post in this channel',
};

const RETRY_LATER_MS = 30_000;

/** The word Slack uses, '' when it is not Slack that refused. */
export const slackErrorCode = (error: unknown): string => (error instanceof WebAPIPlatformError ? error.data.error : '');

export function slackResult(error: unknown): SendResult {
  if (error instanceof WebAPIRateLimitedError)
    return { outcome: 'retry', error: 'Slack asks for a pause (429)', retryAfterMs: error.retryAfter * 1000 };
  if (error instanceof WebAPIHTTPError) {
    const isTransient = error.statusCode >= 500 || error.statusCode === 429 || error.statusCode === 408;
    return isTransient
      ? { outcome: 'retry', error: `Slack answers ${error.statusCode}`, retryAfterMs: RETRY_LATER_MS }
      : { outcome: 'refused', error: `notify.slackApiUrl answers ${error.statusCode}: is it Slack's Web API?` };
  }
  if (error instanceof WebAPIPlatformError) {
    const code = error.data.error;
    if (TRANSIENT.has(code)) return { outcome: 'retry', error: `Slack answers ${code}`, retryAfterMs: RETRY_LATER_MS };
    const said = /^[\w-]{1,60}$/.test(code) ? code : 'something that is not an error code';
    return { outcome: 'refused', error: `Slack answers ${said}${MEND[said] === undefined ? '' : `: ${MEND[said]}`}` };
  }
  // Timeouts and broken connections: perhaps it got there. The channel asks before the next try.
  if (error instanceof WebAPIRequestError) return { outcome: 'retry', error: `Slack cannot be reached (${nameOf(error.original)})` };
  return { outcome: 'retry', error: `Slack: ${error instanceof Error ? error.message : String(error)}` };
}

/** Never the message: it may quote an address or a header. */
function nameOf(error: Error): string {
  const cause = error.cause as NodeJS.ErrnoException | undefined;
  return cause?.code ?? error.name;
}
