/**
 * POSTs JSON to an address somebody configured: the name is resolved once, the address found is checked and is the one connected to,
 * redirects are not followed, the answer is read up to a bound.
 */
import { lookup } from 'node:dns';
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { isIP, type LookupFunction } from 'node:net';
import { LeaklineError } from '../../shared/errors.ts';
import { addressProblem } from './target-address.ts';

export interface JsonPost {
  readonly url: string;
  /** Setting the address comes from: errors name it, never the address, which may be a secret. */
  readonly setting: string;
  readonly body: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly allowPrivateTargets: boolean;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

export type JsonAnswer =
  | { readonly kind: 'answer'; readonly status: number; readonly retryAfter: string | undefined; readonly text: string }
  /** `isSent`: the whole request had gone out, so the other side may have acted on it. */
  | { readonly kind: 'failure'; readonly isSent: boolean; readonly error: string };

const MOST_ANSWER_BYTES = 4096;

/** Throws LKL_ERR_TARGET_FORBIDDEN; everything that the network does is an answer. */
export function postJson(post: JsonPost): Promise<JsonAnswer> {
  const url = new URL(post.url);
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const forbidden = (problem: string) => new LeaklineError('LKL_ERR_TARGET_FORBIDDEN', `${post.setting} leads to ${problem}`);
  if (url.protocol !== 'https:' && url.protocol !== 'http:') throw forbidden(`the scheme ${url.protocol} instead of http: or https:`);
  if (isIP(host) > 0) {
    const problem = addressProblem(host, post.allowPrivateTargets);
    if (problem !== undefined) throw forbidden(problem);
  }
  const checkedLookup: LookupFunction = (hostname, options, done) => {
    lookup(hostname, { ...options, all: true }, (error, addresses) => {
      if (error !== null) return done(error, '', 0);
      const problem = addresses
        .map(({ address }) => addressProblem(address, post.allowPrivateTargets))
        .find((found) => found !== undefined);
      const [first] = addresses;
      if (problem !== undefined || first === undefined) return done(forbidden(problem ?? 'no address'), '', 0);
      if (options.all === true) done(null, addresses);
      else done(null, first.address, first.family);
    });
  };

  return new Promise((resolve, reject) => {
    let isSent = false;
    const fail = (error: NodeJS.ErrnoException | LeaklineError) => {
      if (error instanceof LeaklineError) reject(error);
      else resolve({ kind: 'failure', isSent, error: `${post.setting}: ${error.code ?? error.name}` });
    };
    const send = url.protocol === 'https:' ? httpsRequest : httpRequest;
    const body = Buffer.from(post.body);
    const outgoing = send(
      url,
      {
        method: 'POST',
        lookup: checkedLookup,
        agent: false,
        signal: AbortSignal.any([post.signal, AbortSignal.timeout(post.timeoutMs)]),
        headers: { ...post.headers, 'content-type': 'application/json', 'content-length': body.length },
      },
      (answer) => {
        const parts: Buffer[] = [];
        let size = 0;
        const { statusCode: status = 0 } = answer;
        const retryAfter = answer.headers['retry-after'];
        const finish = () => resolve({ kind: 'answer', status, retryAfter, text: Buffer.concat(parts).toString('utf8') });
        answer.on('data', (part: Buffer) => {
          size += part.length;
          if (size <= MOST_ANSWER_BYTES) parts.push(part);
          else {
            finish();
            answer.destroy();
          }
        });
        answer.on('end', finish);
        // The status has been read: that is the answer, however the body ends.
        answer.on('error', finish);
      },
    );
    outgoing.on('error', fail);
    // Written out, not merely handed over: before this the other side cannot have the whole request.
    outgoing.on('finish', () => {
      isSent = outgoing.socket?.connecting === false;
    });
    outgoing.end(body);
  });
}

/** Seconds or an HTTP date, as milliseconds from `at`. */
export function retryAfterMs(header: string | undefined, at: number): number | undefined {
  if (header === undefined) return undefined;
  const ms = /^\d+$/.test(header) ? Number(header) * 1000 : Date.parse(header) - at;
  return Number.isFinite(ms) && ms >= 0 ? Math.min(ms, 3_600_000) : undefined;
}
