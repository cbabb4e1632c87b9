/**
 * The samples of one insert. Parts (the samples of one flush) are appended as columns, without an object per sample; what is
 * known of their processes stands encoded in a ProcessTable and is copied.
 */
import { METRIC_NAMES, METRICS, type MetricName } from '../sample.ts';
import { encodeNativeBlock, type EncodedBlock, type NativeColumn, type NativeWriter } from './native-block.ts';
import { WORD_COLUMNS, type Pieces, type ProcessTable, type WordColumn } from './process-table.ts';

/** Samples of one batch. */
export interface SamplePart {
  readonly processes: ProcessTable;
  /** The batch they came in. */
  readonly agent: string;
  readonly boot: string;
  readonly seq: number;
  /** Per sample: row of `processes`. */
  readonly process: ArrayLike<number>;
  /** Per sample: milliseconds UTC. */
  readonly time: ArrayLike<number>;
  /** Per sample and metric; null and NaN = absent. Bytes and counts are whole numbers in [0, 2^53). */
  readonly metrics: { readonly [Name in MetricName]?: ArrayLike<number | null> };
}

interface Part extends Omit<SamplePart, 'process' | 'time' | 'metrics'> {
  readonly rows: number;
  /** undefined: one sample of each process, in their order. */
  readonly process: Uint32Array | undefined;
}

/** Values of a metric up to `filled`; beyond it nothing is known of the array. */
interface MetricColumn {
  values: Float64Array;
  filled: number;
}

/** `coarse`: bytes as whole KiB and pauses as whole microseconds, rounded down, which takes a third less room on disk. */
export const RESOLUTIONS = ['full', 'coarse'] as const;

export type Resolution = (typeof RESOLUTIONS)[number];

const INITIAL_ROWS = 1024;
/** What a row takes encoded, when it has two dozen columns of eight bytes. */
const ROW_BYTES = 256;

export class SampleBlock {
  readonly #resolution: Resolution;
  #rows = 0;
  #time: Float64Array;
  readonly #parts: Part[] = [];
  readonly #metrics = new Map<MetricName, MetricColumn>();

  /** `room`: for so many rows at first. */
  constructor(resolution: Resolution = 'full', room = INITIAL_ROWS) {
    this.#resolution = resolution;
    this.#time = new Float64Array(Math.max(room, INITIAL_ROWS));
  }

  get rows(): number {
    return this.#rows;
  }

  get parts(): number {
    return this.#parts.length;
  }

  /** Parts [from, to) by themselves. */
  slice(from: number, to: number): SampleBlock {
    const start = rowsIn(this.#parts.slice(0, from));
    const parts = this.#parts.slice(from, to);
    const sliced = new SampleBlock(this.#resolution);
    sliced.#rows = rowsIn(parts);
    sliced.#time = this.#time.slice(start, start + sliced.#rows);
    sliced.#parts.push(...parts);
    for (const [name, { values, filled }] of this.#metrics) {
      const own = values.slice(start, Math.min(filled, start + sliced.#rows));
      if (own.length > 0) sliced.#metrics.set(name, { values: own, filled: own.length });
    }
    return sliced;
  }

  /** Forgets its rows and keeps the room, which costs less than new room: less to clear, and less for the garbage collector to be woken by. */
  clear(): void {
    this.#rows = 0;
    this.#parts.length = 0;
    for (const column of this.#metrics.values()) column.filled = 0;
  }

  append({ processes, agent, boot, seq, process, time, metrics }: SamplePart): void {
    const start = this.#rows;
    const rows = time.length;
    this.#time = reserved(this.#time, start, start + rows);
    this.#time.set(time, start);
    this.#parts.push({
      processes,
      agent,
      boot,
      seq,
      rows,
      process: isInOrder(process, processes.count) ? undefined : Uint32Array.from(process),
    });
    for (const name of METRIC_NAMES) {
      const values = metrics[name];
      if (values !== undefined) this.#setMetric(name, values, start);
    }
    this.#rows = start + rows;
  }

  #setMetric(name: MetricName, values: ArrayLike<number | null>, start: number): void {
    let column = this.#metrics.get(name);
    if (column === undefined) this.#metrics.set(name, (column = { values: new Float64Array(this.#time.length), filled: 0 }));
    column.values = reserved(column.values, column.filled, this.#time.length);
    column.values.fill(NaN, column.filled, start);
    if (values instanceof Float64Array) column.values.set(values, start);
    else for (let row = 0; row < values.length; row++) column.values[start + row] = values[row] ?? NaN;
    column.filled = start + values.length;
  }

  encode(): EncodedBlock {
    const rows = this.#rows;
    const columns: NativeColumn[] = [
      ...WORD_COLUMNS.map((name) => this.#words(name)),
      { name: 'instance', type: 'String', write: (writer) => this.#pieces(writer, 'instance') },
      { name: 'lifetime', type: 'String', write: (writer) => this.#pieces(writer, 'lifetime') },
      { name: 'pid', type: 'UInt32', values: this.#gather(({ pid }) => pid) },
      { name: 'process_started_at', type: 'DateTime64(3)', values: this.#gather(({ startedAt }) => startedAt) },
      { name: 'labels', type: 'Map(String, String)', write: (writer) => this.#labels(writer) },
      { name: 'time', type: 'DateTime64(3)', values: this.#time.subarray(0, rows) },
      this.#source('agent'),
      this.#source('boot'),
      { name: 'seq', type: 'UInt64', values: this.#perPart(new Float64Array(rows), ({ seq }) => seq) },
    ];
    for (const [name, column] of this.#metrics) {
      if (column.filled === 0) continue;
      // Parts that came later may lack this metric: the array ends where the last that had it did.
      const values = reserved(column.values, column.filled, rows);
      values.fill(NaN, column.filled, rows);
      columns.push({ name, type: typeOf(name), values: this.#rounded(name, values.subarray(0, rows)) });
    }
    return encodeNativeBlock(columns, rows, 4096 + rows * ROW_BYTES);
  }

  #rounded(name: MetricName, values: Float64Array): Float64Array {
    if (this.#resolution === 'full') return values;
    if (METRICS[name].unit === 'By') return values.map((bytes) => Math.floor(bytes / 1024) * 1024);
    return name === 'gc_pause_seconds' ? values.map((seconds) => Math.floor(seconds * 1e6) / 1e6) : values;
  }

  /** A value per sample, from the one of its process. */
  #gather(column: (table: ProcessTable) => Uint32Array | Float64Array): Float64Array {
    const gathered = new Float64Array(this.#rows);
    let at = 0;
    for (const { processes, process, rows } of this.#parts) {
      const values = column(processes);
      if (process === undefined) gathered.set(values, at);
      else for (let row = 0; row < rows; row++) gathered[at + row] = values[process[row]!]!;
      at += rows;
    }
    return gathered;
  }

  /** The same value for all samples of a part. */
  #perPart<Column extends Float64Array | Uint32Array>(column: Column, value: (part: Part) => number): Column {
    let at = 0;
    for (const part of this.#parts) {
      column.fill(value(part), at, at + part.rows);
      at += part.rows;
    }
    return column;
  }

  #source(name: 'agent' | 'boot'): NativeColumn {
    const dictionary = new Dictionary();
    const keys = this.#perPart(new Uint32Array(this.#rows), (part) => dictionary.key(part[name]));
    return { name, type: 'LowCardinality(String)', words: dictionary.words(), keys };
  }

  #words(name: WordColumn): NativeColumn {
    const dictionary = new Dictionary();
    const keys = new Uint32Array(this.#rows);
    let at = 0;
    for (const { processes, process, rows } of this.#parts) {
      const column = processes.words[name];
      const keyOf = column.words.map((word) => dictionary.key(word));
      for (let row = 0; row < rows; row++) keys[at + row] = keyOf[column.keys[process === undefined ? row : process[row]!]!]!;
      at += rows;
    }
    return { name, type: 'LowCardinality(String)', words: dictionary.words(), keys };
  }

  #pieces(writer: NativeWriter, name: 'instance' | 'lifetime' | 'labelNames' | 'labelValues'): void {
    for (const { processes, process } of this.#parts) {
      const pieces = processes[name];
      if (process === undefined) writer.bytes(pieces.bytes);
      else writePieces(writer, pieces, process);
    }
  }

  /** Where each row's entries end, then all names, then all values. */
  #labels(writer: NativeWriter): void {
    const ends = this.#gather(({ labelCounts }) => labelCounts);
    let end = 0;
    for (let row = 0; row < ends.length; row++) ends[row] = end += ends[row]!;
    writer.int64s(ends);
    this.#pieces(writer, 'labelNames');
    this.#pieces(writer, 'labelValues');
  }
}

const rowsIn = (parts: readonly Part[]): number => parts.reduce((sum, { rows }) => sum + rows, 0);

function typeOf(name: MetricName): 'Nullable(UInt64)' | 'Nullable(Float64)' | 'Nullable(Decimal(18, 9))' {
  if (METRICS[name].unit !== 's') return 'Nullable(UInt64)';
  return name === 'gc_pause_seconds' ? 'Nullable(Decimal(18, 9))' : 'Nullable(Float64)';
}

/** Words of a column across all parts. */
class Dictionary {
  readonly #keyOf = new Map<string, number>();

  key(word: string): number {
    let key = this.#keyOf.get(word);
    if (key === undefined) this.#keyOf.set(word, (key = this.#keyOf.size));
    return key;
  }

  words(): string[] {
    return [...this.#keyOf.keys()];
  }
}

function isInOrder(process: ArrayLike<number>, count: number): boolean {
  if (process.length !== count) return false;
  for (let row = 0; row < count; row++) if (process[row] !== row) return false;
  return true;
}

/** The array, or one at least twice as large with its first `kept` values. */
function reserved(values: Float64Array, kept: number, size: number): Float64Array {
  if (size <= values.length) return values;
  const grown = new Float64Array(Math.max(size, values.length * 2));
  grown.set(values.subarray(0, kept));
  return grown;
}

function writePieces(writer: NativeWriter, { bytes, ends }: Pieces, process: Uint32Array): void {
  const start = (index: number) => (index === 0 ? 0 : ends[index - 1]!);
  let size = 0;
  for (const index of process) size += ends[index]! - start(index);
  const target = writer.take(size);
  let at = 0;
  for (const index of process) {
    // A copy call costs more than these few bytes.
    for (let byte = start(index); byte < ends[index]!; byte++) target[at++] = bytes[byte]!;
  }
}
