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
    const values = new Float64Array(count);
    new Uint8Array(values.buffer).set(this.bytes.subarray(this.position, this.position + count * 8));
    this.position += count * 8;
    return values;
  }

  uint32s(count: number): Uint32Array {
    const values = new Uint32Array(count);
    new Uint8Array(values.buffer).set(this.bytes.subarray(this.position, this.position + count * 4));
    this.position += count * 4;
    return values;
  }

  uint64s(count: number): Float64Array {
    const values = new Float64Array(count);
    for (let item = 0; item < count; item++) {
      values[item] = this.bytes.readUInt32LE(this.position) + this.bytes.readUInt32LE(this.position + 4) * 4_294_967_296;
      this.position += 8;
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

/** An answer is a sequence of blocks with the same columns. */
export function decodeNative(bytes: Buffer): NativeTable {
  const reader = new ColumnReader(bytes);
  const blocks = new Map<string, Decoded[]>();
  let total = 0;
  while (!reader.atEnd) {
    const columns = reader.varint();
    const rows = reader.varint();
    total += rows;
    for (let column = 0; column < columns; column++) {
      const name = reader.string();
      const type = reader.string();
      const known = blocks.get(name);
      const decoded = readColumn(reader, type, rows);
      if (known === undefined) blocks.set(name, [decoded]);
      else known.push(decoded);
    }
  }
  const columns = new Map([...blocks].map(([name, parts]) => [name, join(parts)]));
  const column = (name: string, empty: Decoded) => columns.get(name) ?? empty;
  return {
    rows: total,
    strings: (name) => column(name, []) as readonly string[],
    numbers: (name) => column(name, new Float64Array(0)) as Float64Array,
    arrays: (name) => column(name, []) as readonly Float64Array[],
  };
}

/** Answers of numbers alone, each column in one piece. */
export interface NumberTable {
  numbers(name: string): Float64Array | Uint32Array;
}

const NUMBERS = { Float64: Float64Array, UInt32: Uint32Array } as const;

type NumberType = keyof typeof NUMBERS;

interface Piece {
  readonly type: NumberType;
  readonly position: number;
  readonly rows: number;
}

/** Looks where the pieces lie before it copies any, so that each is copied once. */
export function decodeNumbers(bytes: Buffer): NumberTable {
  const reader = new ColumnReader(bytes);
  const pieces = new Map<string, Piece[]>();
  while (!reader.atEnd) {
    const columns = reader.varint();
    const rows = reader.varint();
    for (let column = 0; column < columns; column++) {
      const name = reader.string();
      const type = reader.string();
      if (!isNumberType(type)) throw notRead(type);
      const piece = { type, position: reader.position, rows };
      reader.position += rows * NUMBERS[type].BYTES_PER_ELEMENT;
      const known = pieces.get(name);
      if (known === undefined) pieces.set(name, [piece]);
      else known.push(piece);
    }
  }
  return { numbers: (name) => inOnePiece(bytes, pieces.get(name) ?? []) };
}

const isNumberType = (type: string): type is NumberType => type in NUMBERS;

const notRead = (type: string) =>
  new LeaklineError('LKL_ERR_STORE_REFUSED', `native answer has a column of type ${type}, which is not read here`);

function inOnePiece(bytes: Buffer, pieces: readonly Piece[]): Float64Array | Uint32Array {
  const Numbers = NUMBERS[pieces[0]?.type ?? 'Float64'];
  const values = new Numbers(pieces.reduce((total, { rows }) => total + rows, 0));
  const target = new Uint8Array(values.buffer);
  let filled = 0;
  for (const { position, rows } of pieces) {
    const size = rows * Numbers.BYTES_PER_ELEMENT;
    target.set(bytes.subarray(position, position + size), filled);
    filled += size;
  }
  return values;
}
