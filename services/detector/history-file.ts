/**
 * Reads a history file in a stream: CSV or NDJSON, plain or gzip, told apart by content. Bad rows are counted with the place of
 * the first; a file that cannot mean anything is refused with line and column. Memory does not grow with the file.
 */
import { createReadStream } from 'node:fs';
import { pipeline, Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { LeaklineError } from '../../shared/errors.ts';
import { CsvRows, type RowSink } from './history-csv.ts';
import { historyFileError } from './history-error.ts';
import { JsonRows } from './history-json.ts';
import type { ColumnMap, HistoryRow } from './history-row.ts';

export interface HistoryCounts {
  rows: number;
  skipped: number;
  /** Where and why a row was first skipped; '' while none was. */
  firstSkipped: string;
}

export interface HistoryReading {
  readonly map?: ColumnMap;
  /** Bytes of the file read since the last call. */
  readonly onBytes?: (bytes: number) => void;
}

/** Called with the same row object again and again: copy what must live longer. */
export type OnRow = (row: HistoryRow, line: number) => void;

/** Longest record accepted, bytes: a file that is one line must not fill the memory. */
const MAX_RECORD = 1_000_000;
const CHUNK = 1 << 18;
const NEWLINE = 10;

export async function readHistory(file: string, onRow: OnRow, counts: HistoryCounts, reading: HistoryReading = {}): Promise<void> {
  const raw = createReadStream(file, { highWaterMark: CHUNK });
  const rows = new FileRows(file, onRow, counts, reading.map ?? new Map());
  let seen = 0;
  try {
    for await (const chunk of await inflated(raw)) {
      rows.add(chunk);
      reading.onBytes?.(raw.bytesRead - seen);
      seen = raw.bytesRead;
    }
    rows.end();
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? '';
    if (code.startsWith('Z_')) rows.cutOff();
    else if (error instanceof Error && 'syscall' in error) throw unreadable(file, code, error);
    else throw error;
  } finally {
    raw.destroy();
  }
}

/** Decompressed where the first bytes say gzip; a pipe cannot be looked at twice, so the first chunk is passed on. */
async function inflated(raw: Readable): Promise<AsyncIterable<Buffer>> {
  const chunks = raw[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  const first = await chunks.next();
  const whole = async function* (): AsyncGenerator<Buffer> {
    if (first.done !== true) yield first.value;
    yield* { [Symbol.asyncIterator]: () => chunks };
  };
  if (first.done === true || first.value[0] !== 0x1f || first.value[1] !== 0x8b) return whole();
  // An error of either side reaches the reader through the last stream.
  return pipeline(Readable.from(whole()), createGunzip({ chunkSize: CHUNK }), () => undefined) as AsyncIterable<Buffer>;
}

/** Bytes in, rows out: keeps the record that is not whole yet. */
class FileRows implements RowSink {
  readonly #file: string;
  readonly #onRow: OnRow;
  readonly #counts: HistoryCounts;
  readonly #map: ColumnMap;
  #rows: CsvRows | JsonRows | undefined;
  #buffer = Buffer.allocUnsafe(2 * CHUNK);
  #length = 0;
  #accepted = 0;
  #skipped = '';

  constructor(file: string, onRow: OnRow, counts: HistoryCounts, map: ColumnMap) {
    this.#file = file;
    this.#onRow = onRow;
    this.#counts = counts;
    this.#map = map;
  }

  add(chunk: Buffer): void {
    if (this.#length + chunk.length > this.#buffer.length) {
      this.#buffer = Buffer.concat([this.#buffer.subarray(0, this.#length)], 2 * (this.#length + chunk.length));
    }
    this.#length += chunk.copy(this.#buffer, this.#length);
    const end = this.#length === 0 ? 0 : this.#buffer.lastIndexOf(NEWLINE, this.#length - 1) + 1;
    if (end > 0) this.#read(end, false);
    if (this.#length > MAX_RECORD) {
      const what = `a line is longer than ${String(MAX_RECORD)} bytes, or a quote that is opened in it is never closed`;
      throw historyFileError(this.#file, this.#rows?.line ?? 1, 1, what, 'CSV or NDJSON with line breaks');
    }
  }

  end(): void {
    if (this.#length > 0) {
      const endsOpen = this.#rows?.endsOpen === true && this.#buffer[this.#length - 1] !== 34;
      const start = this.#buffer.lastIndexOf(NEWLINE, this.#length - 1) + 1;
      if (endsOpen) this.#length = start;
      else this.#buffer[this.#length++] = NEWLINE;
      if (this.#length > 0) this.#read(this.#length, true);
      // Cut inside its last number, a line looks whole and says something else.
      if (endsOpen) this.skip(this.#rows?.line ?? 1, 1, 'the last line has no end and may be torn');
    }
    if (this.#rows?.hasHeader !== true) {
      throw historyFileError(this.#file, 1, 1, 'the file is empty', 'a header line with time, service, instance, rss');
    }
    if (this.#accepted === 0 && this.#skipped !== '') {
      throw new LeaklineError('LKL_ERR_HISTORY_FILE', `no row could be read: ${this.#skipped}`, { details: { file: this.#file } });
    }
  }

  /** A torn archive: what could be read counts, the rest is missing. */
  cutOff(): void {
    this.skip(this.#rows?.line ?? 1, 1, 'the compressed data is damaged or cut off here');
  }

  accept(row: HistoryRow, line: number): void {
    if (row.service === '') row.service = defaultService(this.#file);
    if (row.instance === '') row.instance = row.service;
    this.#accepted += 1;
    this.#counts.rows += 1;
    this.#onRow(row, line);
  }

  skip(line: number, column: number, what: string): void {
    const counts = this.#counts;
    counts.skipped += 1;
    const place = `${this.#file}:${String(line)}:${String(column)}: ${what}`;
    if (this.#skipped === '') this.#skipped = place;
    if (counts.firstSkipped === '') counts.firstSkipped = place;
  }

  #read(end: number, isLast: boolean): void {
    const from = this.#rows === undefined ? this.#begin(end) : 0;
    const stopped = this.#rows?.read(this.#buffer, from, end, isLast) ?? 0;
    this.#buffer.copyWithin(0, stopped, this.#length);
    this.#length -= stopped;
  }

  /** Looks at the first bytes: where the text begins, and what it is. Undecided while there are only blank lines. */
  #begin(end: number): number {
    const buffer = this.#buffer;
    const [first, second] = [buffer[0], buffer[1]];
    if ((first === 0xff && second === 0xfe) || (first === 0xfe && second === 0xff)) {
      throw historyFileError(this.#file, 1, 1, 'the file is UTF-16', 'UTF-8 (iconv -f UTF-16 -t UTF-8)');
    }
    const from = first === 0xef && second === 0xbb && buffer[2] === 0xbf ? 3 : 0;
    const start = buffer.subarray(from, end).findIndex((byte) => byte > 32);
    if (start < 0) return 0;
    const opening = buffer[from + start];
    if (opening === 0x5b) throw historyFileError(this.#file, 1, 1, 'the file is a JSON array', "an object per line (jq -c '.[]')");
    this.#rows = opening === 0x7b ? new JsonRows(this, this.#map) : new CsvRows(this.#file, this, this.#map);
    return from;
  }
}

/** A file that names no service is one service's. */
function defaultService(file: string): string {
  return (file.split(/[\\/]/).at(-1) ?? file).replace(/\.(csv|ndjson|jsonl|json)?(\.gz)?$/i, '');
}

function unreadable(file: string, code: string, cause: Error): LeaklineError {
  return new LeaklineError('LKL_ERR_HISTORY_FILE', `cannot read ${file}: ${code}`, { cause, details: { file } });
}
