/** What ClickHouse's `Native` format is made of, byte by byte. */
import { LeaklineError } from '../errors.ts';

export class ByteReader {
  readonly bytes: Buffer;
  position = 0;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }

  get atEnd(): boolean {
    return this.position >= this.bytes.length;
  }

  varint(): number {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = this.bytes[this.pass(1)]!;
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
  }

  string(): string {
    const from = this.passString();
    return this.bytes.toString('utf8', from, this.position);
  }

  /** Where it begins. */
  passString(): number {
    return this.pass(this.varint());
  }

  /** Goes on behind so many bytes; returns where they begin. An answer that was cut off has fewer than it says. */
  pass(size: number): number {
    const start = this.position;
    if (start + size > this.bytes.length)
      throw new LeaklineError(
        'LKL_ERR_STORE_REFUSED',
        `native answer ends after ${String(this.bytes.length)} bytes, in the middle of a block`,
      );
    this.position += size;
    return start;
  }
}
