/** Slack's blocks as a page that looks like Slack, for the pictures in the documents. Knows the blocks Leakline sends and no others. */
import type { SlackMessage } from '../fakes/slack.ts';

interface Text {
  readonly type?: string;
  readonly text?: string;
}

interface Block {
  readonly type: string;
  readonly text?: Text;
  readonly fields?: readonly Text[];
  readonly elements?: readonly { readonly text: Text | string; readonly style?: string }[];
  readonly slack_file?: { readonly id: string };
  readonly alt_text?: string;
}

/** What Slack shows of `<!date^…>` and of its marks; everything else stands escaped already. */
function mrkdwn(text: string, zone: string): string {
  const moment = (seconds: string) => {
    const at = new Date(Number(seconds) * 1000);
    const time = new Intl.DateTimeFormat('en-US', { hour: 'numeric', minute: '2-digit', timeZone: zone }).format(at);
    const day = new Intl.DateTimeFormat('en-US', { month: 'short', day: 'numeric', timeZone: zone }).format(at);
    return `${day} at ${time}`;
  };
  return text
    .replace(/<!date\^(\d+)\^[^>]*>/g, (_, seconds: string) => moment(seconds))
    .replace(/```([^`]+)```/g, '<pre>$1</pre>')
    .replace(/`([^`]+)`/g, '<code>$1</code>')
    .replace(/(^|\n)\*([^*\n]+)\*/g, '$1<b>$2</b>')
    .replaceAll('\n', '<br>');
}

function blockHtml(block: Block, files: ReadonlyMap<string, { readonly bytes: Buffer }>, zone: string): string {
  const text = mrkdwn(block.text?.text ?? '', zone);
  switch (block.type) {
    case 'header':
      return `<h2>${text}</h2>`;
    case 'section':
      return block.fields === undefined
        ? `<p>${text}</p>`
        : `<div class="fields">${block.fields.map((field) => `<div>${mrkdwn(field.text ?? '', zone)}</div>`).join('')}</div>`;
    case 'image':
      return `<div class="file">memory.png ▾</div><img alt="" src="data:image/png;base64,${files.get(block.slack_file?.id ?? '')?.bytes.toString('base64') ?? ''}">`;
    case 'actions':
      return `<div class="actions">${(block.elements ?? []).map(({ text: label, style }) => `<span class="button ${style ?? ''}">${(label as Text).text ?? ''}</span>`).join('')}</div>`;
    case 'context':
      return `<div class="context">${(block.elements ?? []).map(({ text: label }) => mrkdwn(label as string, zone)).join(' ')}</div>`;
    default:
      return '';
  }
}

export function slackPage(
  root: SlackMessage,
  replies: number,
  files: ReadonlyMap<string, { readonly bytes: Buffer }>,
  zone: string,
): string {
  const time = new Intl.DateTimeFormat('en-US', { hour: 'numeric', minute: '2-digit', timeZone: zone }).format(
    new Date(Number(root.ts) * 1000),
  );
  return `<!doctype html><meta charset="utf-8"><style>
    body { margin: 0; background: #fff; color: #1d1c1d; font: 15px/1.47 'Liberation Sans', Lato, Arial, sans-serif; }
    main { width: 760px; padding: 18px 20px 16px; display: flex; gap: 10px; }
    .face { flex: none; width: 36px; height: 36px; border-radius: 6px; background: #e8590c; display: grid; place-items: center; }
    .name { font-weight: 700; } .app { background: #e8e8e8; color: #616061; border-radius: 2px; font-size: 10px; font-weight: 700; padding: 1px 3px; margin: 0 6px; }
    .time, .context, .file { color: #616061; font-size: 12px; } .body { flex: 1; min-width: 0; }
    h2 { font-size: 18px; line-height: 1.3; margin: 8px 0; } p { margin: 8px 0; max-width: 640px; }
    .fields { display: grid; grid-template-columns: 1fr 1fr; gap: 10px 20px; max-width: 640px; margin: 8px 0; }
    code { background: #f6f6f6; border: 1px solid #ddd; border-radius: 3px; color: #c01343; font: 12px 'DejaVu Sans Mono', monospace; padding: 1px 3px; overflow-wrap: anywhere; }
    img { width: 600px; border-radius: 8px; display: block; margin: 4px 0 10px; }
    .actions { display: flex; gap: 8px; margin: 10px 0; } .button { border: 1px solid #c4c4c4; border-radius: 4px; padding: 4px 12px; font-weight: 700; font-size: 13px; }
    .button.primary { background: #007a5a; border-color: #007a5a; color: #fff; }
    .replies { color: #1264a3; font-weight: 700; font-size: 13px; margin-top: 8px; }
  </style><main><div class="face"><svg width="22" height="22" viewBox="0 0 22 22"><path d="M2 18 L8 13 L12 15 L20 4" fill="none" stroke="#fff" stroke-width="3" stroke-linecap="round" stroke-linejoin="round"/></svg></div>
  <div class="body"><span class="name">Leakline</span><span class="app">APP</span><span class="time">${time}</span>
  ${(root.blocks as Block[]).map((block) => blockHtml(block, files, zone)).join('')}
  <div class="replies">${replies} ${replies === 1 ? 'reply' : 'replies'}</div></div></main>`;
}
