/** Decodes answers in ClickHouse's `Native` format into typed arrays, for the few types our own reads ask for. */
import { LeaklineError } from '../errors.ts';
import { ByteReader } from './byte-reader.ts';

/** One value per row; of an array column one Float64Array per row (views of one buffer). */
export interface NativeTable {
  readonly rows: number;
  strings(name: string): readonly string[];
  numbers(name: string): Float64Array;
  arrays(name: string): readonly Float64Array[];
}

type Decoded = readonly string[] | Float64Array | readonly Float64Array[];

class ColumnReader extends ByteReader {
  /** Copied, as a view needs an aligned start. */
  float64s(count: number): Float64Array {
    const start = this.pass(count * 8);
    const values = new Float64Array(count);
    new Uint8Array(values.buffer).set(this.bytes.subarray(start, start + count * 8));
    return values;
  }

  uint32s(count: number): Uint32Array {
    const start = this.pass(count * 4);
    const values = new Uint32Array(count);
    new Uint8Array(values.buffer).set(this.bytes.subarray(start, start + count * 4));
    return values;
  }

  uint64s(count: number): Float64Array {
    const start = this.pass(count * 8);
    const values = new Float64Array(count);
    for (let item = 0; item < count; item++) {
      const at = start + item * 8;
      values[item] = this.bytes.readUInt32LE(at) + this.bytes.readUInt32LE(at + 4) * 4_294_967_296;
    }
    return values;
  }
}

function readColumn(reader: ColumnReader, type: string, rows: number): Decoded {
  if (type === 'String') return Array.from({ length: rows }, () => reader.string());
  if (type === 'Float64') return reader.float64s(rows);
  if (type === 'UInt64') return reader.uint64s(rows);
  if (type === 'Array(Float64)' || type === 'Array(UInt32)') {
    const ends = reader.uint64s(rows);
    const count = rows === 0 ? 0 : ends[rows - 1]!;
    const flat = type === 'Array(Float64)' ? reader.float64s(count) : new Float64Array(reader.uint32s(count));
    return Array.from(ends, (end, row) => flat.subarray(row === 0 ? 0 : ends[row - 1]!, end));
  }
  throw notRead(type);
}

const join = (blocks: readonly Decoded[]): Decoded => {
  const [first] = blocks;
  if (blocks.length === 1 && first !== undefined) return first;
  if (!(first instanceof Float64Array)) return (blocks as readonly (readonly unknown[])[]).flat() as unknown as Decoded;
  const joined = new Float64Array(blocks.reduce((total, block) => total + block.length, 0));
  let at = 0;
  for (const block of blocks as readonly Float64Array[]) {
    joined.set(block, at);
    at += block.length;
  }
  return joined;
};

/** Stops at the values of each column of each block, which are to be read there; returns the rows of all blocks. */
function eachColumn(
  bytes: Buffer,
  onColumn: (reader: ColumnReader, name: string, type: string, rows: number, rowsBefore: number) => void,
): number {
  const reader = new ColumnReader(bytes);
  let total = 0;
  while (!reader.atEnd) {
    const columns = reader.varint();
    const rows = reader.varint();
    for (let column = 0; column < columns; column++) onColumn(reader, reader.string(), reader.string(), rows, total);
    total += rows;
  }
  return total;
}

/** An answer is a sequence of blocks with the same columns. */
export function decodeNative(bytes: Buffer): NativeTable {
  const blocks = new Map<string, Decoded[]>();
  const total = eachColumn(bytes, (reader, name, type, rows) => {
    const decoded = readColumn(reader, type, rows);
    const known = blocks.get(name);
    if (known === undefined) blocks.set(name, [decoded]);
    else known.push(decoded);
  });
  const columns = new Map([...blocks].map(([name, parts]) => [name, join(parts)]));
  const column = (name: string, empty: Decoded) => columns.get(name) ?? empty;
  return {
    rows: total,
    strings: (name) => column(name, []) as readonly string[],
    numbers: (name) => column(name, new Float64Array(0)) as Float64Array,
    arrays: (name) => column(name, []) as readonly Float64Array[],
  };
}

/** Columns of numbers (moments in milliseconds UTC, NULL as NaN) that take one block after the other. */
export class NumberColumns {
  readonly #arrays = new Map<string, Float64Array>();
  #rows = 0;

  get rows(): number {
    return this.#rows;
  }

  /** Forgets all rows and keeps their room: what `numbers` gave is written over. */
  clear(): void {
    this.#rows = 0;
  }

  /** Takes over all rows of a piece of whole blocks, of which nothing is needed then. */
  add(piece: Buffer): void {
    const before = this.#rows;
    this.#rows += eachColumn(piece, (reader, name, type, rows, rowsBefore) => {
      const from = before + rowsBefore;
      readNumbers(reader, type, this.#withRoom(name, from + rows).subarray(from, from + rows));
    });
  }

  numbers(name: string): Float64Array {
    return this.#withRoom(name, this.#rows).subarray(0, this.#rows);
  }

  #withRoom(name: string, rows: number): Float64Array {
    const known = this.#arrays.get(name);
    if (known !== undefined && known.length >= rows) return known;
    const grown = new Float64Array(2 * rows);
    if (known !== undefined) grown.set(known);
    this.#arrays.set(name, grown);
    return grown;
  }
}

function readNumbers(reader: ColumnReader, type: string, into: Float64Array): void {
  const inner = /^Nullable\((.*)\)$/.exec(type)?.[1];
  if (inner === undefined) return readPlain(reader, type, into);
  const begin = reader.pass(into.length);
  const nulls = reader.bytes.subarray(begin, begin + into.length);
  readPlain(reader, inner, into);
  if (!nulls.includes(1)) return;
  for (let row = 0; row < nulls.length; row++) if (nulls[row] !== 0) into[row] = Number.NaN;
}

/** One for all: what lies in an answer is not aligned, so it must be copied before it is widened. */
const aligned = new Uint32Array(16_384);

function readPlain(reader: ColumnReader, type: string, into: Float64Array): void {
  const bytesOf = (size: number) => {
    const begin = reader.pass(size);
    return reader.bytes.subarray(begin, begin + size);
  };
  if (type === 'Float64') return new Uint8Array(into.buffer, into.byteOffset).set(bytesOf(into.byteLength));
  // A DateTime is named without its zone.
  if (type !== 'UInt32' && type !== 'DateTime') throw notRead(type);
  for (let row = 0; row < into.length; row += aligned.length) {
    const some = into.subarray(row, row + aligned.length);
    const words = aligned.subarray(0, some.length);
    new Uint8Array(aligned.buffer).set(bytesOf(words.byteLength));
    if (type === 'UInt32') some.set(words);
    else setMilliseconds(some, words);
  }
}

// A loop, as `map` of a typed array takes ten times as long.
function setMilliseconds(into: Float64Array, seconds: Uint32Array): void {
  for (let row = 0; row < into.length; row++) into[row] = seconds[row]! * 1000;
}

const notRead = (type: string) =>
  new LeaklineError('LKL_ERR_STORE_REFUSED', `native answer has a column of type ${type}, which is not read here`);
