/**
 * ClickHouse's own compression (`compress=1`, `decompress=1`): blocks of
 * checksum (16 bytes) · method (1) · size with these nine bytes (4) · size before compression (4) · data.
 */
import { Transform, type TransformCallback } from 'node:stream';
import { compressSync, uncompressSync } from 'lz4-napi';
import { cityHash128 } from './city-hash.ts';
import { CANNOT_DECOMPRESS, CHECKSUM_DOESNT_MATCH, NOT_IMPLEMENTED, ProtocolError, UNEXPECTED_END } from './exceptions.ts';

const CHECKSUM_BYTES = 16;
const HEADER_BYTES = 9;
/** Where lz4-napi's own size prefix, the same four bytes, begins. */
const SIZE_AT = 5;
const LZ4 = 0x82;
const NONE = 0x02;
const BLOCK_BYTES = 1024 * 1024;
/** As ClickHouse's own limit on one block. */
const MAX_BLOCK_BYTES = 64 * 1024 * 1024;

function compressBlock(data: Buffer): Buffer[] {
  const packed = compressSync(data);
  const head = Buffer.alloc(SIZE_AT);
  head[0] = LZ4;
  head.writeUInt32LE(packed.length + SIZE_AT, 1);
  const block = Buffer.concat([head, packed]);
  return [cityHash128(block), block];
}

export function compressBlocks(data: Buffer): Buffer {
  const blocks: Buffer[] = [];
  for (let at = 0; at < data.length; at += BLOCK_BYTES) blocks.push(...compressBlock(data.subarray(at, at + BLOCK_BYTES)));
  return Buffer.concat(blocks);
}

function decompressBlock(checksum: Buffer, block: Buffer): Buffer {
  if (!cityHash128(block).equals(checksum)) {
    throw new ProtocolError(CHECKSUM_DOESNT_MATCH, 'a compressed block does not match its checksum: it was damaged on the way');
  }
  if (block[0] === NONE) return block.subarray(HEADER_BYTES);
  if (block[0] !== LZ4) throw new ProtocolError(NOT_IMPLEMENTED, `compression method ${String(block[0])} is not spoken here: use LZ4`);
  try {
    return uncompressSync(block.subarray(SIZE_AT));
  } catch {
    throw new ProtocolError(CANNOT_DECOMPRESS, 'a compressed block cannot be read as LZ4');
  }
}

/** Takes bytes as they come; what it holds back is less than a block. */
export class BlockDecompressor extends Transform {
  #held: Buffer = Buffer.alloc(0);

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    this.#held = Buffer.concat([this.#held, chunk]);
    try {
      while (this.#held.length >= CHECKSUM_BYTES + HEADER_BYTES) {
        const packed = this.#held.readUInt32LE(CHECKSUM_BYTES + 1);
        const unpacked = this.#held.readUInt32LE(CHECKSUM_BYTES + SIZE_AT);
        if (packed < HEADER_BYTES || packed > MAX_BLOCK_BYTES || unpacked > MAX_BLOCK_BYTES) {
          throw new ProtocolError(
            CANNOT_DECOMPRESS,
            `a compressed block says it has ${packed} bytes for ${unpacked}: at most ${MAX_BLOCK_BYTES}`,
          );
        }
        const end = CHECKSUM_BYTES + packed;
        if (this.#held.length < end) break;
        this.push(decompressBlock(this.#held.subarray(0, CHECKSUM_BYTES), this.#held.subarray(CHECKSUM_BYTES, end)));
        this.#held = this.#held.subarray(end);
      }
      done();
    } catch (error) {
      done(error as Error);
    }
  }

  override _flush(done: TransformCallback): void {
    done(this.#held.length === 0 ? null : new ProtocolError(UNEXPECTED_END, 'the body ends within a compressed block'));
  }
}
