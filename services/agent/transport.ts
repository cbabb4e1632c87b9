/** Where batches go: over HTTP to a gateway, or straight onto the bus. Both resolve only once the receiver has the batch for good. */
import http from 'node:http';
import https from 'node:https';
import { gunzipSync } from 'node:zlib';
import { TOPICS, type Bus } from '../../shared/bus/bus.ts';
import { LeaklineError } from '../../shared/errors.ts';

export interface Transport {
  /** For messages, without credentials. */
  readonly target: string;
  /**
   * `payload`: an encoded batch, gzipped. Throws LeaklineError; `details.retryAfterMs` where the receiver named a time.
   * Codes LKL_ERR_BATCH_…: this very batch will never be taken.
   */
  send(payload: Buffer, agentId: string, signal: AbortSignal): Promise<void>;
  close(): void;
}

const REQUEST_TIMEOUT_MS = 30_000;
const MAX_ANSWER_BYTES = 2048;

interface Answer {
  readonly status: number;
  readonly retryAfterMs: number | undefined;
  readonly text: string;
}

export interface HttpTransportOptions {
  /** `https://leakline.example:8420`; a path in it is a prefix. */
  readonly url: string;
  /** Ingest token; '' = none. */
  readonly token: string;
}

/** One connection, kept alive: batches go in order anyway. Throws LKL_ERR_CONFIG when the address is none. */
export function httpTransport(options: HttpTransportOptions): Transport {
  const url = samplesUrl(options.url);
  const client = url.protocol === 'https:' ? https : http;
  const connections = new client.Agent({ keepAlive: true, maxSockets: 1, keepAliveMsecs: 30_000 });
  const headers = {
    'content-type': 'application/json',
    'content-encoding': 'gzip',
    ...(options.token === '' ? {} : { authorization: `Bearer ${options.token}` }),
  };

  const post = (payload: Buffer, signal: AbortSignal): Promise<Answer> =>
    new Promise((resolve, reject) => {
      const request = client.request(url, {
        method: 'POST',
        agent: connections,
        headers: { ...headers, 'content-length': payload.length },
        signal,
      });
      const timer = setTimeout(() => {
        request.destroy(new Error(`no answer within ${String(REQUEST_TIMEOUT_MS / 1000)} s`));
      }, REQUEST_TIMEOUT_MS);
      request.on('close', () => clearTimeout(timer));
      request.on('error', reject);
      request.on('response', (response) => {
        const chunks: Buffer[] = [];
        let bytes = 0;
        response.on('data', (chunk: Buffer) => {
          if (bytes < MAX_ANSWER_BYTES) chunks.push(chunk);
          bytes += chunk.length;
        });
        response.on('error', reject);
        response.on('end', () => {
          const text = Buffer.concat(chunks).toString('utf8', 0, MAX_ANSWER_BYTES);
          resolve({ status: response.statusCode ?? 0, retryAfterMs: retryAfterMs(response.headers['retry-after']), text });
        });
      });
      request.end(payload);
    });

  return {
    target: url.origin,
    async send(payload, _agentId, signal) {
      let answer: Answer;
      try {
        answer = await post(payload, signal);
      } catch (error) {
        signal.throwIfAborted();
        throw new LeaklineError(
          'LKL_ERR_UNREACHABLE',
          `${url.origin} does not answer: ${error instanceof Error ? error.message : String(error)}`,
          {
            cause: error,
          },
        );
      }
      if (answer.status < 200 || answer.status > 299) throw refusal(url.origin, answer);
    },
    close: () => connections.destroy(),
  };
}

function samplesUrl(address: string): URL {
  const url = URL.canParse(address) ? new URL(address) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol) || url.username !== '' || url.password !== '') {
    throw new LeaklineError('LKL_ERR_CONFIG', 'agent.to: must be http://HOST:PORT or https://HOST:PORT; the token goes into agent.token');
  }
  url.pathname = `${url.pathname.replace(/\/+$/, '')}/v1/samples`;
  url.search = '';
  return url;
}

/** Seconds, as gateways send it; a date is left to the ordinary back-off. */
function retryAfterMs(header: string | undefined): number | undefined {
  const seconds = Number(header);
  return header === undefined || !Number.isFinite(seconds) || seconds < 0 ? undefined : Math.min(seconds * 1000, 300_000);
}

function refusal(origin: string, { status, retryAfterMs: waitMs, text }: Answer): LeaklineError {
  const details = { status, ...(waitMs === undefined ? {} : { retryAfterMs: waitMs }) };
  const said = text.replace(/\s+/g, ' ').slice(0, 200);
  switch (status) {
    case 401:
    case 403:
      return new LeaklineError(
        'LKL_ERR_UNAUTHORIZED',
        `${origin} refuses the token (${String(status)}): set agent.token to an ingest token it knows`,
        { details },
      );
    case 400:
    case 415:
    case 422:
      return new LeaklineError('LKL_ERR_BATCH_MALFORMED', `${origin} refuses the batch (${String(status)}): ${said}`, { details });
    case 413:
      return new LeaklineError('LKL_ERR_BATCH_TOO_LARGE', `${origin} refuses the batch as too large: raise gateway.maxBodySize`, {
        details,
      });
    default:
      return new LeaklineError('LKL_ERR_UNREACHABLE', `${origin} answers ${String(status)}: ${said}`, { details });
  }
}

/** The bus compresses by itself and shows plain JSON to `kcat`, so the batch is inflated first. Closing the bus is up to its owner. */
export function busTransport(bus: Pick<Bus, 'publish'>, target: string): Transport {
  return {
    target,
    send: (payload, agentId) => bus.publish(TOPICS.samples, [{ key: agentId, value: gunzipSync(payload) }]),
    close: () => undefined,
  };
}
