/**
 * ClickHouse's `Native` format: columns as they stand in memory. Text formats cost the engine about ten times as much.
 * Layout: number of columns and rows (varints), then per column its name, its type and its data.
 * https://clickhouse.com/docs/interfaces/formats/Native
 */

/** Values of a column. `index` says which of `values` each row holds, so repeated strings are encoded once. */
export type NativeColumn = { readonly name: string } & (
  | { readonly type: 'UInt32' | 'UInt64' | 'Float64'; readonly values: ArrayLike<number> }
  /** NaN is NULL. */
  | { readonly type: 'Nullable(UInt64)' | 'Nullable(Float64)'; readonly values: ArrayLike<number> }
  /** Milliseconds UTC. */
  | { readonly type: 'DateTime64(3)'; readonly values: ArrayLike<number> }
  | { readonly type: 'String' | 'LowCardinality(String)'; readonly values: readonly string[]; readonly index: Uint32Array }
  | {
      readonly type: 'Map(String, String)';
      readonly values: readonly Readonly<Record<string, string>>[];
      readonly index: Uint32Array;
    }
);

export interface EncodedBlock {
  readonly columns: readonly string[];
  readonly rows: number;
  readonly body: Buffer;
}

const TWO_POW_32 = 4_294_967_296;

/** A buffer that doubles. Numbers are little-endian. */
class ByteWriter {
  #bytes: Buffer;
  #length = 0;

  constructor(capacity = 64 * 1024) {
    this.#bytes = Buffer.allocUnsafe(capacity);
  }

  #reserve(size: number): number {
    const at = this.#length;
    if (at + size > this.#bytes.length) {
      const grown = Buffer.allocUnsafe(Math.max(this.#bytes.length * 2, at + size));
      this.#bytes.copy(grown, 0, 0, at);
      this.#bytes = grown;
    }
    this.#length = at + size;
    return at;
  }

  varint(value: number): void {
    let rest = value;
    while (rest >= 128) {
      const at = this.#reserve(1);
      this.#bytes[at] = (rest % 128) + 128;
      rest = Math.floor(rest / 128);
    }
    const at = this.#reserve(1);
    this.#bytes[at] = rest;
  }

  bytes(source: Uint8Array): void {
    const at = this.#reserve(source.length);
    this.#bytes.set(source, at);
  }

  /** Room for so many bytes, to be filled by the caller at once. */
  take(size: number): Buffer {
    const at = this.#reserve(size);
    return this.#bytes.subarray(at, at + size);
  }

  view(source: ArrayBufferView): void {
    this.bytes(new Uint8Array(source.buffer, source.byteOffset, source.byteLength));
  }

  string(text: string): void {
    const size = Buffer.byteLength(text);
    this.varint(size);
    const at = this.#reserve(size);
    this.#bytes.write(text, at, size, 'utf8');
  }

  uint64(value: number): void {
    const at = this.#reserve(8);
    this.#bytes.writeUInt32LE(value % TWO_POW_32, at);
    this.#bytes.writeUInt32LE(Math.floor(value / TWO_POW_32), at + 4);
  }

  done(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }
}

/**
 * Whole numbers as pairs of 32 bits: of [0, 2^53) unsigned, of (-2^53, 0) in two's complement. NaN becomes 0.
 * `>>> 0` is the value modulo 2^32, at a tenth of the cost of `%` on doubles.
 */
function int64Pairs(values: ArrayLike<number>, rows: number): Uint32Array {
  const pairs = new Uint32Array(rows * 2);
  for (let row = 0, at = 0; row < rows; row++, at += 2) {
    const value = values[row]!;
    const low = value >>> 0;
    pairs[at] = low;
    pairs[at + 1] = (value - low) / TWO_POW_32;
  }
  return pairs;
}

function float64(values: ArrayLike<number>, rows: number): Float64Array {
  if (values instanceof Float64Array && values.length === rows) return values;
  const copy = new Float64Array(rows);
  for (let row = 0; row < rows; row++) copy[row] = values[row]!;
  return copy;
}

function nullMap(values: ArrayLike<number>, rows: number): Uint8Array {
  const nulls = new Uint8Array(rows);
  for (let row = 0; row < rows; row++) {
    const value = values[row]!;
    // NaN is the only value that differs from itself.
    if (value !== value) nulls[row] = 1;
  }
  return nulls;
}

/** Every distinct string once, then a key per row of the least width that fits. */
function writeDictionary(writer: ByteWriter, values: readonly string[], index: Uint32Array): void {
  const keyOf = new Map<string, number>();
  const keyOfValue = new Uint32Array(values.length);
  for (let value = 0; value < values.length; value++) {
    const text = values[value]!;
    let key = keyOf.get(text);
    if (key === undefined) keyOf.set(text, (key = keyOf.size));
    keyOfValue[value] = key;
  }
  const width = keyOf.size <= 256 ? 0 : keyOf.size <= 65_536 ? 1 : 2;
  const keys = width === 0 ? new Uint8Array(index.length) : width === 1 ? new Uint16Array(index.length) : new Uint32Array(index.length);
  for (let row = 0; row < index.length; row++) keys[row] = keyOfValue[index[row]!]!;
  const HAS_ADDITIONAL_KEYS = 0x200;
  const NEEDS_UPDATE = 0x400;
  writer.uint64(1);
  writer.uint64(width | HAS_ADDITIONAL_KEYS | NEEDS_UPDATE);
  writer.uint64(keyOf.size);
  for (const text of keyOf.keys()) writer.string(text);
  writer.uint64(index.length);
  writer.view(keys);
}

/** Pieces that repeat, one per row, copied from where each was written once. */
function writePieces(writer: ByteWriter, pieces: readonly Buffer[], index: Uint32Array): void {
  let size = 0;
  for (let row = 0; row < index.length; row++) size += pieces[index[row]!]!.length;
  const target = writer.take(size);
  let at = 0;
  for (let row = 0; row < index.length; row++) {
    const piece = pieces[index[row]!]!;
    // A copy call costs more than these few bytes.
    if (piece.length > 48) target.set(piece, at);
    else for (let byte = 0; byte < piece.length; byte++) target[at + byte] = piece[byte]!;
    at += piece.length;
  }
}

const written = (write: (writer: ByteWriter) => void): Buffer => {
  const writer = new ByteWriter(64);
  write(writer);
  return writer.done();
};

function writeStrings(writer: ByteWriter, values: readonly string[], index: Uint32Array): void {
  writePieces(
    writer,
    values.map((text) => written((piece) => piece.string(text))),
    index,
  );
}

function writeMaps(writer: ByteWriter, values: readonly Readonly<Record<string, string>>[], index: Uint32Array): void {
  const entries = values.map((map) => Object.entries(map));
  const ends = new Float64Array(index.length);
  let end = 0;
  for (let row = 0; row < index.length; row++) ends[row] = end += entries[index[row]!]!.length;
  writer.view(int64Pairs(ends, index.length));
  for (const side of [0, 1] as const) {
    const pieces = entries.map((pairs) =>
      written((piece) => {
        for (const pair of pairs) piece.string(pair[side]);
      }),
    );
    writePieces(writer, pieces, index);
  }
}

function writeColumn(writer: ByteWriter, column: NativeColumn, rows: number): void {
  switch (column.type) {
    case 'UInt32':
      return writer.view(Uint32Array.from(column.values));
    case 'UInt64':
      return writer.view(int64Pairs(column.values, rows));
    case 'Float64':
      return writer.view(float64(column.values, rows));
    case 'Nullable(UInt64)':
      writer.bytes(nullMap(column.values, rows));
      return writer.view(int64Pairs(column.values, rows));
    case 'Nullable(Float64)':
      writer.bytes(nullMap(column.values, rows));
      return writer.view(float64(column.values, rows));
    case 'DateTime64(3)':
      return writer.view(int64Pairs(column.values, rows));
    case 'String':
      return writeStrings(writer, column.values, column.index);
    case 'LowCardinality(String)':
      return writeDictionary(writer, column.values, column.index);
    case 'Map(String, String)':
      return writeMaps(writer, column.values, column.index);
  }
}

/** All columns must have `rows` rows; the values are trusted (the decoder of the bus has checked them). */
export function encodeNativeBlock(columns: readonly NativeColumn[], rows: number): EncodedBlock {
  const writer = new ByteWriter();
  writer.varint(columns.length);
  writer.varint(rows);
  for (const column of columns) {
    writer.string(column.name);
    writer.string(column.type);
    if (rows > 0) writeColumn(writer, column, rows);
  }
  return { columns: columns.map(({ name }) => name), rows, body: writer.done() };
}
