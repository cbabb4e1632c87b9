/**
 * Brings rows in any order into order of time (external merge sort, stable): runs of a quarter million rows are sorted in memory and
 * put on disk, then merged. Memory stays the same however many rows there are; the disk takes 8 bytes per value.
 */
import { closeSync, mkdtempSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LeaklineError } from '../../shared/errors.ts';
import { HistoryRow, NUMBER_COLUMNS, TEXT_COLUMNS } from './history-row.ts';

const RUN_ROWS = 1 << 18;
/** Rows of a run that are read back at once. */
const READ_ROWS = 1 << 9;
/** Services, instances and versions that are told apart; more of them is a column that is no name. */
const MAX_IDENTITIES = 2_000_000;
const RADIX = 2048;

type Identity = Pick<HistoryRow, 'service' | 'environment' | 'version' | 'instance' | 'runtime'>;

/** Rows of numbers, `width` each: time, identity, then every number column. */
interface Run {
  readonly values: Float64Array;
  readonly rows: number;
}

interface StoredRun {
  readonly offset: number;
  readonly rows: number;
}

/** Time, identity, numbers. */
const WIDTH = 2 + NUMBER_COLUMNS.length;

export class RowSorter {
  readonly #identities = new Map<string, number>();
  readonly #names: Identity[] = [];
  readonly #stored: StoredRun[] = [];
  #values = new Float64Array(RUN_ROWS * WIDTH);
  #rows = 0;
  #directory = '';
  #file = -1;
  #end = 0;

  add(row: HistoryRow): void {
    if (this.#rows === RUN_ROWS) this.#store();
    const values = this.#values;
    let at = this.#rows * WIDTH;
    values[at++] = row.time;
    values[at++] = this.#identityOf(row);
    for (const column of NUMBER_COLUMNS) values[at++] = row[column];
    this.#rows += 1;
  }

  /** Calls back for every row in order of time, the same row object again and again. */
  replay(onRow: (row: HistoryRow) => void): void {
    const row = new HistoryRow();
    const emit = (values: Float64Array, from: number): void => {
      const name = this.#names[values[from + 1] as number] as Identity;
      row.time = values[from] as number;
      for (const column of TEXT_COLUMNS) row[column] = name[column];
      let at = from + 2;
      for (const column of NUMBER_COLUMNS) row[column] = values[at++] as number;
      onRow(row);
    };
    if (this.#stored.length === 0) {
      const { values, rows } = inOrder({ values: this.#values, rows: this.#rows });
      for (let index = 0; index < rows; index += 1) emit(values, index * WIDTH);
      return;
    }
    this.#store();
    // The memory of the runs is free for what is read back.
    this.#values = new Float64Array(0);
    merge(this.#file, this.#stored, emit);
  }

  close(): void {
    if (this.#file >= 0) closeSync(this.#file);
    if (this.#directory !== '') rmSync(this.#directory, { recursive: true, force: true });
    this.#file = -1;
    this.#directory = '';
  }

  #identityOf(row: HistoryRow): number {
    const key = `${row.service}\0${row.environment}\0${row.version}\0${row.instance}\0${row.runtime}`;
    const known = this.#identities.get(key);
    if (known !== undefined) return known;
    const id = this.#names.length;
    if (id >= MAX_IDENTITIES) {
      throw new LeaklineError(
        'LKL_ERR_HISTORY_FILE',
        `more than ${String(MAX_IDENTITIES)} instances, the last one "${row.instance}" of "${row.service}": the column "instance" must name a process, not a row`,
      );
    }
    this.#identities.set(key, id);
    const { service, environment, version, instance, runtime } = row;
    this.#names.push({ service, environment, version, instance, runtime });
    return id;
  }

  #store(): void {
    const { values, rows } = inOrder({ values: this.#values, rows: this.#rows });
    try {
      if (this.#file < 0) {
        this.#directory = mkdtempSync(join(tmpdir(), 'leakline-sort-'));
        this.#file = openSync(join(this.#directory, 'runs'), 'w+');
      }
      const bytes = Buffer.from(values.buffer, values.byteOffset, rows * WIDTH * 8);
      for (let done = 0; done < bytes.length;)
        done += writeSync(this.#file, bytes, done, Math.min(bytes.length - done, 1 << 26), this.#end + done);
      this.#stored.push({ offset: this.#end, rows });
      this.#end += bytes.length;
      this.#rows = 0;
    } catch (cause) {
      const what = cause instanceof Error ? cause.message : String(cause);
      throw new LeaklineError(
        'LKL_ERR_HISTORY_FILE',
        `rows are not in order of time and sorting them on disk failed: ${what}; set TMPDIR to a folder with room, or sort the file by time first`,
        { cause },
      );
    }
  }
}

/** Least significant digit first, so equal times keep their order. */
function inOrder({ values, rows }: Run): Run {
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  let isSorted = true;
  for (let index = 0, before = low; index < rows; index += 1) {
    const time = values[index * WIDTH] as number;
    isSorted &&= index === 0 || time >= before;
    before = time;
    low = Math.min(low, time);
    high = Math.max(high, time);
  }
  if (isSorted) return { values, rows };
  let order = Uint32Array.from({ length: rows }, (_, index) => index);
  let next = new Uint32Array(rows);
  for (let unit = 1; unit <= high - low; unit *= RADIX) {
    const starts = new Uint32Array(RADIX + 1);
    const digit = (index: number): number => Math.floor(((values[index * WIDTH] as number) - low) / unit) % RADIX;
    for (let index = 0; index < rows; index += 1) starts[digit(index) + 1]! += 1;
    for (let index = 0; index < RADIX; index += 1) starts[index + 1]! += starts[index]!;
    for (const index of order) next[starts[digit(index)]!++] = index;
    [order, next] = [next, order];
  }
  const sorted = new Float64Array(rows * WIDTH);
  for (let index = 0; index < rows; index += 1) {
    const from = (order[index] as number) * WIDTH;
    sorted.set(values.subarray(from, from + WIDTH), index * WIDTH);
  }
  return { values: sorted, rows };
}

class RunReader {
  readonly #file: number;
  readonly #run: StoredRun;
  readonly values = new Float64Array(READ_ROWS * WIDTH);
  at = 0;
  #held = 0;
  #read = 0;

  constructor(file: number, run: StoredRun) {
    this.#file = file;
    this.#run = run;
    this.#fill();
  }

  get time(): number {
    return this.values[this.at * WIDTH] as number;
  }

  /** Whether there is a further row. */
  next(): boolean {
    this.at += 1;
    return this.at < this.#held || this.#fill();
  }

  #fill(): boolean {
    const rows = Math.min(READ_ROWS, this.#run.rows - this.#read);
    if (rows === 0) return false;
    const bytes = rows * WIDTH * 8;
    const into = Buffer.from(this.values.buffer, 0, bytes);
    for (let done = 0; done < bytes;) {
      done += readSync(this.#file, into, done, bytes - done, this.#run.offset + this.#read * WIDTH * 8 + done);
    }
    this.#read += rows;
    this.#held = rows;
    this.at = 0;
    return true;
  }
}

/** A heap of runs by the time of their next row; of equal times the earlier run goes first. */
function merge(file: number, runs: readonly StoredRun[], emit: (values: Float64Array, from: number) => void): void {
  const readers = runs.map((run) => new RunReader(file, run));
  const heap = readers.map((_, index) => index);
  const before = (a: number, b: number): boolean => {
    const difference = readers[a]!.time - readers[b]!.time;
    return difference < 0 || (difference === 0 && a < b);
  };
  const sink = (from: number): void => {
    for (let at = from; ;) {
      const left = 2 * at + 1;
      if (left >= heap.length) return;
      const child = left + 1 < heap.length && before(heap[left + 1]!, heap[left]!) ? left + 1 : left;
      if (!before(heap[child]!, heap[at]!)) return;
      [heap[at], heap[child]] = [heap[child]!, heap[at]!];
      at = child;
    }
  };
  for (let at = heap.length >> 1; at >= 0; at -= 1) sink(at);
  while (heap.length > 0) {
    const reader = readers[heap[0]!]!;
    emit(reader.values, reader.at * WIDTH);
    if (!reader.next()) {
      const last = heap.pop()!;
      if (heap.length === 0) return;
      heap[0] = last;
    }
    sink(0);
  }
}
