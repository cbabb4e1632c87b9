/** A message as mail: subject, plain text, and HTML that old and dark clients show. Pure. */
import { formatMoment, truncate } from './message-format.ts';
import type { Message, RichText, Span, Tone } from './message.ts';
import { plainText } from './webhook.ts';

/** RFC 5322 allows 998 bytes a line; people see 60 characters. */
const SUBJECT_LIMIT = 180;
const FIELD_LIMIT = 2_000;

export const CHART_CID = 'chart@leakline';

const escapes: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };
export const escapeHtml = (text: string): string => text.replace(/[&<>"']/g, (found) => escapes[found] ?? '');

export const subjectOf = (message: Message): string => truncate(`[Leakline] ${message.title}`, SUBJECT_LIMIT);

export function textBody(message: Message): string {
  const width = Math.max(0, ...message.facts.map(({ label }) => label.length)) + 2;
  const parts = [
    message.title,
    plainText(message.status),
    message.facts.map(({ label, text }) => `${`${label}:`.padEnd(width)}${truncate(plainText(text), FIELD_LIMIT)}`).join('\n'),
    message.sparkline,
    message.reason === '' ? '' : `Why\n${message.reason}`,
    message.nextSteps.length === 0 ? '' : `What to do next\n${message.nextSteps.map((step, index) => `${index + 1}. ${step}`).join('\n')}`,
    linksOf(message)
      .map(({ name, url }) => `${name}: ${url}`)
      .join('\n'),
    `The SQL that shows it\n${message.sql}`,
    `-- \nLeakline, as of ${formatMoment(message.at)}. Incident ${message.incident}.`,
  ];
  return `${parts.filter((part) => part !== '').join('\n\n')}\n`;
}

function linksOf({ links, state }: Message): { name: string; url: string }[] {
  const isActive = state !== 'resolved' && state !== 'dismissed';
  return [
    { name: 'Open', url: links.page },
    ...(isActive && state !== 'acknowledged' ? [{ name: 'Acknowledge', url: links.acknowledge }] : []),
    ...(isActive ? [{ name: 'Silence', url: links.silence }] : []),
    ...(isActive ? [{ name: 'Not a leak', url: links.dismiss }] : []),
  ];
}

function spanHtml(span: Span): string {
  if (typeof span === 'string') return escapeHtml(span);
  if ('code' in span)
    return `<code style="font:13px ui-monospace,Menlo,Consolas,monospace;background:#eef1f4;color:#1f2933;padding:1px 4px;border-radius:4px">${escapeHtml(span.code)}</code>`;
  return `<span style="white-space:nowrap">${formatMoment(span.at)}</span>`;
}

const html = (text: RichText) => text.map(spanHtml).join('');

const ACCENT: Record<Tone, string> = { urgent: '#c92a2a', leak: '#e8590c', handled: '#66707c', resolved: '#2b8a3e' };
const FONT = "-apple-system,'Segoe UI',Roboto,Helvetica,Arial,sans-serif";
const heading = (text: string) => `<p style="margin:20px 0 6px;font:600 14px ${FONT};color:#1f2933">${text}</p>`;

function factRows({ facts }: Message): string {
  const rows = facts.map(
    ({ label, text }) =>
      `<tr><td style="padding:5px 16px 5px 0;font:14px/1.45 ${FONT};color:#66707c;vertical-align:top;white-space:nowrap">${escapeHtml(label)}</td>` +
      `<td style="padding:5px 0;font:14px/1.45 ${FONT};color:#1f2933">${html(text)}</td></tr>`,
  );
  return `<table role="presentation" cellpadding="0" cellspacing="0" style="margin:14px 0 4px">${rows.join('')}</table>`;
}

function buttons(message: Message): string {
  const cells = linksOf(message).map(({ name, url }, index) => {
    const style =
      index === 0
        ? `background:${ACCENT[message.tone]};color:#ffffff;border:1px solid ${ACCENT[message.tone]}`
        : 'background:#ffffff;color:#1f2933;border:1px solid #c5ccd3';
    return `<td style="padding-right:8px"><a href="${escapeHtml(url)}" style="display:inline-block;padding:8px 14px;border-radius:6px;font:600 13px ${FONT};text-decoration:none;${style}">${name}</a></td>`;
  });
  return `<table role="presentation" cellpadding="0" cellspacing="0" style="margin:18px 0 4px"><tr>${cells.join('')}</tr></table>`;
}

export function htmlBody(message: Message, hasChart: boolean): string {
  const steps = message.nextSteps.map((step) => `<li style="margin:4px 0">${escapeHtml(step)}</li>`).join('');
  const picture = hasChart
    ? `<img src="cid:${CHART_CID}" width="592" alt="${escapeHtml(message.chartAlt)}" style="display:block;width:100%;max-width:592px;height:auto;margin:16px 0 4px;border:0">`
    : message.sparkline === ''
      ? ''
      : `<p style="margin:16px 0 4px;font:18px ui-monospace,Menlo,Consolas,monospace;color:${ACCENT[message.tone]}">${message.sparkline}</p>`;
  const body = [
    `<h1 style="margin:0;font:600 20px/1.3 ${FONT};color:#1f2933">${escapeHtml(message.title)}</h1>`,
    message.status.length === 0 ? '' : `<p style="margin:8px 0 0;font:14px/1.5 ${FONT};color:#3e4c59">${html(message.status)}</p>`,
    factRows(message),
    picture,
    message.reason === ''
      ? ''
      : `${heading('Why')}<p style="margin:0;font:14px/1.5 ${FONT};color:#3e4c59">${escapeHtml(message.reason)}</p>`,
    steps === ''
      ? ''
      : `${heading('What to do next')}<ol style="margin:0;padding-left:22px;font:14px/1.5 ${FONT};color:#3e4c59">${steps}</ol>`,
    buttons(message),
    `${heading('The SQL that shows it')}<pre style="margin:0;padding:10px 12px;background:#f4f6f8;border-radius:6px;font:12px/1.5 ui-monospace,Menlo,Consolas,monospace;color:#1f2933;white-space:pre-wrap;word-break:break-word">${escapeHtml(message.sql)}</pre>`,
    `<p style="margin:20px 0 0;font:12px ${FONT};color:#8a94a0">Leakline, as of ${formatMoment(message.at)} · incident ${escapeHtml(message.incident)}</p>`,
  ];
  return [
    '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light only"></head>',
    '<body style="margin:0;padding:24px 12px;background:#f0f2f5">',
    `<table role="presentation" align="center" cellpadding="0" cellspacing="0" width="640" style="width:100%;max-width:640px;margin:0 auto;background:#ffffff;border-radius:10px;border-top:4px solid ${ACCENT[message.tone]}">`,
    `<tr><td style="padding:24px">${body.join('')}</td></tr></table></body></html>`,
  ].join('');
}
