/**
 * A stand-in for Slack over HTTP that enforces what Slack documents: block limits, one message per second and channel with 429 and
 * Retry-After, asynchronous processing of files, slack_file rules, scopes, history with metadata only when asked for it.
 * `faults` make it fail as the real one does: before acting, after acting, or by keeping silent.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { blocksError, type FileState } from './slack-limits.ts';

export interface SlackMessage {
  readonly channel: string;
  readonly ts: string;
  readonly threadTs: string | undefined;
  text: string;
  blocks: unknown[];
  metadata: { event_type: string; event_payload: Record<string, string> } | undefined;
  readonly isBroadcast: boolean;
  edits: number;
}

export interface SlackFault {
  /** Method it strikes, '*' = any, 'upload' = the POST of a file's bytes, 'webhook' = the incoming webhook. */
  readonly method: string;
  readonly kind: 'status' | 'error' | 'silent' | 'silent-after';
  readonly status?: number;
  readonly error?: string;
  readonly retryAfter?: number;
  /** Times it strikes; default once. */
  times?: number;
}

export interface SlackCall {
  readonly method: string;
  readonly body: Readonly<Record<string, string>>;
  readonly at: number;
}

export interface FakeSlackOptions {
  readonly token?: string;
  readonly channels?: readonly string[];
  readonly scopes?: readonly string[];
  /** Time a file takes to be processed. */
  readonly processingMs?: number;
  /** Least pause between two messages in a channel; 0 = not enforced. */
  readonly postIntervalMs?: number;
}

export interface FakeSlack {
  readonly apiUrl: string;
  readonly webhookUrl: string;
  readonly token: string;
  readonly messages: SlackMessage[];
  readonly webhookMessages: { text: string; blocks: unknown[] }[];
  readonly calls: SlackCall[];
  readonly files: Map<string, { bytes: Buffer; readyAt: number; isComplete: boolean }>;
  readonly faults: SlackFault[];
  /** Messages that stand in the channel itself. */
  roots(): SlackMessage[];
  /** Resolves with the first call of a method from now on, before it is answered. */
  nextCall(method: string): Promise<SlackCall>;
  close(): Promise<void>;
}

const SCOPES = ['chat:write', 'files:write', 'channels:history'];
const NEEDED: Record<string, string> = {
  'chat.postMessage': 'chat:write',
  'chat.update': 'chat:write',
  'files.getUploadURLExternal': 'files:write',
  'files.completeUploadExternal': 'files:write',
  'files.delete': 'files:write',
  'conversations.history': 'channels:history',
  'conversations.replies': 'channels:history',
};
const WEBHOOK_PATH = '/services/T0FAKE/B0FAKE/0123456789abcdefWEBHOOKSECRET';

type Body = Record<string, string>;
type Answer = Record<string, unknown>;

async function readBody(request: IncomingMessage): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  return Buffer.concat(parts);
}

export async function startFakeSlack(options: FakeSlackOptions = {}): Promise<FakeSlack> {
  const token = options.token ?? 'xoxb-1234567890-FAKEBOTTOKENSECRET';
  const channels = new Set(options.channels ?? ['C0LEAKS01']);
  const scopes = new Set(options.scopes ?? SCOPES);
  const intervalMs = options.postIntervalMs ?? 1_000;
  const messages: SlackMessage[] = [];
  const webhookMessages: FakeSlack['webhookMessages'] = [];
  const calls: SlackCall[] = [];
  const files: FakeSlack['files'] = new Map();
  const faults: SlackFault[] = [];
  const waiting: { method: string; resolve: (call: SlackCall) => void }[] = [];
  const lastPost = new Map<string, number>();
  let serial = 0;
  let base = '';

  const fileState = (id: string): FileState => {
    const file = files.get(id);
    if (file === undefined || !file.isComplete) return undefined;
    if (!file.bytes.subarray(1, 4).equals(Buffer.from('PNG'))) return 'not-an-image';
    return Date.now() >= file.readyAt ? 'ready' : 'processing';
  };

  const invalid = (problem: { error: string; detail: string }): Answer => ({
    ok: false,
    error: problem.error,
    response_metadata: { messages: [`[ERROR] ${problem.detail}`] },
  });

  const parsed = (body: Body): { blocks: unknown[]; metadata: SlackMessage['metadata'] } => ({
    blocks: JSON.parse(body['blocks'] ?? '[]') as unknown[],
    metadata: body['metadata'] === undefined ? undefined : (JSON.parse(body['metadata']) as SlackMessage['metadata']),
  });

  const methods: Record<string, (body: Body, response: ServerResponse) => Answer | null> = {
    'chat.postMessage': (body, response) => {
      const channel = body['channel'] ?? '';
      if (!channels.has(channel)) return { ok: false, error: 'channel_not_found' };
      const sinceLast = Date.now() - (lastPost.get(channel) ?? -Infinity);
      if (sinceLast < intervalMs) {
        response.writeHead(429, { 'retry-after': '1' }).end();
        return null;
      }
      const { blocks, metadata } = parsed(body);
      const problem = blocksError(blocks, fileState);
      if (problem !== undefined) return invalid(problem);
      if ((body['text'] ?? '').length > 40_000) return { ok: false, error: 'msg_too_long' };
      const threadTs = body['thread_ts'];
      if (threadTs !== undefined && !messages.some(({ ts }) => ts === threadTs)) return { ok: false, error: 'thread_not_found' };
      lastPost.set(channel, Date.now());
      const ts = `${Math.floor(Date.now() / 1000)}.${String(++serial).padStart(6, '0')}`;
      messages.push({
        channel,
        ts,
        threadTs,
        text: body['text'] ?? '',
        blocks,
        metadata,
        isBroadcast: body['reply_broadcast'] === 'true',
        edits: 0,
      });
      return { ok: true, channel, ts };
    },
    'chat.update': (body) => {
      const message = messages.find(({ ts, channel }) => ts === body['ts'] && channel === body['channel']);
      if (message === undefined) return { ok: false, error: 'message_not_found' };
      const { blocks, metadata } = parsed(body);
      const problem = blocksError(blocks, fileState);
      if (problem !== undefined) return invalid(problem);
      Object.assign(message, { text: body['text'] ?? '', blocks, metadata: metadata ?? message.metadata, edits: message.edits + 1 });
      return { ok: true, channel: message.channel, ts: message.ts };
    },
    'conversations.history': (body) => {
      if (!channels.has(body['channel'] ?? '')) return { ok: false, error: 'channel_not_found' };
      const oldest = Number(body['oldest'] ?? 0);
      const limit = Math.min(Number(body['limit'] ?? 100), 999);
      const offset = Number(body['cursor'] ?? 0);
      const found = messages
        .filter(
          ({ channel, threadTs, isBroadcast, ts }) =>
            channel === body['channel'] && (threadTs === undefined || isBroadcast) && Number(ts) > oldest,
        )
        .reverse();
      const next = offset + limit < found.length ? String(offset + limit) : '';
      return {
        ok: true,
        messages: found.slice(offset, offset + limit).map((one) => shown(one, body)),
        response_metadata: { next_cursor: next },
      };
    },
    'conversations.replies': (body) => {
      const found = messages.filter(({ ts, threadTs }) => ts === body['ts'] || threadTs === body['ts']);
      return found.length === 0 ? { ok: false, error: 'thread_not_found' } : { ok: true, messages: found.map((one) => shown(one, body)) };
    },
    'files.getUploadURLExternal': (body) => {
      if (!(Number(body['length']) > 0) || (body['filename'] ?? '') === '') return { ok: false, error: 'invalid_arguments' };
      if ((body['alt_txt'] ?? '').length > 1000) return { ok: false, error: 'alt_txt_too_large' };
      const id = `F0FAKE${String(++serial).padStart(5, '0')}`;
      files.set(id, { bytes: Buffer.alloc(0), readyAt: Infinity, isComplete: false });
      return { ok: true, upload_url: `${base}/upload/v1/${id}`, file_id: id };
    },
    'files.completeUploadExternal': (body) => {
      const wanted = JSON.parse(body['files'] ?? '[]') as { id: string }[];
      for (const { id } of wanted) {
        const file = files.get(id);
        if (file === undefined || file.bytes.length === 0) return { ok: false, error: 'file_not_found' };
        file.isComplete = true;
        file.readyAt = Date.now() + (options.processingMs ?? 300);
      }
      // Asynchronous: nothing is known of the type yet.
      return { ok: true, files: wanted.map(({ id }) => ({ id, mimetype: '' })) };
    },
    'files.delete': (body) => (files.delete(body['file'] ?? '') ? { ok: true } : { ok: false, error: 'file_not_found' }),
  };

  const shown = ({ ts, threadTs, text, blocks, metadata }: SlackMessage, body: Body) => ({
    type: 'message',
    ts,
    ...(threadTs === undefined ? {} : { thread_ts: threadTs }),
    text,
    blocks,
    ...(body['include_all_metadata'] === 'true' && metadata !== undefined ? { metadata } : {}),
  });

  const faultOf = (method: string): SlackFault | undefined => {
    const fault = faults.find((one) => (one.method === method || one.method === '*') && (one.times ?? 1) > 0);
    if (fault !== undefined) fault.times = (fault.times ?? 1) - 1;
    return fault;
  };

  const act = (method: string, request: IncomingMessage, raw: Buffer, response: ServerResponse): Answer | string | null => {
    if (method === 'upload') {
      const file = files.get((request.url ?? '').split('/').at(-1) ?? '');
      if (file === undefined) return null;
      file.bytes = raw;
      return `OK - ${raw.length}`;
    }
    if (method === 'webhook') {
      const body = JSON.parse(raw.toString('utf8')) as { text: string; blocks: unknown[] };
      if (blocksError(body.blocks, fileState) !== undefined) {
        response.writeHead(400).end('invalid_blocks');
        return null;
      }
      webhookMessages.push(body);
      return 'ok';
    }
    const body = Object.fromEntries(new URLSearchParams(raw.toString('utf8')));
    if (request.headers.authorization !== `Bearer ${token}`) return { ok: false, error: 'invalid_auth' };
    const handler = methods[method];
    if (handler === undefined) return { ok: false, error: 'unknown_method' };
    const scope = NEEDED[method] ?? '';
    if (!scopes.has(scope)) return { ok: false, error: 'missing_scope', needed: scope };
    return handler(body, response);
  };

  const handle = async (request: IncomingMessage, response: ServerResponse) => {
    const path = request.url ?? '';
    const method = path.startsWith('/upload/') ? 'upload' : path === WEBHOOK_PATH ? 'webhook' : path.replace(/^\/api\//, '');
    const raw = await readBody(request);
    const call: SlackCall = { method, body: Object.fromEntries(new URLSearchParams(raw.toString('latin1'))), at: Date.now() };
    calls.push(call);
    for (const one of waiting.filter((candidate) => candidate.method === method)) one.resolve(call);
    const fault = faultOf(method);
    if (fault?.kind === 'silent') return;
    if (fault?.kind === 'status') {
      response.writeHead(fault.status ?? 500, fault.retryAfter === undefined ? {} : { 'retry-after': String(fault.retryAfter) }).end();
      return;
    }
    const answer = fault?.kind === 'error' ? { ok: false, error: fault.error } : act(method, request, raw, response);
    if (fault?.kind === 'silent-after' || answer === null) return;
    if (typeof answer === 'string') response.writeHead(200, { 'content-type': 'text/plain' }).end(answer);
    else response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(answer));
  };

  const server = createServer((request, response) => void handle(request, response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

  return {
    apiUrl: `${base}/api/`,
    webhookUrl: `${base}${WEBHOOK_PATH}`,
    token,
    messages,
    webhookMessages,
    calls,
    files,
    faults,
    roots: () => messages.filter(({ threadTs }) => threadTs === undefined),
    nextCall: (method) => new Promise((resolve) => waiting.push({ method, resolve })),
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
}
