/** What ClickHouse's `Native` format is made of, byte by byte. */
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
      const byte = this.bytes.readUInt8(this.position++);
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
  }

  string(): string {
    const from = this.skipString();
    return this.bytes.toString('utf8', from, this.position);
  }

  /** Where it begins. */
  skipString(): number {
    const length = this.varint();
    this.position += length;
    return this.position - length;
  }
}
