/**
 * Identities of processes as columns that are encoded already: an agent names the same processes flush after flush, so what
 * was encoded once is only copied into the blocks that follow.
 */
import type { Batch } from '../sample.ts';
import { NativeWriter } from './native-block.ts';

/** Encoded values one after the other; the one of process `index` ends at `ends[index]`. */
export interface Pieces {
  readonly bytes: Buffer;
  readonly ends: Uint32Array;
}

export const WORD_COLUMNS = ['service', 'environment', 'version', 'host', 'runtime'] as const;

export type WordColumn = (typeof WORD_COLUMNS)[number];

/** A column with few distinct values: `words[keys[index]]` is that of process `index`. */
interface Words {
  readonly words: readonly string[];
  readonly keys: Uint16Array;
}

export interface ProcessTable {
  readonly count: number;
  readonly words: Readonly<Record<WordColumn, Words>>;
  readonly pid: Uint32Array;
  readonly startedAt: Float64Array;
  readonly instance: Pieces;
  readonly lifetime: Pieces;
  readonly labelCounts: Uint32Array;
  readonly labelNames: Pieces;
  readonly labelValues: Pieces;
  /** About how much memory it takes. */
  readonly bytes: number;
}

function wordsOf(values: readonly string[]): Words {
  const keyOf = new Map<string, number>();
  const keys = new Uint16Array(values.length);
  values.forEach((value, index) => {
    let key = keyOf.get(value);
    if (key === undefined) keyOf.set(value, (key = keyOf.size));
    keys[index] = key;
  });
  return { words: [...keyOf.keys()], keys };
}

function piecesOf<Value>(values: readonly Value[], write: (writer: NativeWriter, value: Value) => void): Pieces {
  const writer = new NativeWriter(32 * values.length + 16);
  const ends = new Uint32Array(values.length);
  values.forEach((value, index) => {
    write(writer, value);
    ends[index] = writer.done().length;
  });
  return { bytes: ownCopy(writer.done()), ends };
}

/** In memory of its own size: a plain copy would share, and hold, a slab with what is gone long before it. */
export function ownCopy(source: Buffer): Buffer {
  const copy = Buffer.allocUnsafeSlow(source.length);
  source.copy(copy);
  return copy;
}

/** At most 65,536 processes, which the limits of the wire see to. */
export function tabulate(processes: Batch['processes']): ProcessTable {
  const text = (writer: NativeWriter, value: string) => writer.string(value);
  const entries = processes.labels.map((labels) => Object.entries(labels));
  const side = (index: 0 | 1) => piecesOf(entries, (writer, pairs) => pairs.forEach((pair) => writer.string(pair[index])));
  const words = Object.fromEntries(WORD_COLUMNS.map((name) => [name, wordsOf(processes[name])])) as Record<WordColumn, Words>;
  const pieces = {
    instance: piecesOf(processes.instance, text),
    lifetime: piecesOf(processes.lifetime, text),
    labelNames: side(0),
    labelValues: side(1),
  };
  const count = processes.pid.length;
  const encodedBytes = Object.values(pieces).reduce((sum, { bytes }) => sum + bytes.length, 0);
  const wordBytes = Object.values(words).reduce(
    (sum, { words: list }) => sum + list.reduce((length, word) => length + word.length + 32, 0),
    0,
  );
  return {
    count,
    words,
    pid: Uint32Array.from(processes.pid),
    startedAt: Float64Array.from(processes.process_started_at),
    ...pieces,
    labelCounts: Uint32Array.from(entries, (pairs) => pairs.length),
    bytes: 3_500 + encodedBytes + wordBytes + count * 42,
  };
}
