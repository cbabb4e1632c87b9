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

/** Stops at the values of each column of each block, which are to be read or passed there; returns the rows of all blocks. */
function eachColumn(bytes: Buffer, onColumn: (reader: ColumnReader, name: string, type: string, rows: number) => void): number {
  const reader = new ColumnReader(bytes);
  let total = 0;
  while (!reader.atEnd) {
    const columns = reader.varint();
    const rows = reader.varint();
    total += rows;
    for (let column = 0; column < columns; column++) onColumn(reader, reader.string(), reader.string(), rows);
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

/** Answers of numbers alone. */
export interface NumberTable {
  readonly rows: number;
  /** Fills the beginning of `into` with a column; returns that. */
  numbers(name: string, into: Float64Array): Float64Array;
}

const NUMBERS = { Float64: Float64Array, UInt32: Uint32Array } as const;

type NumberType = keyof typeof NUMBERS;

interface Piece {
  readonly bytes: Buffer;
  readonly type: NumberType;
  readonly position: number;
  readonly rows: number;
}

/** Of an answer in pieces of whole blocks. Looks where the columns lie and copies none before it is asked, so that each is copied once. */
export function decodeNumbers(answer: readonly Buffer[]): NumberTable {
  const pieces = new Map<string, Piece[]>();
  let total = 0;
  for (const bytes of answer) {
    total += eachColumn(bytes, (reader, name, type, rows) => {
      if (!isNumberType(type)) throw notRead(type);
      const piece = { bytes, type, position: reader.position, rows };
      reader.pass(rows * NUMBERS[type].BYTES_PER_ELEMENT);
      const known = pieces.get(name);
      if (known === undefined) pieces.set(name, [piece]);
      else known.push(piece);
    });
  }
  return {
    rows: total,
    numbers(name, into) {
      let filled = 0;
      for (const piece of pieces.get(name) ?? []) {
        copyPiece(piece, into.subarray(filled));
        filled += piece.rows;
      }
      return into.subarray(0, filled);
    },
  };
}

const isNumberType = (type: string): type is NumberType => type in NUMBERS;

const notRead = (type: string) =>
  new LeaklineError('LKL_ERR_STORE_REFUSED', `native answer has a column of type ${type}, which is not read here`);

/** One for all: what lies in an answer is not aligned, so it must be copied before it is widened. */
const aligned = new Uint32Array(16_384);

function copyPiece({ bytes, type, position, rows }: Piece, into: Float64Array): void {
  if (type === 'Float64') {
    new Uint8Array(into.buffer, into.byteOffset).set(bytes.subarray(position, position + rows * into.BYTES_PER_ELEMENT));
    return;
  }
  const target = new Uint8Array(aligned.buffer);
  for (let row = 0; row < rows; row += aligned.length) {
    const count = Math.min(aligned.length, rows - row);
    const from = position + row * aligned.BYTES_PER_ELEMENT;
    target.set(bytes.subarray(from, from + count * aligned.BYTES_PER_ELEMENT));
    into.set(aligned.subarray(0, count), row);
  }
}
