/**
 * What could not be sent yet, on disk: numbered segment files of framed batches, read and deleted strictly in order.
 *
 * frame = [payload length u32][crc32 u32 of the rest][samples u32][payload]        (big-endian)
 *
 * - A batch is safe against kill -9 of the agent once append() returned true. Nothing is synced: after a power cut the
 *   last seconds may be missing, never garbled, since a frame that does not check out ends its segment.
 * - Every start opens a new segment, so a torn tail is never written behind.
 * - `cursor` holds the first frame not acknowledged. It is written after the acknowledgement came: a kill in between
 *   sends one batch again, byte for byte, and (agent, boot, seq) inside tells whoever receives it.
 * - Beyond `maxBytes` the oldest segment goes, counted.
 */
import { closeSync, constants, ftruncateSync, mkdirSync, openSync, readdirSync, readFileSync, readSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';

export interface SpooledBatch {
  readonly payload: Buffer;
  readonly samples: number;
  readonly segment: number;
  /** Where its frame begins and the next one would. */
  readonly offset: number;
  readonly end: number;
}

export interface SpoolStats {
  batches: number;
  samples: number;
  bytes: number;
  maxBytes: number;
  droppedBatches: number;
  droppedSamples: number;
}

interface Segment {
  readonly id: number;
  readonly path: string;
  /** Bytes of whole frames. */
  bytes: number;
  /** Not acknowledged yet. */
  batches: number;
  samples: number;
}

const HEADER_BYTES = 12;
const MAX_SEGMENT_BYTES = 1 << 20;
/** A segment that is read to its end is given up from this size on, so that an idle spool stays small. */
const RECYCLE_BYTES = 64 << 10;
const CURSOR_BYTES = 48;
const SEGMENT_NAME = /^(\d{16})\.seg$/;

export class Spool {
  readonly #directory: string;
  readonly #stats: SpoolStats;
  readonly #segmentBytes: number;
  readonly #segments: Segment[] = [];
  #nextId = 1;
  #readOffset = 0;
  #writeFd = -1;
  #readFd = -1;
  #readId = 0;
  #cursorFd = -1;
  #wake: (() => void) | undefined;

  constructor(directory: string, maxBytes: number) {
    this.#directory = directory;
    this.#segmentBytes = Math.max(RECYCLE_BYTES, Math.min(MAX_SEGMENT_BYTES, Math.floor(maxBytes / 8)));
    this.#stats = { batches: 0, samples: 0, bytes: 0, maxBytes, droppedBatches: 0, droppedSamples: 0 };
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    this.#recover();
    while (this.#stats.bytes > maxBytes) this.#dropOldest();
  }

  get stats(): Readonly<SpoolStats> {
    return this.#stats;
  }

  /** false: there was no room even after dropping the oldest; the batch is counted as dropped. */
  append(payload: Buffer, samples: number): boolean {
    const frame = encodeFrame(payload, samples);
    while (this.#stats.bytes + frame.length > this.#stats.maxBytes && this.#segments.length > 0) this.#dropOldest();
    // A full disk is answered like a full spool: give up the oldest, once, then this batch.
    const stored =
      frame.length <= this.#stats.maxBytes &&
      (this.#write(frame) || (this.#segments.length > 1 && (this.#dropOldest(), this.#write(frame))));
    if (!stored) {
      this.#stats.droppedBatches++;
      this.#stats.droppedSamples += samples;
      return false;
    }
    const segment = this.#segments.at(-1)!;
    segment.bytes += frame.length;
    segment.batches++;
    segment.samples += samples;
    this.#stats.bytes += frame.length;
    this.#stats.batches++;
    this.#stats.samples += samples;
    this.#wake?.();
    return true;
  }

  /** The oldest batch not acknowledged; the same again until it is. undefined = nothing left. */
  next(): SpooledBatch | undefined {
    for (;;) {
      const segment = this.#segments[0];
      if (segment === undefined) return undefined;
      if (this.#readOffset < segment.bytes) {
        const batch = this.#readFrame(segment);
        if (batch !== undefined) return batch;
        this.#dropOldest();
      } else if (segment.id !== this.#writingId()) this.#removeOldest();
      else return undefined;
    }
  }

  /** Call only when the receiver has it for good. */
  acknowledge(batch: SpooledBatch): void {
    const segment = this.#segments[0];
    if (segment?.id !== batch.segment || this.#readOffset !== batch.offset) return;
    this.#readOffset = batch.end;
    segment.batches--;
    segment.samples -= batch.samples;
    this.#stats.batches--;
    this.#stats.samples -= batch.samples;
    const isRead = this.#readOffset >= segment.bytes;
    if (isRead && (segment.id !== this.#writingId() || segment.bytes >= RECYCLE_BYTES)) this.#removeOldest();
    this.#saveCursor();
  }

  /** Resolves when there is something to read; rejects with the signal's reason. */
  async ready(signal: AbortSignal): Promise<void> {
    while (this.next() === undefined) {
      signal.throwIfAborted();
      await new Promise<void>((resolve) => {
        const wake = () => {
          this.#wake = undefined;
          signal.removeEventListener('abort', wake);
          resolve();
        };
        this.#wake = wake;
        signal.addEventListener('abort', wake);
      });
    }
  }

  close(): void {
    this.#closeWriter();
    this.#closeReader();
    if (this.#cursorFd >= 0) closeSync(this.#cursorFd);
    this.#cursorFd = -1;
  }

  #recover(): void {
    const ids = readdirSync(this.#directory)
      .flatMap((name) => SEGMENT_NAME.exec(name)?.[1] ?? [])
      .map(Number)
      .sort((a, b) => a - b);
    const cursor = this.#loadCursor();
    for (const id of ids) {
      const path = this.#path(id);
      this.#nextId = id + 1;
      if (cursor !== undefined && id < cursor.segment) {
        rmSync(path, { force: true });
        continue;
      }
      const from = cursor?.segment === id ? cursor.offset : 0;
      const segment: Segment = { id, path, bytes: 0, batches: 0, samples: 0 };
      const content = readFileSync(path);
      for (let frame = frameAt(content, 0); frame !== undefined; frame = frameAt(content, segment.bytes)) {
        if (segment.bytes >= from) {
          segment.batches++;
          segment.samples += frame.samples;
        }
        segment.bytes = frame.end;
      }
      if (segment.batches === 0) {
        rmSync(path, { force: true });
        continue;
      }
      if (this.#segments.length === 0) this.#readOffset = from;
      this.#segments.push(segment);
      this.#stats.bytes += segment.bytes;
      this.#stats.batches += segment.batches;
      this.#stats.samples += segment.samples;
    }
    if (cursor !== undefined) this.#nextId = Math.max(this.#nextId, cursor.segment + 1);
  }

  #write(frame: Buffer): boolean {
    const segment = this.#segments.at(-1);
    if (segment !== undefined && segment.bytes + frame.length > this.#segmentBytes) this.#closeWriter();
    try {
      if (this.#writeFd < 0) this.#openWriter();
      const start = this.#segments.at(-1)!.bytes;
      let written = 0;
      while (written < frame.length) written += writeSync(this.#writeFd, frame, written, frame.length - written, start + written);
      return true;
    } catch {
      this.#abandonTail();
      return false;
    }
  }

  /** A frame written in part must not stand before the next one; if it cannot be cut off, nothing is written behind it. */
  #abandonTail(): void {
    if (this.#writeFd < 0) return;
    try {
      ftruncateSync(this.#writeFd, this.#segments.at(-1)!.bytes);
    } catch {
      this.#closeWriter();
    }
  }

  #openWriter(): void {
    mkdirSync(this.#directory, { recursive: true, mode: 0o700 });
    const id = this.#nextId;
    const path = this.#path(id);
    this.#writeFd = openSync(path, 'wx', 0o600);
    this.#nextId = id + 1;
    if (this.#segments.length === 0) this.#readOffset = 0;
    this.#segments.push({ id, path, bytes: 0, batches: 0, samples: 0 });
  }

  #writingId(): number {
    return this.#writeFd < 0 ? -1 : this.#segments.at(-1)!.id;
  }

  #readFrame(segment: Segment): SpooledBatch | undefined {
    try {
      if (this.#readId !== segment.id || this.#readFd < 0) {
        this.#closeReader();
        this.#readFd = openSync(segment.path, 'r');
        this.#readId = segment.id;
      }
      const header = Buffer.allocUnsafe(HEADER_BYTES);
      if (readSync(this.#readFd, header, 0, HEADER_BYTES, this.#readOffset) < HEADER_BYTES) return undefined;
      const length = HEADER_BYTES + header.readUInt32BE(0);
      if (this.#readOffset + length > segment.bytes) return undefined;
      const bytes = Buffer.allocUnsafe(length);
      if (readSync(this.#readFd, bytes, 0, length, this.#readOffset) < length) return undefined;
      const frame = frameAt(bytes, 0);
      if (frame === undefined) return undefined;
      const end = this.#readOffset + length;
      return { payload: bytes.subarray(HEADER_BYTES), samples: frame.samples, segment: segment.id, offset: this.#readOffset, end };
    } catch {
      return undefined;
    }
  }

  /** Gives up whatever of the oldest segment was not acknowledged. */
  #dropOldest(): void {
    const segment = this.#segments[0];
    if (segment === undefined) return;
    this.#stats.droppedBatches += segment.batches;
    this.#stats.droppedSamples += segment.samples;
    this.#removeOldest();
    this.#saveCursor();
  }

  #removeOldest(): void {
    const segment = this.#segments[0]!;
    if (segment.id === this.#writingId()) this.#closeWriter();
    if (segment.id === this.#readId) this.#closeReader();
    this.#segments.shift();
    this.#readOffset = 0;
    this.#stats.bytes -= segment.bytes;
    this.#stats.batches -= segment.batches;
    this.#stats.samples -= segment.samples;
    rmSync(segment.path, { force: true });
  }

  #saveCursor(): void {
    const position = `${String(this.#segments[0]?.id ?? this.#nextId)} ${String(this.#readOffset)}`;
    try {
      if (this.#cursorFd < 0) this.#cursorFd = openSync(join(this.#directory, 'cursor'), constants.O_RDWR | constants.O_CREAT, 0o600);
      writeSync(this.#cursorFd, `${position} ${String(crc32(position))}`.padEnd(CURSOR_BYTES), 0);
    } catch {
      // Without it the next run sends some batches again, which whoever receives them recognises.
    }
  }

  #loadCursor(): { segment: number; offset: number } | undefined {
    try {
      const [segment = '', offset = '', check = ''] = readFileSync(join(this.#directory, 'cursor'), 'utf8').split(/\s/);
      return Number(check) === crc32(`${segment} ${offset}`) ? { segment: Number(segment), offset: Number(offset) } : undefined;
    } catch {
      return undefined;
    }
  }

  #path(id: number): string {
    return join(this.#directory, `${String(id).padStart(16, '0')}.seg`);
  }

  #closeWriter(): void {
    if (this.#writeFd >= 0) closeSync(this.#writeFd);
    this.#writeFd = -1;
  }

  #closeReader(): void {
    if (this.#readFd >= 0) closeSync(this.#readFd);
    this.#readFd = -1;
  }
}

function encodeFrame(payload: Buffer, samples: number): Buffer {
  const frame = Buffer.allocUnsafe(HEADER_BYTES + payload.length);
  frame.writeUInt32BE(payload.length, 0);
  frame.writeUInt32BE(samples, 8);
  payload.copy(frame, HEADER_BYTES);
  frame.writeUInt32BE(crc32(frame.subarray(8)), 4);
  return frame;
}

/** The whole and sound frame at an offset; undefined when there is none. */
function frameAt(bytes: Buffer, offset: number): { samples: number; end: number } | undefined {
  if (offset + HEADER_BYTES > bytes.length) return undefined;
  const end = offset + HEADER_BYTES + bytes.readUInt32BE(offset);
  if (end > bytes.length || crc32(bytes.subarray(offset + 8, end)) !== bytes.readUInt32BE(offset + 4)) return undefined;
  return { samples: bytes.readUInt32BE(offset + 8), end };
}
