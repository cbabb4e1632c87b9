/**
 * Slack by incoming webhook: for where no bot token can be had. It can neither edit nor be asked nor carry a chart,
 * so it says the beginning, the return and the end, each complete in itself.
 */
import type { Clock } from '../../shared/clock.ts';
import { LeaklineError } from '../../shared/errors.ts';
import type { Channel } from './channel.ts';
import { postJson } from './post-json.ts';
import { fallbackText, rootBlocks } from './slack-blocks.ts';
import { answerResult } from './webhook.ts';

export interface SlackWebhookOptions {
  readonly url: string;
  readonly allowPrivateTargets: boolean;
  readonly clock: Clock;
  readonly timeoutMs?: number;
}

const TIMEOUT_MS = 10_000;
const POST_INTERVAL_MS = 1_050;

export function createSlackWebhook(options: SlackWebhookOptions): Channel {
  const { clock } = options;
  const setting = 'notify.slackWebhookUrl';
  let nextPostAt = 0;
  return {
    name: 'slack-webhook',
    cadence: 'endpoints',
    refreshes: false,
    canAsk: false,
    async send({ message, revision }, signal) {
      const now = clock.now();
      const at = Math.max(now, nextPostAt);
      nextPostAt = at + POST_INTERVAL_MS;
      if (at > now) await clock.sleep(at - now, signal);
      const body = JSON.stringify({
        text: fallbackText(message),
        blocks: rootBlocks(message, { blockId: `chart_${revision.slice(0, 60)}` }),
      });
      try {
        const answer = await postJson({
          url: options.url,
          setting,
          body,
          headers: { 'user-agent': 'leakline' },
          allowPrivateTargets: options.allowPrivateTargets,
          timeoutMs: options.timeoutMs ?? TIMEOUT_MS,
          signal,
        });
        return answerResult(answer, setting, clock.now());
      } catch (error) {
        if (error instanceof LeaklineError) return { outcome: 'refused', error: error.message };
        throw error;
      }
    },
  };
}
