/** A message in Slack's blocks, within Slack's limits. Pure. */
import type { KnownBlock, SectionBlock } from '@slack/web-api';
import { formatMoment, truncate } from './message-format.ts';
import type { Message, RichText, Span, Tone } from './message.ts';

/** https://docs.slack.dev/reference/block-kit; the total is not documented and was measured by others (bolt-js#2509). */
const LIMIT = { header: 150, section: 3000, field: 2000, alt: 2000, text: 3000, total: 12_000 };
const STEPS_SHOWN = 2;

const EMOJI: Record<Tone, string> = { urgent: '🔴', leak: '🟠', handled: '👀', resolved: '✅' };

const escapes: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;' };
/** Slack's own rule; with it neither a link nor a mention can come out of a name. */
export const escapeSlack = (text: string): string => text.replace(/[&<>]/g, (found) => escapes[found] ?? '');

function spanText(span: Span): string {
  if (typeof span === 'string') return escapeSlack(span);
  // A backtick would end the code style.
  if ('code' in span) return `\`${escapeSlack(span.code.replaceAll('`', 'ˋ'))}\``;
  return `<!date^${Math.floor(span.at / 1000)}^{date_short_pretty} {time}|${formatMoment(span.at)}>`;
}

/** Cut between spans rather than within a date or an escape. */
export function mrkdwn(text: RichText, limit = LIMIT.section): string {
  let out = '';
  for (const span of text) {
    const next = spanText(span);
    if (out.length + next.length <= limit) out += next;
    else {
      const room = limit - out.length - 1;
      if (typeof span === 'string' && room > 0) {
        let raw = span.slice(0, room);
        while (escapeSlack(raw).length > room) raw = raw.slice(0, -1);
        out += escapeSlack(raw);
      }
      return `${out}…`;
    }
  }
  return out;
}

const section = (text: RichText): SectionBlock => ({ type: 'section', text: { type: 'mrkdwn', text: mrkdwn(text) } });
/** `label` is ours and may carry marks; `text` is escaped. */
const titled = (label: string, text: RichText): SectionBlock => ({
  type: 'section',
  text: { type: 'mrkdwn', text: `*${label}*\n${mrkdwn(text, LIMIT.section - label.length - 3)}` },
});

function fields(message: Message): KnownBlock[] {
  if (message.facts.length === 0) return [];
  return [
    {
      type: 'section',
      fields: message.facts.slice(0, 10).map(({ label, text }) => ({
        type: 'mrkdwn',
        text: `*${label}*\n${mrkdwn(text, Math.min(LIMIT.field, 700) - label.length - 3)}`,
      })),
    },
  ];
}

export interface RootOptions {
  /** Slack's id of the uploaded chart. */
  readonly fileId?: string | undefined;
  /** New with each edit: Slack keeps showing the old picture under the old block id. */
  readonly blockId: string;
}

function picture(message: Message, { fileId, blockId }: RootOptions): KnownBlock[] {
  if (fileId !== undefined)
    return [{ type: 'image', block_id: blockId, slack_file: { id: fileId }, alt_text: truncate(message.chartAlt, LIMIT.alt) }];
  return message.sparkline === '' ? [] : [section([{ code: message.sparkline }])];
}

function buttons(message: Message): KnownBlock {
  const { links, state } = message;
  const isActive = state !== 'resolved' && state !== 'dismissed';
  const button = (name: string, text: string, url: string) => ({
    type: 'button' as const,
    action_id: `leakline_${name}`,
    url,
    text: { type: 'plain_text' as const, text },
  });
  return {
    type: 'actions',
    elements: [
      button('page', 'Open', links.page),
      ...(isActive && state !== 'acknowledged'
        ? [{ ...button('acknowledge', 'Acknowledge', links.acknowledge), style: 'primary' as const }]
        : []),
      ...(isActive && state !== 'silenced' ? [button('silence', 'Silence', links.silence)] : []),
      ...(isActive ? [button('dismiss', 'Not a leak', links.dismiss)] : []),
    ],
  };
}

/** The message that stands in the channel and is edited. */
export function rootBlocks(message: Message, options: RootOptions): KnownBlock[] {
  const blocks: KnownBlock[] = [
    { type: 'header', text: { type: 'plain_text', text: truncate(`${EMOJI[message.tone]} ${message.title}`, LIMIT.header), emoji: true } },
    ...(message.status.length === 0 ? [] : [section(message.status)]),
    ...fields(message),
    ...picture(message, options),
    ...(message.reason === '' ? [] : [titled('Why', [truncate(message.reason, 1000)])]),
    ...(message.nextSteps.length === 0
      ? []
      : [
          titled('What to do next', [
            message.nextSteps
              .slice(0, STEPS_SHOWN)
              .map((step) => `• ${truncate(step, 500)}`)
              .join('\n'),
          ]),
        ]),
    buttons(message),
    { type: 'context', elements: [{ type: 'mrkdwn', text: `Leakline · as of ${spanText({ at: message.at })}` }] },
  ];
  return withinTotal(blocks);
}

/** Everything that would make the standing message long. */
export function detailBlocks(message: Message): KnownBlock[] {
  return withinTotal([
    ...message.nextSteps
      .slice(0, 8)
      .map((step, index) => (index === 0 ? titled('What to do next', [`1. ${step}`]) : section([`${index + 1}. ${step}`]))),
    {
      type: 'section',
      text: {
        type: 'mrkdwn',
        text: `*The SQL that shows it*\n\`\`\`${escapeSlack(truncate(message.sql.replaceAll('`', 'ˋ'), 2000))}\`\`\``,
      },
    },
  ]);
}

export const noteBlocks = (message: Message): KnownBlock[] => [section(message.status.length === 0 ? [message.title] : message.status)];

/** For notifications and for clients that show no blocks. */
export const fallbackText = (message: Message): string => escapeSlack(truncate(message.title, LIMIT.text / 6));

const sizeOf = (block: KnownBlock): number => JSON.stringify(block).length;

/** Drops the longest section until Slack takes the whole. Header, facts, buttons stay. */
function withinTotal(blocks: readonly KnownBlock[]): KnownBlock[] {
  const kept = [...blocks];
  while (kept.reduce((sum, block) => sum + sizeOf(block), 0) > LIMIT.total) {
    const longest = kept.filter((block) => block.type === 'section' && block.fields === undefined).sort((a, b) => sizeOf(b) - sizeOf(a))[0];
    if (longest === undefined) break;
    kept.splice(kept.indexOf(longest), 1);
  }
  return kept;
}
