/**
 * CityHash128 as of its version 1.0.2, which ClickHouse's compressed blocks carry as their checksum; later versions differ.
 * No kept package has it. Tested against blocks the engine wrote.
 */

const K0 = 0xc3a5c85c97cb3127n;
const K1 = 0xb492b66fbe98f273n;
const K2 = 0x9ae16a3b2f90404fn;
const K3 = 0xc949d7c7509e6557n;
const MULTIPLIER = 0x9ddfea08eb382d69n;

type Pair = readonly [low: bigint, high: bigint];

const u64 = (value: bigint) => BigInt.asUintN(64, value);
const rotate = (value: bigint, bits: bigint) => u64((value >> bits) | (value << (64n - bits)));
const shiftMix = (value: bigint) => value ^ (value >> 47n);

function mix(low: bigint, high: bigint): bigint {
  const first = shiftMix(u64((low ^ high) * MULTIPLIER));
  return u64(shiftMix(u64((high ^ first) * MULTIPLIER)) * MULTIPLIER);
}

/** For what is left of a short input: 0 to 16 bytes. */
function hashShort(data: Buffer): bigint {
  const { length } = data;
  const size = BigInt(length);
  if (length > 8) {
    const last = data.readBigUInt64LE(length - 8);
    return mix(data.readBigUInt64LE(0), rotate(u64(last + size), size)) ^ last;
  }
  if (length >= 4) return mix(size + (BigInt(data.readUInt32LE(0)) << 3n), BigInt(data.readUInt32LE(length - 4)));
  if (length === 0) return K2;
  const head = BigInt(data[0]! + (data[length >> 1]! << 8));
  const tail = BigInt(length + (data[length - 1]! << 2));
  return u64(shiftMix(u64(head * K2) ^ u64(tail * K3)) * K2);
}

function hashBelow128(data: Buffer, [low, high]: Pair): Pair {
  const { length } = data;
  let [a, b] = [low, high];
  let c: bigint;
  let d: bigint;
  if (length <= 16) {
    a = u64(shiftMix(u64(a * K1)) * K1);
    c = u64(b * K1 + hashShort(data));
    d = shiftMix(u64(a + (length >= 8 ? data.readBigUInt64LE(0) : c)));
  } else {
    c = mix(u64(data.readBigUInt64LE(length - 8) + K1), a);
    d = mix(u64(b + BigInt(length)), u64(c + data.readBigUInt64LE(length - 16)));
    a = u64(a + d);
    for (let at = 0; at < length - 16; at += 16) {
      a = u64((a ^ u64(shiftMix(u64(data.readBigUInt64LE(at) * K1)) * K1)) * K1);
      b ^= a;
      c = u64((c ^ u64(shiftMix(u64(data.readBigUInt64LE(at + 8) * K1)) * K1)) * K1);
      d ^= c;
    }
  }
  a = mix(a, c);
  b = mix(d, b);
  return [a ^ b, mix(b, a)];
}

function weakHash32(data: Buffer, at: number, first: bigint, second: bigint): Pair {
  const z = data.readBigUInt64LE(at + 24);
  const a = u64(first + data.readBigUInt64LE(at));
  const sum = u64(a + data.readBigUInt64LE(at + 8) + data.readBigUInt64LE(at + 16));
  return [u64(sum + z), u64(rotate(u64(second + a + z), 21n) + rotate(sum, 44n) + a)];
}

function hashLong(data: Buffer, [low, high]: Pair): Pair {
  let [x, y, z] = [low, high, u64(BigInt(data.length) * K1)];
  const v0 = u64(rotate(y ^ K1, 49n) * K1 + data.readBigUInt64LE(0));
  let v: Pair = [v0, u64(rotate(v0, 42n) * K1 + data.readBigUInt64LE(8))];
  let w: Pair = [u64(rotate(u64(y + z), 35n) * K1 + x), u64(rotate(u64(x + data.readBigUInt64LE(88)), 53n) * K1)];
  const whole = data.length - (data.length % 128);
  for (let at = 0; at < whole; at += 64) {
    x = u64(rotate(u64(x + y + v[0] + data.readBigUInt64LE(at + 16)), 37n) * K1) ^ w[1];
    y = u64(rotate(u64(y + v[1] + data.readBigUInt64LE(at + 48)), 42n) * K1) ^ v[0];
    z = rotate(z ^ w[0], 33n);
    v = weakHash32(data, at, u64(v[1] * K1), u64(x + w[0]));
    w = weakHash32(data, at + 32, u64(z + w[1]), y);
    [z, x] = [x, z];
  }
  y = u64(y + rotate(w[0], 37n) * K0 + z);
  x = u64(x + rotate(u64(v[0] + z), 49n) * K0);
  // The rest in chunks of 32 bytes from the end; the last of them reaches back into what was hashed already.
  for (let done = 32; done < data.length - whole + 32; done += 32) {
    const at = data.length - done;
    y = u64(rotate(u64(y - x), 42n) * K0 + v[1]);
    const w0 = u64(w[0] + data.readBigUInt64LE(at + 16));
    x = u64(rotate(x, 49n) * K0 + w0);
    w = [u64(w0 + v[0]), w[1]];
    v = weakHash32(data, at, v[0], v[1]);
  }
  x = mix(x, v[0]);
  y = mix(y, w[0]);
  return [u64(mix(u64(x + v[1]), w[1]) + y), mix(u64(x + w[1]), u64(y + v[1]))];
}

function seedAndRest(data: Buffer): [Pair, Buffer] {
  const { length } = data;
  if (length >= 16) return [[data.readBigUInt64LE(0) ^ K3, data.readBigUInt64LE(8)], data.subarray(16)];
  if (length < 8) return [[K0, K1], data];
  return [[data.readBigUInt64LE(0) ^ u64(BigInt(length) * K0), data.readBigUInt64LE(length - 8) ^ K1], data.subarray(length)];
}

/** 16 bytes, as they stand in front of a compressed block. */
export function cityHash128(data: Buffer): Buffer {
  const [seed, rest] = seedAndRest(data);
  const [low, high] = rest.length < 128 ? hashBelow128(rest, seed) : hashLong(rest, seed);
  const hash = Buffer.alloc(16);
  hash.writeBigUInt64LE(low, 0);
  hash.writeBigUInt64LE(high, 8);
  return hash;
}
