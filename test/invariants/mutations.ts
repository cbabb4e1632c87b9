/** Seeded ways to spoil a message: of its bytes, of its structure, of how it is compressed. */
import { gzipSync } from 'node:zlib';
import { METRIC_NAMES } from '../../shared/sample.ts';
import type { Random } from '../eval/random.ts';

type Json = Record<string, unknown>;

const DAY_MS = 86_400_000;

/** Of the bytes. */
const BYTES: readonly ((bytes: Buffer, random: Random) => Buffer)[] = [
  (bytes, random) => flipped(bytes, random, 1),
  (bytes, random) => flipped(bytes, random, 20),
  (bytes, random) => bytes.subarray(0, random.int(0, bytes.length - 1)),
  (bytes, random) => bytes.subarray(random.int(1, bytes.length)),
  (bytes, random) => {
    const at = random.int(0, bytes.length - 1);
    return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + random.int(1, 40))]);
  },
  (bytes, random) => {
    const at = random.int(0, bytes.length - 1);
    return Buffer.concat([bytes.subarray(0, at), bytes.subarray(random.int(0, at), at), bytes.subarray(at)]);
  },
  (bytes, random) => {
    const at = random.int(0, bytes.length - 1);
    const noise = Buffer.from(Array.from({ length: random.int(1, 30) }, () => random.int(0, 255)));
    return Buffer.concat([bytes.subarray(0, at), noise, bytes.subarray(at)]);
  },
  (bytes, random) => Buffer.concat([bytes, random.chance(0.5) ? bytes : Buffer.from(' \n{}')]),
  () => Buffer.alloc(0),
  (bytes) => Buffer.concat([Buffer.from('\ufeff'), bytes]),
  (_, random) => Buffer.alloc(random.int(1, 5_000), random.int(0, 255)),
  (_, random) => nested(depth(random), random.chance(0.5)),
  (bytes, random) =>
    replacedNumber(bytes, random, ['1e400', '-0', '1E5', '01', '0x10', 'NaN', 'Infinity', '-Infinity', '1.', '.5', '9'.repeat(400)]),
  (bytes, random) =>
    replacedNumber(bytes, random, ['1e3', '-1', '0.5', 'null', 'true', '"7"', '[]', '{}', '9007199254740993', '1e-400', '0.1e1']),
  // A nested value where a value stood.
  (bytes, random) => replacedNumber(bytes, random, [nested(depth(random), true).toString()]),
];

/** Numbers and texts nobody should send. */
const EVIL: readonly ((random: Random) => unknown)[] = [
  () => null,
  () => -1,
  () => 0.5,
  () => 2 ** 53,
  () => 1e300,
  () => -1e300,
  () => true,
  () => '',
  () => '12',
  (random) => 'x'.repeat(random.int(256, 3_000)),
  () => 'line\nbreak\u0000\u007f',
  () => '\ud800 half a pair',
  () => '__proto__',
  () => [],
  () => ({}),
  (random) => Array.from({ length: random.int(1, 50) }, (_, index) => index),
  () => ({ toString: 'no', valueOf: 'no', constructor: { prototype: 1 } }),
  (random) => random.int(-100, 100),
];

const evil = (random: Random): unknown => random.pick(EVIL)(random);

/** Of what it says. */
const STRUCTURE: readonly ((batch: Json, random: Random) => void)[] = [
  (batch, random) => (batch[random.pick(['v', 'agent', 'boot', 'seq', 'sent_at', 'processes', 'samples', 'exits'])] = evil(random)),
  (batch, random) => (batch['v'] = random.pick<unknown>([0, 2, 99, -1, 1.5, '1', 2 ** 53])),
  (batch, random) => remove(batch, random.pick(Object.keys(batch))),
  (batch, random) => {
    const table = part(batch, random);
    remove(table, random.pick(Object.keys(table)));
  },
  (batch, random) => {
    const table = part(batch, random);
    table[random.pick(Object.keys(table))] = evil(random);
  },
  (batch, random) => (column(batch, random).length = random.int(0, 3)),
  (batch, random) => column(batch, random).push(evil(random)),
  (batch, random) => setOne(column(batch, random), evil(random), random),
  (batch, random) => setOne(column(batch, random), evil(random), random),
  (batch, random) => setOne(samples(batch)['time'], times(random), random),
  (batch, random) => setOne(samples(batch)['time'], times(random), random),
  (batch, random) => setOne(samples(batch)['process'], random.pick<unknown>([-1, 99, 1.5, 2 ** 31, null, '0']), random),
  (batch, random) => (samples(batch)[random.pick(METRIC_NAMES)] = Array.from({ length: random.int(0, 4) }, () => evil(random))),
  (batch, random) => setOne(processes(batch)['lifetime'], random.pick(['', 'ABCDEF0123456789', 'g'.repeat(16), '0'.repeat(17)]), random),
  (batch, random) =>
    setOne(
      processes(batch)['labels'],
      Object.fromEntries(Array.from({ length: random.int(0, 80) }, (_, index) => [`l${index}`, 'v'])),
      random,
    ),
  (batch, random) =>
    setOne(
      processes(batch)['labels'],
      { [random.pick(['', '__proto__', 'line\nbreak', 'x'.repeat(300), '\ud800'])]: evil(random) },
      random,
    ),
  (batch) => (batch['unknown'] = { field: [1, { deep: true }] }),
  (batch, random) => (batch['exits'] = { process: [0, evil(random)], time: [times(random), 1], reason: ['exit', evil(random)] }),
  (batch) => {
    const { v, ...rest } = batch;
    for (const key of Object.keys(batch)) remove(batch, key);
    Object.assign(batch, rest, { v });
  },
  // Another process in the place of one that was known.
  (batch, random) => setOne(processes(batch)['service'], `service-${random.int(0, 50)}`, random),
  (batch, random) => {
    for (const table of [samples(batch), processes(batch)])
      for (const name of Object.keys(table)) if (Array.isArray(table[name])) table[name] = repeated(table[name], random.int(2, 8));
  },
];

const remove = (from: Json, key: string) => Reflect.deleteProperty(from, key);

const samples = (batch: Json): Json =>
  typeof batch['samples'] === 'object' && batch['samples'] !== null ? (batch['samples'] as Json) : {};
const processes = (batch: Json): Json =>
  typeof batch['processes'] === 'object' && batch['processes'] !== null ? (batch['processes'] as Json) : {};

const part = (batch: Json, random: Random): Json => (random.chance(0.5) ? samples(batch) : processes(batch));

function column(batch: Json, random: Random): unknown[] {
  const columns = Object.values(part(batch, random)).filter((value) => Array.isArray(value));
  return columns.length === 0 ? [] : (random.pick(columns) as unknown[]);
}

function setOne(values: unknown, value: unknown, random: Random): void {
  if (Array.isArray(values) && values.length > 0) values[random.int(0, values.length - 1)] = value;
}

const repeated = (values: readonly unknown[], times: number) => Array.from({ length: times }, () => values).flat();

/** Far from the limits, so that it does not depend on the moment whether they are refused. */
const times = (random: Random): unknown =>
  random.pick<unknown>([Date.now() + 9 * DAY_MS, Date.now() - 60 * DAY_MS, 0, -5, 1e18, 0.5, null, 'now', Date.now() - 3 * DAY_MS]);

function flipped(bytes: Buffer, random: Random, count: number): Buffer {
  const spoiled = Buffer.from(bytes);
  for (let flip = 0; flip < count; flip++) {
    const at = random.int(0, spoiled.length - 1);
    spoiled[at] = spoiled[at]! ^ (1 << random.int(0, 7));
  }
  return spoiled;
}

/** Now and then deeper than any recursion bears. */
const depth = (random: Random) => (random.chance(0.05) ? random.int(5_000, 50_000) : random.int(2, 100));

function nested(depth: number, isArray: boolean): Buffer {
  return Buffer.from(isArray ? '['.repeat(depth) + ']'.repeat(depth) : '{"a":'.repeat(depth) + '1' + '}'.repeat(depth));
}

/** One number of the text becomes something else, also what JSON.stringify would never write. */
function replacedNumber(bytes: Buffer, random: Random, values: readonly string[]): Buffer {
  const text = bytes.toString();
  const from = random.int(0, text.length - 1);
  const match = /(?<=[[,:])-?\d+(\.\d+)?(?=[\],}])/.exec(text.slice(from));
  if (match === null) return bytes.subarray(0, from);
  return Buffer.from(text.slice(0, from + match.index) + random.pick(values) + text.slice(from + match.index + match[0].length));
}

/** A message made of a sound one. */
export function spoil(sound: Buffer, random: Random): Buffer {
  if (random.chance(0.4)) return random.pick(BYTES)(sound, random);
  const batch = JSON.parse(sound.toString()) as Json;
  for (let count = random.int(1, 3); count > 0; count--) random.pick(STRUCTURE)(batch, random);
  const text = random.chance(0.1) ? JSON.stringify(batch, null, 1) : JSON.stringify(batch);
  return random.chance(0.1) ? random.pick(BYTES)(Buffer.from(text), random) : Buffer.from(text);
}

/** 64 MiB of nothing: more than is taken, in 64 KB. Made once. */
const BOMB = gzipSync(Buffer.alloc(64 << 20));

/** A body as it travels over HTTP. */
export function spoilGzip(message: Buffer, random: Random): Buffer {
  const compressed = gzipSync(message, { level: 1 });
  const kind = random.int(0, 999);
  if (kind < 2) return BOMB;
  if (kind < 300) return flipped(compressed, random, 1);
  if (kind < 500) return compressed.subarray(0, random.int(0, compressed.length - 1));
  if (kind < 600) return Buffer.concat([compressed, compressed]);
  if (kind < 700) return Buffer.concat([compressed, Buffer.from('tail')]);
  return compressed;
}
