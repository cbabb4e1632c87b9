/**
 * Puts a chart where an image block can show it: getUploadURLExternal, POST of the bytes, completeUploadExternal.
 * Not shared to a channel, so it appears nowhere but in the message. Slack processes files asynchronously: a block that names the
 * file may be refused for a moment (slack.ts tries again).
 */
import type { WebClient } from '@slack/web-api';
import { LeaklineError } from '../../shared/errors.ts';
import { truncate } from './message-format.ts';

const UPLOAD_TIMEOUT_MS = 10_000;
const ALT_LIMIT = 1000;

export async function uploadChart(client: WebClient, png: Buffer, alt: string, signal: AbortSignal): Promise<string> {
  const { upload_url: url, file_id: id } = await client.files.getUploadURLExternal({
    filename: 'memory.png',
    length: png.length,
    alt_text: truncate(alt, ALT_LIMIT),
  });
  if (url === undefined || id === undefined)
    throw new LeaklineError('LKL_ERR_DELIVERY_FAILED', 'Slack gave no address to upload the chart to');
  const answer = await fetch(url, {
    method: 'POST',
    body: new Uint8Array(png),
    headers: { 'content-type': 'image/png' },
    redirect: 'error',
    signal: AbortSignal.any([signal, AbortSignal.timeout(UPLOAD_TIMEOUT_MS)]),
  });
  await answer.body?.cancel();
  if (!answer.ok) throw new LeaklineError('LKL_ERR_DELIVERY_FAILED', `Slack answers ${answer.status} to the upload of the chart`);
  await client.files.completeUploadExternal({ files: [{ id, title: 'Memory over time' }] });
  return id;
}
