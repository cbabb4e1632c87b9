/**
 * Reads history files row by row: CSV or NDJSON, plain or gzip, in a stream. Bad rows are counted with the place of
 * the first; a file that cannot mean anything is refused with line and column.
 */
import { createReadStream } from 'node:fs';
import { open, stat } from 'node:fs/promises';
import { createGunzip } from 'node:zlib';
import { LeaklineError } from '../../shared/errors.ts';
import { createCsvLines } from './history-csv.ts';
import { newRow, setCell, type HistoryRow, type RowColumn, rowColumnOf } from './history-row.ts';

export interface HistoryCounts {
  rows: number;
  skipped: number;
  /** Where and why a row was first skipped; '' while none was. */
  firstSkipped: string;
}

export interface HistoryProgress {
  readonly file: string;
  readonly bytesRead: number;
  readonly bytesTotal: number;
  readonly rows: number;
}

/** Longest line accepted, characters: a file that is one line must not fill the memory. */
const MAX_LINE = 1_000_000;

/** Calls `onRow` with the same row object again and again: copy what must live longer. */
export async function readHistory(
  file: string,
  onRow: (row: HistoryRow, line: number) => void,
  counts: HistoryCounts,
  onProgress?: (progress: HistoryProgress) => void,
): Promise<void> {
  const bytesTotal = await sizeOf(file);
  const raw = createReadStream(file, { highWaterMark: 1 << 18 });
  const text = (await isGzip(file)) ? raw.pipe(createGunzip({ chunkSize: 1 << 18 })) : raw;
  raw.on('error', (error) => text.destroy(error));
  const decoder = new TextDecoder('utf-8');
  const parser = lineParser(file, onRow, counts);
  let rest = '';
  let line = 0;
  const takeLines = (chunk: string): void => {
    let start = 0;
    for (let end = chunk.indexOf('\n'); end !== -1; end = chunk.indexOf('\n', start)) {
      line += 1;
      const stop = end > start && chunk.charCodeAt(end - 1) === 13 ? end - 1 : end;
      const one = chunk.slice(start, stop);
      parser.line(rest === '' ? one : rest + one, line);
      rest = '';
      start = end + 1;
    }
    rest += chunk.slice(start);
    if (rest.length > MAX_LINE)
      throw refused(file, line + 1, 1, `line is longer than ${String(MAX_LINE)} characters`, 'is it a history file?');
  };
  try {
    for await (const chunk of text as AsyncIterable<Buffer>) {
      takeLines(decoder.decode(chunk, { stream: true }));
      onProgress?.({ file, bytesRead: raw.bytesRead, bytesTotal, rows: counts.rows });
    }
    takeLines(decoder.decode());
    if (rest !== '') parser.line(rest.replace(/\r$/, ''), line + 1);
    parser.end(line + 1);
  } catch (error) {
    if (error instanceof LeaklineError) throw error;
    const code = (error as NodeJS.ErrnoException).code ?? '';
    if (!code.startsWith('Z_')) throw error;
    // A torn archive: what could be read counts, the rest is missing.
    note(counts, `${file}: the compressed data is cut off after line ${String(line)}`);
  } finally {
    raw.destroy();
  }
}

interface LineParser {
  line(text: string, number: number): void;
  end(number: number): void;
}

function lineParser(file: string, onRow: (row: HistoryRow, line: number) => void, counts: HistoryCounts): LineParser {
  const row = newRow();
  const csv = createCsvLines();
  let columns: readonly (RowColumn | undefined)[] | undefined;
  let json = false;

  const accept = (number: number, problem: string | undefined): void => {
    if (problem !== undefined) {
      note(counts, `${file}:${String(number)}: ${problem}`);
      return;
    }
    if (row.service === '') row.service = defaultService(file);
    if (row.instance === '') row.instance = row.service;
    counts.rows += 1;
    onRow(row, number);
  };

  const jsonLine = (text: string, number: number): void => {
    row.reset();
    let problem: string | undefined = 'not a JSON object';
    try {
      const value: unknown = JSON.parse(text);
      if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
        for (const [name, cell] of Object.entries(value)) {
          const column = rowColumnOf(name);
          if (column !== undefined && (typeof cell === 'string' || typeof cell === 'number')) setCell(row, column, String(cell));
        }
        problem = row.problem();
      }
    } catch {
      // keeps the problem named above
    }
    accept(number, problem);
  };

  const csvLine = (text: string, number: number): void => {
    if (columns === undefined) {
      columns = headerOf(file, csv.split(text), number);
      return;
    }
    row.reset();
    const cells = csv.scan(text, columns, (column, cell) => {
      setCell(row, column, cell);
    });
    accept(number, cells < columns.length ? `${String(cells)} of ${String(columns.length)} fields (torn line?)` : row.problem());
  };

  return {
    line(text, number) {
      const clean = number === 1 && text.charCodeAt(0) === 0xfeff ? text.slice(1) : text;
      if (clean.trim() === '') return;
      if (columns === undefined && !json && clean.startsWith('{')) json = true;
      if (json) jsonLine(clean, number);
      else csvLine(clean, number);
    },
    end(number) {
      if (!json && columns === undefined)
        throw refused(file, number, 1, 'the file is empty', 'a header line with time, service, instance, rss');
      if (counts.rows === 0 && counts.skipped > 0) {
        throw new LeaklineError('LKL_ERR_HISTORY_FILE', `no row could be read: ${counts.firstSkipped}`, { details: { file } });
      }
    },
  };
}

const MEMORY_COLUMNS: readonly RowColumn[] = ['anon', 'rss', 'working_set', 'heap_live', 'heap_used'];

function headerOf(file: string, names: readonly string[], line: number): (RowColumn | undefined)[] {
  const columns = names.map((name) => rowColumnOf(name));
  if (!columns.includes('time')) {
    throw refused(
      file,
      line,
      1,
      `the header "${names.join(',').slice(0, 200)}" has no column "time"`,
      'epoch seconds, milliseconds or ISO 8601',
    );
  }
  if (!MEMORY_COLUMNS.some((column) => columns.includes(column))) {
    throw refused(file, line, names.length, 'the header has no column of memory', `one of ${MEMORY_COLUMNS.join(', ')} in bytes`);
  }
  return columns;
}

function refused(file: string, line: number, column: number, what: string, mend: string): LeaklineError {
  return new LeaklineError('LKL_ERR_HISTORY_FILE', `${file}:${String(line)}:${String(column)}: ${what}; expected ${mend}`, {
    details: { file, line, column },
  });
}

function note(counts: HistoryCounts, what: string): void {
  counts.skipped += 1;
  if (counts.firstSkipped === '') counts.firstSkipped = what;
}

function defaultService(file: string): string {
  return (file.split(/[\\/]/).at(-1) ?? file).replace(/\.(csv|ndjson|jsonl|json)?(\.gz)?$/i, '');
}

async function sizeOf(file: string): Promise<number> {
  try {
    return (await stat(file)).size;
  } catch (error) {
    throw new LeaklineError('LKL_ERR_HISTORY_FILE', `cannot read ${file}: ${(error as NodeJS.ErrnoException).code ?? 'unknown'}`, {
      cause: error,
      details: { file },
    });
  }
}

async function isGzip(file: string): Promise<boolean> {
  const handle = await open(file, 'r');
  try {
    const magic = Buffer.alloc(2);
    const { bytesRead } = await handle.read(magic, 0, 2, 0);
    return bytesRead === 2 && magic[0] === 0x1f && magic[1] === 0x8b;
  } finally {
    await handle.close();
  }
}
