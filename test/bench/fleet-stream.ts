/**
 * The flushes of a fleet, made so that sending them costs next to nothing: what an agent says of its processes and a few sets of
 * values are encoded and compressed once; only number and times of a flush are written when it is sent. The gzip members
 * are a little larger than a sender's own (pieces do not refer to each other) and hold exactly what `encodeBatch` writes.
 */
import { constants, crc32, deflateRawSync } from 'node:zlib';
import { encodeBatch } from '../../shared/wire.ts';
import { FleetAgent, PROCESSES } from './fleet-messages.ts';

/** Sets of values an agent goes round. */
const VARIANTS = 2;

/** A part of a gzip member: blocks of deflate that refer to nothing before them. */
interface Piece {
  readonly plain: Buffer;
  readonly deflated: Buffer;
}

const GZIP_HEADER = Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3]);

function piece(text: string | Buffer, isLast = false): Piece {
  const plain = Buffer.from(text);
  return { plain, deflated: deflateRawSync(plain, isLast ? {} : { finishFlush: constants.Z_FULL_FLUSH }) };
}

/** Uncompressed, for what is short and new each time. */
function stored(plain: Buffer): Piece {
  const header = Buffer.from([0, 0, 0, 0, 0]);
  header.writeUInt16LE(plain.length, 1);
  header.writeUInt16LE(0xffff - plain.length, 3);
  return { plain, deflated: Buffer.concat([header, plain]) };
}

function gzipOf(pieces: readonly Piece[]): Buffer {
  const trailer = Buffer.alloc(8);
  let checksum = 0;
  let length = 0;
  for (const { plain } of pieces) {
    checksum = crc32(plain, checksum);
    length += plain.length;
  }
  trailer.writeUInt32LE(checksum, 0);
  trailer.writeUInt32LE(length, 4);
  return Buffer.concat([GZIP_HEADER, ...pieces.map(({ deflated }) => deflated), trailer]);
}

function zigzag(value: number): number[] {
  const bytes: number[] = [];
  let rest = value * 2;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) + 128);
  bytes.push(rest);
  return bytes;
}

/** What stands before the value in Kafka's record; after it comes NO_HEADERS. */
function recordStart(key: string, valueBytes: number): Buffer {
  const [attributes, timestampDelta, offsetDelta] = [0, 0, 0];
  const start = Buffer.from([attributes, timestampDelta, offsetDelta, ...zigzag(key.length), ...Buffer.from(key), ...zigzag(valueBytes)]);
  return Buffer.concat([Buffer.from(zigzag(start.length + valueBytes + NO_HEADERS.length)), start]);
}

const NO_HEADERS = Buffer.from([0]);

/** `record`: as the records of a batch on the bus; `body`: as the body of a request. */
export type Wrapping = 'record' | 'body';

/** Any message, compressed. */
export function wrap(key: string, value: Buffer, wrapping: Wrapping): Buffer {
  const plain = wrapping === 'body' ? value : Buffer.concat([recordStart(key, value.length), value, NO_HEADERS]);
  return gzipOf([piece(plain, true)]);
}

/** The times of a flush: the same for all agents that flush at one moment. */
export const timesAt = (time: number): Piece => piece(Array.from({ length: PROCESSES }, () => time).join(','));

export class StreamedAgent {
  readonly name: string;
  readonly #wrapping: Wrapping;
  readonly #start: string;
  /** From the processes to where the times stand. */
  readonly #processes: Piece;
  /** From behind the times to the end. */
  readonly #values: readonly Piece[];

  constructor(index: number, wrapping: Wrapping) {
    const agent = new FleetAgent(index);
    const texts = Array.from({ length: VARIANTS }, () => encodeBatch(agent.flush(0)).toString());
    const split = (text: string) => {
      const processesAt = text.indexOf(',"processes":');
      const timesFrom = text.indexOf('"time":[', processesAt) + '"time":['.length;
      return { processesAt, timesFrom, timesEnd: text.indexOf(']', timesFrom) };
    };
    const [first] = texts as [string];
    const { processesAt, timesFrom } = split(first);
    this.name = agent.name;
    this.#wrapping = wrapping;
    this.#start = first.slice(0, first.indexOf('"seq":'));
    this.#processes = piece(first.slice(processesAt, timesFrom));
    const end = wrapping === 'record' ? NO_HEADERS : Buffer.alloc(0);
    this.#values = texts.map((text) => piece(Buffer.concat([Buffer.from(text.slice(split(text).timesEnd)), end]), true));
  }

  /** Flush number `seq`, at `sentAt`. */
  flush(seq: number, sentAt: number, times: Piece): Buffer {
    const values = this.#values[seq % VARIANTS]!;
    const head = Buffer.from(`${this.#start}"seq":${seq},"sent_at":${sentAt}`);
    if (this.#wrapping === 'body') return gzipOf([stored(head), this.#processes, times, values]);
    const valueBytes = head.length + this.#processes.plain.length + times.plain.length + values.plain.length - NO_HEADERS.length;
    return gzipOf([stored(Buffer.concat([recordStart(this.name, valueBytes), head])), this.#processes, times, values]);
  }
}
