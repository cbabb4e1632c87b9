/**
 * Slack by bot token: one message per incident, edited as things change, details and news in its thread, the chart as a picture.
 *
 * Every message carries the incident and the delivery id in its metadata. After a crash or a lost answer the channel's history is
 * asked for them before anything is posted, so a message is never posted twice.
 */
import { WebClient, type KnownBlock } from '@slack/web-api';
import type { Clock } from '../../shared/clock.ts';
import type { Logger } from '../../shared/log.ts';
import type { Channel, External, Outgoing, SendResult } from './channel.ts';
import type { Change, Message } from './message.ts';
import { detailBlocks, fallbackText, noteBlocks, rootBlocks } from './slack-blocks.ts';
import { uploadChart } from './slack-chart.ts';
import { slackErrorCode, slackResult } from './slack-errors.ts';

export interface SlackOptions {
  readonly token: string;
  readonly channel: string;
  readonly apiUrl: string;
  readonly clock: Clock;
  readonly log: Logger;
  /** Of one call. */
  readonly timeoutMs?: number;
}

const CALL_TIMEOUT_MS = 10_000;
/** One message per second and channel; https://docs.slack.dev/apis/web-api/rate-limits */
const POST_INTERVAL_MS = 1_050;
const EVENT_TYPE = 'leakline_incident';
/** Waits for Slack to process the chart before a block may name it. */
const FILE_WAITS_MS = [500, 1_000, 2_000, 3_000];
const HISTORY_PAGES = 10;
const HISTORY_MARGIN_MS = 3_600_000;

/** The chart on these is the one that stands already. */
const KEEPS_CHART = new Set<Change>(['acknowledged', 'unacknowledged', 'silenced', 'dismissed']);
const SILENT = new Set<Change>(['updated', 'refreshed']);
const BROADCAST = new Set<Change>(['reopened', 'last-call']);

type Part = 'root' | 'note';

export function createSlack(options: SlackOptions): Channel {
  const { clock, log } = options;
  const client = new WebClient(options.token, {
    slackApiUrl: options.apiUrl,
    retryConfig: { retries: 0 },
    rejectRateLimitedCalls: true,
    timeout: options.timeoutMs ?? CALL_TIMEOUT_MS,
    allowAbsoluteUrls: false,
    logger: silentLogger,
  });
  let nextPostAt = 0;

  const pace = async (signal: AbortSignal): Promise<void> => {
    const now = clock.now();
    const at = Math.max(now, nextPostAt);
    nextPostAt = at + POST_INTERVAL_MS;
    if (at > now) await clock.sleep(at - now, signal);
  };

  const metadata = (outgoing: Outgoing, part: Part) => ({
    event_type: EVENT_TYPE,
    event_payload: { incident: outgoing.message.incident, delivery: outgoing.id, part },
  });

  /** Throws when Slack cannot be asked. */
  const findRoot = async ({ message }: Outgoing): Promise<string | undefined> => {
    const oldest = String(Math.floor((message.openedAt - HISTORY_MARGIN_MS) / 1000));
    let cursor = '';
    for (let page = 0; page < HISTORY_PAGES; page++) {
      const answer = await client.conversations.history({
        channel: options.channel,
        oldest,
        limit: 200,
        include_all_metadata: true,
        ...(cursor === '' ? {} : { cursor }),
      });
      const found = answer.messages?.find((one) => payloadOf(one).incident === message.incident && payloadOf(one).part === 'root');
      if (found?.ts !== undefined) return found.ts;
      cursor = answer.response_metadata?.next_cursor ?? '';
      if (cursor === '') return undefined;
    }
    return undefined;
  };

  const findNote = async ({ id }: Outgoing, channel: string, ts: string): Promise<string | undefined> => {
    const answer = await client.conversations.replies({ channel, ts, limit: 200, include_all_metadata: true });
    return answer.messages?.find((one) => payloadOf(one).delivery === id && payloadOf(one).part === 'note')?.ts;
  };

  const chartOf = async (outgoing: Outgoing, signal: AbortSignal): Promise<string | undefined> => {
    const standing = outgoing.external['file'];
    if (outgoing.external['step_file'] !== undefined) return outgoing.external['step_file'];
    if (standing !== undefined && KEEPS_CHART.has(outgoing.change)) return standing;
    try {
      const png = await outgoing.chart();
      return png === undefined ? undefined : await uploadChart(client, png, outgoing.message.chartAlt, signal);
    } catch (error) {
      const { outcome, ...why } = slackResult(error);
      log.warn({ incident: outgoing.message.incident, outcome, ...why }, 'the message goes out without its chart');
      return undefined;
    }
  };

  /** Posts or edits the standing message; while Slack still processes the chart, again; at last without it. */
  const withPicture = async (
    message: Message,
    fileId: string | undefined,
    blockId: string,
    signal: AbortSignal,
    call: (blocks: KnownBlock[]) => Promise<string>,
  ): Promise<{ ts: string; fileId: string | undefined }> => {
    if (fileId !== undefined) {
      for (const waitMs of [...FILE_WAITS_MS, undefined]) {
        try {
          return { ts: await call(rootBlocks(message, { fileId, blockId })), fileId };
        } catch (error) {
          if (slackErrorCode(error) !== 'invalid_blocks') throw error;
          if (waitMs !== undefined) await clock.sleep(waitMs, signal);
        }
      }
    }
    return { ts: await call(rootBlocks(message, { blockId })), fileId: undefined };
  };

  const putRoot = async (outgoing: Outgoing, standing: string | undefined, fileId: string | undefined, signal: AbortSignal) => {
    const { message, external } = outgoing;
    const channel = external['channel'] ?? options.channel;
    const shared = { text: fallbackText(message), metadata: metadata(outgoing, 'root') };
    const blockId = `chart_${outgoing.revision.slice(0, 60)}_${message.at}`;
    const post = async (blocks: KnownBlock[]): Promise<string> => {
      await pace(signal);
      const answer = await client.chat.postMessage({
        channel: options.channel,
        blocks,
        ...shared,
        unfurl_links: false,
        unfurl_media: false,
      });
      return answer.ts ?? '';
    };
    if (standing === undefined) return { channel: options.channel, ...(await withPicture(message, fileId, blockId, signal, post)) };
    const edit = async (blocks: KnownBlock[]): Promise<string> => {
      await client.chat.update({ channel, ts: standing, blocks, ...shared });
      return standing;
    };
    try {
      return { channel, ...(await withPicture(message, fileId, blockId, signal, edit)) };
    } catch (error) {
      const code = slackErrorCode(error);
      // Deleted by somebody: an alarm comes anew, anything else has lost its place.
      if (code === 'message_not_found' && BROADCAST.has(outgoing.change))
        return { channel: options.channel, ...(await withPicture(message, fileId, blockId, signal, post)) };
      // The workspace forbids edits: the thread still tells.
      if (code === 'message_not_found' || code === 'edit_window_closed' || code === 'cant_update_message')
        return { channel, ts: standing, fileId: external['file'] };
      throw error;
    }
  };

  const putNote = async (outgoing: Outgoing, channel: string, ts: string, signal: AbortSignal): Promise<string | undefined> => {
    if (SILENT.has(outgoing.change) || outgoing.external['step_note'] !== undefined) return outgoing.external['step_note'];
    const standing = outgoing.isUncertain ? await findNote(outgoing, channel, ts) : undefined;
    if (standing !== undefined) return standing;
    await pace(signal);
    const isFirst = outgoing.rootRevision === null;
    const note = {
      channel,
      thread_ts: ts,
      text: fallbackText(outgoing.message),
      blocks: isFirst ? detailBlocks(outgoing.message) : noteBlocks(outgoing.message),
      metadata: metadata(outgoing, 'note'),
      unfurl_links: false,
      unfurl_media: false,
    };
    const isBroadcast = !isFirst && BROADCAST.has(outgoing.change);
    const answer = await (isBroadcast ? client.chat.postMessage({ ...note, reply_broadcast: true }) : client.chat.postMessage(note));
    return answer.ts;
  };

  /** `undefined`: not there. `'unknown'`: Slack does not let the app look. */
  const standingRoot = async (outgoing: Outgoing): Promise<string | undefined> => {
    if (outgoing.external['ts'] !== undefined) return outgoing.external['ts'];
    if (!outgoing.isUncertain) return undefined;
    try {
      return await findRoot(outgoing);
    } catch (error) {
      if (slackErrorCode(error) !== 'missing_scope') throw error;
      return CANNOT_LOOK;
    }
  };

  const send = async (outgoing: Outgoing, signal: AbortSignal): Promise<SendResult> => {
    const standing = await standingRoot(outgoing);
    if (standing === CANNOT_LOOK && outgoing.isRepeat)
      return { outcome: 'unconfirmed', error: 'the app lacks channels:history, so whether the message is there cannot be seen' };
    const root = standing === CANNOT_LOOK ? undefined : standing;
    // Nobody was ever told, so there is nothing to take back.
    if (root === undefined && OVER.has(outgoing.message.state)) return { outcome: 'sent', external: {} };

    const before = outgoing.external['file'];
    const file = await chartOf(outgoing, signal);
    if (file !== undefined) await outgoing.progress({ ...outgoing.external, step_file: file });
    const put = await putRoot(outgoing, root, file, signal);
    const external: External = { channel: put.channel, ts: put.ts, ...(put.fileId === undefined ? {} : { file: put.fileId }) };
    await outgoing.progress({ ...external, ...(file === undefined ? {} : { step_file: file }) });
    const note = await putNote(outgoing, put.channel, put.ts, signal);
    // Nothing shows the picture before this one any more; that it stays is no harm.
    if (before !== undefined && before !== put.fileId) await client.files.delete({ file: before }).catch(() => undefined);
    return { outcome: 'sent', external: note === undefined ? external : { ...external, step_note: note } };
  };

  return {
    name: 'slack',
    cadence: 'every-change',
    refreshes: true,
    canAsk: true,
    send: (outgoing, signal) => send(outgoing, signal).catch((error: unknown) => slackResult(error)),
  };
}

const OVER = new Set<Message['state']>(['resolved', 'dismissed']);
const CANNOT_LOOK = 'cannot-look';

interface Payload {
  readonly incident?: string;
  readonly delivery?: string;
  readonly part?: Part;
}

function payloadOf(message: object): Payload {
  const { metadata } = message as { metadata?: { event_type?: string; event_payload?: Payload } };
  return metadata?.event_type === EVENT_TYPE ? (metadata.event_payload ?? {}) : {};
}

/** The library's log lines quote requests. */
const silentLogger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  setLevel: () => undefined,
  getLevel: () => 'error' as never,
  setName: () => undefined,
};
