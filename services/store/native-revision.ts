/**
 * `client_protocol_version`: clickhouse-go, and Grafana with it, reads Native answers as a server gives them to a client of
 * that revision: a few bytes before each block and after each column's type. chDB writes them without, so they go in here.
 */
import { ByteReader } from '../../shared/store/byte-reader.ts';
import { NOT_IMPLEMENTED, ProtocolError } from './exceptions.ts';

/** From here on a column says whether it is serialized in a way of its own. */
const CUSTOM_SERIALIZATION_REVISION = 54_454;
/** Field 1 (overflows) = 0, field 2 (bucket) = -1, end. */
const BLOCK_INFO = Buffer.from([1, 0, 2, 0xff, 0xff, 0xff, 0xff, 0]);
const PLAIN_SERIALIZATION = Buffer.from([0]);

const WIDTHS: readonly (readonly [RegExp, number])[] = [
  [/^(U?Int8|Bool|Enum8\(.*\)|Nothing)$/s, 1],
  [/^(U?Int16|BFloat16|Date|Enum16\(.*\))$/s, 2],
  [/^(U?Int32|Float32|Date32|DateTime(\(.*\))?|IPv4|Time)$/, 4],
  [/^(U?Int64|Float64|DateTime64\(.*\)|Time64\(.*\)|Interval\w+)$/, 8],
  [/^(U?Int128|UUID|IPv6)$/, 16],
  [/^U?Int256$/, 32],
];

function fixedWidth(type: string): number | undefined {
  const known = WIDTHS.find(([pattern]) => pattern.test(type));
  if (known !== undefined) return known[1];
  const digits = Number(/^Decimal\((\d+), \d+\)$/.exec(type)?.[1] ?? 0);
  if (digits > 0) return digits <= 9 ? 4 : digits <= 18 ? 8 : digits <= 38 ? 16 : 32;
  const bytes = /^FixedString\((\d+)\)$/.exec(type)?.[1];
  return bytes === undefined ? undefined : Number(bytes);
}

/** `a UInt8, b Tuple(String, Int8)` → both types, without the names of elements. */
function splitTypes(list: string): string[] {
  const parts = list.match(/(?:[^,(]|\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\))+/g) ?? [];
  return parts.map((part) => part.trim().replace(/^(?:\w+|`[^`]*`) (?=\S)/, ''));
}

class NativeWalk extends ByteReader {
  /** Moves past a column. The versions of all dictionaries in it stand in front of everything else. */
  column(type: string, rows: number): void {
    if (rows === 0) return;
    this.pass(8 * (type.split('LowCardinality(').length - 1));
    this.skip(type, rows);
  }

  /** Moves past `rows` values of a type. */
  skip(type: string, rows: number): void {
    const width = fixedWidth(type);
    if (width !== undefined) {
      this.pass(width * rows);
      return;
    }
    const [, family = type, inner = ''] = /^(\w+)\((.*)\)$/s.exec(type) ?? [];
    switch (family) {
      case 'String':
        for (let row = 0; row < rows; row++) this.passString();
        return;
      case 'LowCardinality':
        if (rows > 0) this.#dictionary(inner);
        return;
      case 'Nullable':
        this.pass(rows);
        this.skip(inner, rows);
        return;
      case 'SimpleAggregateFunction':
        this.skip(splitTypes(inner).at(-1) ?? '', rows);
        return;
      case 'Tuple':
        for (const element of splitTypes(inner)) this.skip(element, rows);
        return;
      case 'Array':
        this.skip(inner, this.#elements(rows));
        return;
      case 'Map':
        this.skip(`Tuple(${inner})`, this.#elements(rows));
        return;
      default:
        throw new ProtocolError(
          NOT_IMPLEMENTED,
          `columns of type ${type} are not spoken in Native with client_protocol_version: cast them`,
        );
    }
  }

  /** Width of an index (and flags), keys, indexes. */
  #dictionary(type: string): void {
    const indexBytes = 2 ** this.bytes.readUInt8(this.pass(8));
    this.skip(type.replace(/^Nullable\((.*)\)$/s, '$1'), this.#size());
    const indexes = this.#size();
    this.pass(indexBytes * indexes);
  }

  /** A number of eight bytes; the walk goes on behind it. */
  #size(): number {
    return Number(this.bytes.readBigUInt64LE(this.pass(8)));
  }

  /** Of all arrays of a column: the last of their offsets. */
  #elements(rows: number): number {
    this.pass(rows * 8);
    return rows === 0 ? 0 : Number(this.bytes.readBigUInt64LE(this.position - 8));
  }
}

export function asRevision(native: Buffer, revision: number): Buffer {
  const pieces: Buffer[] = [];
  const walk = new NativeWalk(native);
  let from = 0;
  const insert = (bytes: Buffer) => {
    pieces.push(native.subarray(from, walk.position), bytes);
    from = walk.position;
  };
  while (!walk.atEnd) {
    insert(BLOCK_INFO);
    const columns = walk.varint();
    const rows = walk.varint();
    for (let column = 0; column < columns; column++) {
      walk.string();
      const type = walk.string();
      if (revision >= CUSTOM_SERIALIZATION_REVISION) insert(PLAIN_SERIALIZATION);
      walk.column(type, rows);
    }
  }
  pieces.push(native.subarray(from));
  return Buffer.concat(pieces);
}
