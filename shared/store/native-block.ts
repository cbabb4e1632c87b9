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

/** Whole numbers in [0, 2^53) as pairs of 32 bits; NaN becomes 0. */
function uint64Pairs(values: ArrayLike<number>, rows: number): Uint32Array {
  const pairs = new Uint32Array(rows * 2);
  for (let row = 0; row < rows; row++) {
    const value = values[row]!;
    pairs[row * 2] = value % TWO_POW_32;
    pairs[row * 2 + 1] = value / TWO_POW_32;
  }
  return pairs;
}

/** Milliseconds as Int64, before 1970 too. */
function int64Millis(values: ArrayLike<number>, rows: number): BigInt64Array {
  const millis = new BigInt64Array(rows);
  for (let row = 0; row < rows; row++) millis[row] = BigInt(Math.round(values[row]!));
  return millis;
}

function float64(values: ArrayLike<number>, rows: number): Float64Array {
  if (values instanceof Float64Array && values.length === rows) return values;
  const copy = new Float64Array(rows);
  for (let row = 0; row < rows; row++) copy[row] = values[row]!;
  return copy;
}

function nullMap(values: ArrayLike<number>, rows: number): Uint8Array {
  const nulls = new Uint8Array(rows);
  for (let row = 0; row < rows; row++) if (Number.isNaN(values[row]!)) nulls[row] = 1;
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

function writeStrings(writer: ByteWriter, values: readonly string[], index: Uint32Array): void {
  const encoded = values.map((text) => {
    const one = new ByteWriter(Buffer.byteLength(text) + 8);
    one.string(text);
    return one.done();
  });
  for (const value of index) writer.bytes(encoded[value]!);
}

function writeMaps(writer: ByteWriter, values: readonly Readonly<Record<string, string>>[], index: Uint32Array): void {
  const entries = values.map((map) => Object.entries(map));
  let end = 0;
  for (const value of index) writer.uint64((end += entries[value]!.length));
  for (const value of index) for (const [key] of entries[value]!) writer.string(key);
  for (const value of index) for (const [, text] of entries[value]!) writer.string(text);
}

function writeColumn(writer: ByteWriter, column: NativeColumn, rows: number): void {
  switch (column.type) {
    case 'UInt32':
      return writer.view(Uint32Array.from(column.values));
    case 'UInt64':
      return writer.view(uint64Pairs(column.values, rows));
    case 'Float64':
      return writer.view(float64(column.values, rows));
    case 'Nullable(UInt64)':
      writer.bytes(nullMap(column.values, rows));
      return writer.view(uint64Pairs(column.values, rows));
    case 'Nullable(Float64)':
      writer.bytes(nullMap(column.values, rows));
      return writer.view(float64(column.values, rows));
    case 'DateTime64(3)':
      return writer.view(int64Millis(column.values, rows));
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
