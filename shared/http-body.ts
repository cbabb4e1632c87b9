/**
 * Request bodies, inflated while they stream in under three caps: bytes as sent, bytes after decompression,
 * and bytes held by all requests together. A zip bomb costs one chunk more than the cap, never its full size.
 */
import { Transform, pipeline, type Duplex, type Readable } from 'node:stream';
import zlib from 'node:zlib';
import { LeaklineError } from './errors.ts';

export interface BodyLimits {
  readonly maxBodyBytes: number;
  readonly maxInflatedBytes: number;
}

/** Body bytes all requests may hold at once; whoever comes beyond it is asked to come again. */
export class BodyBudget {
  readonly maxBytes: number;
  heldBytes = 0;

  constructor(maxBytes: number) {
    this.maxBytes = maxBytes;
  }

  /** The reservation of one request; `release` gives back all of it and is safe to call twice. */
  open(): { take(bytes: number): boolean; release(): void } {
    let taken = 0;
    let closed = false;
    return {
      take: (bytes) => {
        if (closed || this.heldBytes + bytes > this.maxBytes) return false;
        this.heldBytes += bytes;
        taken += bytes;
        return true;
      },
      release: () => {
        this.heldBytes -= taken;
        taken = 0;
        closed = true;
      },
    };
  }
}

/** The decompressor of a Content-Encoding; null = none needed. zstd exists from Node 22.15 on. Throws LKL_ERR_MEDIA_TYPE. */
function createInflater(encoding: string): Duplex | null {
  switch (encoding) {
    case 'identity':
      return null;
    case 'gzip':
    case 'x-gzip':
      return zlib.createGunzip();
    case 'deflate':
      return zlib.createInflate();
    case 'zstd': {
      const create = (zlib as { createZstdDecompress?: () => Duplex }).createZstdDecompress;
      if (create !== undefined) return create();
    }
  }
  throw new LeaklineError(
    'LKL_ERR_MEDIA_TYPE',
    `Content-Encoding ${JSON.stringify(encoding.slice(0, 40))} is not supported: send gzip, deflate or none`,
  );
}

const tooLarge = (rule: string, maxBytes: number) =>
  new LeaklineError('LKL_ERR_REQUEST_TOO_LARGE', `request body is larger than ${maxBytes} bytes ${rule}: send smaller batches`);

/** What fastify compares with Content-Length, which counts bytes as sent. */
type BodyStream = Readable & { receivedEncodedLength: number };

/**
 * The inflated body. Fails with a LeaklineError; `payload` itself is never destroyed, so the answer can still be sent.
 * `take` reserves inflated bytes from the common budget.
 */
export function inflateBody(payload: Readable, encoding: string, limits: BodyLimits, take: (bytes: number) => boolean): BodyStream {
  const inflater = createInflater(encoding.trim().toLowerCase());
  let inflatedBytes = 0;
  const counted = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      inflatedBytes += chunk.length;
      if (inflatedBytes > limits.maxInflatedBytes) done(tooLarge('after decompression', limits.maxInflatedBytes));
      else if (!take(chunk.length)) done(new LeaklineError('LKL_ERR_BUSY', 'too many request bodies are held in memory: send again later'));
      else done(null, chunk);
    },
  });
  const body = Object.assign(counted, { receivedEncodedLength: 0 });
  // fastify may have refused the request by its headers and not be listening any more.
  body.on('error', () => undefined);
  payload.on('data', (chunk: Buffer) => {
    body.receivedEncodedLength += chunk.length;
    if (body.receivedEncodedLength > limits.maxBodyBytes) body.destroy(tooLarge('as sent', limits.maxBodyBytes));
  });
  const broken = (cause: unknown) =>
    body.destroy(new LeaklineError('LKL_ERR_REQUEST_MALFORMED', 'request body broke off before its end', { cause }));
  payload.once('error', broken);
  payload.once('aborted', broken);
  if (inflater === null) {
    payload.pipe(body);
    return body;
  }
  inflater.once('error', (cause) => {
    body.destroy(new LeaklineError('LKL_ERR_REQUEST_MALFORMED', `request body is not valid ${encoding}`, { cause }));
  });
  payload.pipe(inflater);
  pipeline(inflater, body, () => undefined);
  return body;
}
