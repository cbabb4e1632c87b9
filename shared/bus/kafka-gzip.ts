/**
 * Gzip for Kafka's record batches, with a limit on what comes out. A batch beyond it is replaced by empty records, which
 * are unreadable messages to whoever takes them: kafkajs would otherwise inflate without limit, and an error here would
 * stop the partition for ever.
 */
import { promisify } from 'node:util';
import { gunzip, gzip } from 'node:zlib';
import kafkajs from 'kafkajs';

/** Publishers here send 0.9 MB a request; one message may be 32 MiB by itself. */
const INFLATED_BYTES = 64 * 1024 * 1024;
/** More records than a batch below max.message.bytes of a few MB can sensibly hold. */
const SUBSTITUTES = 200_000;

const compress = promisify<Buffer, Buffer>(gzip);
const inflate = promisify<Buffer, { maxOutputLength: number }, Buffer>(gunzip);

/** https://kafka.apache.org/documentation/#record: attributes, timestamp, offset, key, value, headers; numbers zig-zag. */
function emptyRecord(offsetDelta: number): number[] {
  const offset: number[] = [];
  let rest = offsetDelta * 2;
  for (; rest >= 128; rest = Math.floor(rest / 128)) offset.push((rest % 128) + 128);
  offset.push(rest);
  const none = 1;
  const body = [0, 0, ...offset, none, none, 0];
  return [body.length * 2, ...body];
}

let substitutes: Buffer | undefined;

export const gzipCodec = {
  compress: (encoder: { readonly buffer: Buffer }) => compress(encoder.buffer),
  decompress: async (compressed: Buffer): Promise<Buffer> => {
    try {
      return await inflate(compressed, { maxOutputLength: INFLATED_BYTES });
    } catch (error) {
      if (Reflect.get(Object(error) as object, 'code') !== 'ERR_BUFFER_TOO_LARGE') throw error;
      return (substitutes ??= Buffer.from(Array.from({ length: SUBSTITUTES }, (_, index) => emptyRecord(index)).flat()));
    }
  },
};

kafkajs.CompressionCodecs[kafkajs.CompressionTypes.GZIP] = () => gzipCodec;
