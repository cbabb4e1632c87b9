/** Any HTTP endpoint that takes incident changes as JSON, signed. docs/alerts.md describes the body. */
import { createHmac } from 'node:crypto';
import { LeaklineError } from '../../shared/errors.ts';
import type { Clock } from '../../shared/clock.ts';
import type { Channel, Outgoing, SendResult } from './channel.ts';
import { formatMoment, truncate } from './message-format.ts';
import type { RichText } from './message.ts';
import { postJson, retryAfterMs, type JsonAnswer } from './post-json.ts';

export interface WebhookOptions {
  readonly url: string;
  /** Key of the signature; '' = not signed. */
  readonly secret: string;
  readonly allowPrivateTargets: boolean;
  readonly clock: Clock;
  readonly timeoutMs?: number;
}

const TIMEOUT_MS = 10_000;
const TEXT_LIMIT = 4_000;

export const plainText = (text: RichText): string =>
  text.map((span) => (typeof span === 'string' ? span : 'code' in span ? span.code : formatMoment(span.at))).join('');

/** The version changes when a field goes away or changes its meaning; new fields may come at any time. */
export function webhookBody({ id, message }: Outgoing): string {
  const iso = (at: number) => new Date(at).toISOString();
  return JSON.stringify({
    version: 1,
    delivery: id,
    change: message.change,
    at: iso(message.at),
    incident: {
      id: message.incident,
      service: message.service,
      environment: message.environment,
      state: message.state,
      openedAt: iso(message.openedAt),
      url: message.links.page,
    },
    title: truncate(message.title, TEXT_LIMIT),
    status: truncate(plainText(message.status), TEXT_LIMIT),
    facts: message.facts.map(({ label, text }) => ({ label, text: truncate(plainText(text), TEXT_LIMIT) })),
    reason: truncate(message.reason, TEXT_LIMIT),
    nextSteps: message.nextSteps.map((step) => truncate(step, TEXT_LIMIT)),
    links: message.links,
    sql: truncate(message.sql, TEXT_LIMIT),
  });
}

/** `t=SECONDS,v1=HEX`: HMAC-SHA256 over `SECONDS.BODY`, so that an old body cannot be played again. */
export function signature(secret: string, body: string, at: number): string {
  const seconds = Math.floor(at / 1000);
  return `t=${seconds},v1=${createHmac('sha256', secret).update(`${seconds}.${body}`).digest('hex')}`;
}

/** Statuses after which the same request may work later. A 5xx other than 503 may have acted, but says it has not. */
const isTransient = (status: number) => status === 408 || status === 425 || status === 429 || status >= 500;

export function answerResult(answer: JsonAnswer, setting: string, at: number): SendResult {
  if (answer.kind === 'failure') return { outcome: answer.isSent ? 'unconfirmed' : 'retry', error: answer.error };
  const { status } = answer;
  if (status >= 200 && status < 300) return { outcome: 'sent', external: {} };
  if (isTransient(status)) {
    const pause = retryAfterMs(answer.retryAfter, at);
    return { outcome: 'retry', error: `${setting} answers ${status}`, ...(pause === undefined ? {} : { retryAfterMs: pause }) };
  }
  const isRedirect = status >= 300 && status < 400;
  return {
    outcome: 'refused',
    error: `${setting} answers ${status}${isRedirect ? ': redirects are not followed, set the final address' : ''}`,
  };
}

export function createWebhook(options: WebhookOptions): Channel {
  const setting = 'notify.webhookUrl';
  return {
    name: 'webhook',
    cadence: 'every-change',
    refreshes: false,
    canAsk: false,
    async send(outgoing, signal) {
      const body = webhookBody(outgoing);
      const at = options.clock.now();
      try {
        const answer = await postJson({
          url: options.url,
          setting,
          body,
          headers: {
            'user-agent': 'leakline',
            'idempotency-key': outgoing.id,
            ...(options.secret === '' ? {} : { 'x-leakline-signature': signature(options.secret, body, at) }),
          },
          allowPrivateTargets: options.allowPrivateTargets,
          timeoutMs: options.timeoutMs ?? TIMEOUT_MS,
          signal,
        });
        return answerResult(answer, setting, at);
      } catch (error) {
        if (error instanceof LeaklineError) return { outcome: 'refused', error: error.message };
        throw error;
      }
    },
  };
}
