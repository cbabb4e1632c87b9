/**
 * ClickHouse's `Native` format: columns as they stand in memory. Text formats cost the engine about ten times as much.
 * Layout: number of columns and rows (varints), then per column its name, its type and its data.
 * https://clickhouse.com/docs/interfaces/formats/Native
 */
import { LeaklineError } from '../errors.ts';

export type NativeColumn = { readonly name: string } & (
  | { readonly type: 'UInt32' | 'UInt64' | 'Float64'; readonly values: ArrayLike<number> }
  /** NaN is NULL. */
  | { readonly type: 'Nullable(UInt64)' | 'Nullable(Float64)'; readonly values: ArrayLike<number> }
  /** Seconds, kept to the nanosecond. NaN is NULL, as is what no process can have spent: more than 292 years. */
  | { readonly type: 'Nullable(Decimal(18, 9))'; readonly values: ArrayLike<number> }
  /** Milliseconds UTC. */
  | { readonly type: 'DateTime64(3)'; readonly values: ArrayLike<number> }
  | { readonly type: 'String'; readonly values: readonly string[] }
  /** `words[keys[row]]` is the value of a row; the words are distinct. */
  | { readonly type: 'LowCardinality(String)'; readonly words: readonly string[]; readonly keys: Uint32Array }
  /** What stands encoded already, in pieces. */
  | { readonly type: 'String' | 'Map(String, String)'; readonly write: (writer: NativeWriter) => void }
);

export interface EncodedBlock {
  readonly columns: readonly string[];
  readonly rows: number;
  readonly body: Buffer;
}

const TWO_POW_32 = 4_294_967_296;
/** Seconds that so many nanoseconds are. */
const TWO_POW_63_NS = 9.2e9;

/** Low and high halves of whole numbers on their way. */
const PAIRS = new Uint32Array(8192);

/** A buffer that doubles. Numbers are little-endian. */
export class NativeWriter {
  #bytes: Buffer;
  #length = 0;

  constructor(capacity: number) {
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

  /**
   * Whole numbers in 64 bits: of [0, 2^63) unsigned, of (-2^53, 0) in two's complement. NaN becomes 0.
   * `>>> 0` is the value modulo 2^32, at a tenth of the cost of `%` on doubles. In pieces that stay in the processor's cache and are
   * written over: an array of its own for every column is 8 bytes a value more to ask for.
   */
  int64s(values: ArrayLike<number>): void {
    for (let from = 0; from < values.length; from += PAIRS.length / 2) {
      const to = Math.min(values.length, from + PAIRS.length / 2);
      for (let row = from, at = 0; row < to; row++, at += 2) {
        const value = values[row]!;
        const low = value >>> 0;
        PAIRS[at] = low;
        PAIRS[at + 1] = (value - low) / TWO_POW_32;
      }
      this.view(PAIRS.subarray(0, (to - from) * 2));
    }
  }

  float64s(values: ArrayLike<number>): void {
    this.view(values instanceof Float64Array ? values : Float64Array.from(values));
  }

  /** 1 where the value is NaN, the only one that differs from itself. */
  nulls(values: ArrayLike<number>): void {
    const nulls = this.take(values.length);
    for (let row = 0; row < values.length; row++) {
      const value = values[row]!;
      nulls[row] = value === value ? 0 : 1;
    }
  }

  /** Every distinct string once, then a key per row of the least width that fits. */
  dictionary(words: readonly string[], keys: Uint32Array): void {
    const HAS_ADDITIONAL_KEYS = 0x200;
    const NEEDS_UPDATE = 0x400;
    const width = words.length <= 256 ? 0 : words.length <= 65_536 ? 1 : 2;
    this.uint64(1);
    this.uint64(width | HAS_ADDITIONAL_KEYS | NEEDS_UPDATE);
    this.uint64(words.length);
    for (const word of words) this.string(word);
    this.uint64(keys.length);
    this.view(width === 0 ? Uint8Array.from(keys) : width === 1 ? Uint16Array.from(keys) : keys);
  }

  done(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }
}

function writeColumn(writer: NativeWriter, column: NativeColumn): void {
  if ('write' in column) return column.write(writer);
  switch (column.type) {
    case 'UInt32':
      return writer.view(Uint32Array.from(column.values));
    case 'UInt64':
    case 'DateTime64(3)':
      return writer.int64s(column.values);
    case 'Float64':
      return writer.float64s(column.values);
    case 'Nullable(UInt64)':
      writer.nulls(column.values);
      return writer.int64s(column.values);
    case 'Nullable(Decimal(18, 9))': {
      const nanoseconds = Float64Array.from(column.values, (seconds) => (seconds < TWO_POW_63_NS ? Math.round(seconds * 1e9) : NaN));
      writer.nulls(nanoseconds);
      return writer.int64s(nanoseconds);
    }
    case 'Nullable(Float64)':
      writer.nulls(column.values);
      return writer.float64s(column.values);
    case 'String':
      for (const text of column.values) writer.string(text);
      return;
    case 'LowCardinality(String)':
      return writer.dictionary(column.words, column.keys);
  }
}

/** undefined: written in pieces, which cannot be counted here. */
const rowsOf = (column: NativeColumn): number | undefined => {
  if ('write' in column) return undefined;
  return column.type === 'LowCardinality(String)' ? column.keys.length : column.values.length;
};

/**
 * The values are trusted (the decoder of the bus has checked them), their number is not: a column too long or too short would be
 * read as the beginning of the next. `capacity`: about how many bytes.
 */
export function encodeNativeBlock(columns: readonly NativeColumn[], rows: number, capacity = 64 * 1024): EncodedBlock {
  const writer = new NativeWriter(capacity);
  writer.varint(columns.length);
  writer.varint(rows);
  for (const column of columns) {
    const length = rowsOf(column);
    if (length !== undefined && length !== rows) {
      throw new LeaklineError(
        'LKL_ERR_ROWS_REFUSED',
        `column ${column.name} has ${length} values for ${rows} rows: a defect, nothing was sent`,
      );
    }
    writer.string(column.name);
    writer.string(column.type);
    if (rows > 0) writeColumn(writer, column);
  }
  return { columns: columns.map(({ name }) => name), rows, body: writer.done() };
}
