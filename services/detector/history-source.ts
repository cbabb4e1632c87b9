/** Where rows come from: files and folders of files, read one after the other. */
import { statSync } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { LeaklineError } from '../../shared/errors.ts';
import { readHistory, type HistoryCounts } from './history-file.ts';
import type { ColumnMap, HistoryRow } from './history-row.ts';

export interface HistoryProgress {
  /** What is being done with the rows. */
  readonly stage: 'judging' | 'sorting';
  readonly rows: number;
  /** 0..1; NaN where nobody knows how much there is (a pipe). */
  readonly share: number;
}

export interface RowSource {
  /** Rows in the order they lie in, the same row object again and again. */
  read(onRow: (row: HistoryRow) => void, counts: HistoryCounts, onProgress?: (progress: HistoryProgress) => void): Promise<void>;
  /** Throws where the rows cannot be read a second time. */
  checkRepeatable(): void;
}

const HISTORY_FILE = /\.(csv|tsv|ndjson|jsonl)(\.gz)?$/i;

export function fileRows(paths: readonly string[], map: ColumnMap = new Map()): RowSource {
  return {
    async read(onRow, counts, onProgress) {
      const files = (await Promise.all(paths.map(filesOf))).flat();
      const total = files.reduce((sum, { size }) => sum + size, 0);
      let done = 0;
      const onBytes = (bytes: number): void => {
        done += bytes;
        onProgress?.({ stage: 'judging', rows: counts.rows, share: total === 0 ? Number.NaN : Math.min(1, done / total) });
      };
      for (const { file } of files) await readHistory(file, onRow, counts, { map, onBytes });
    },
    checkRepeatable() {
      const pipe = paths.find((path) => !statSync(path).isFile() && !statSync(path).isDirectory());
      if (pipe === undefined) return;
      throw new LeaklineError(
        'LKL_ERR_HISTORY_FILE',
        `the rows of ${pipe} are not in order of time, and a pipe cannot be read twice to sort them; sort them by time, or save them to a file first`,
        { details: { file: pipe } },
      );
    },
  };
}

interface HistoryFile {
  readonly file: string;
  /** Bytes; 0 for a pipe. */
  readonly size: number;
}

/** A folder stands for the history files in it and below, in order of name. */
async function filesOf(path: string): Promise<HistoryFile[]> {
  const found = await stat(path).catch((error: unknown) => {
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown';
    throw new LeaklineError('LKL_ERR_HISTORY_FILE', `cannot read ${path}: ${code}`, { cause: error, details: { file: path } });
  });
  if (!found.isDirectory()) return [{ file: path, size: found.size }];
  const names = (await readdir(path, { recursive: true })).filter((name) => HISTORY_FILE.test(name)).sort(byNumber.compare);
  const files = await Promise.all(names.map((name) => filesOf(join(path, name))));
  if (files.length > 0) return files.flat();
  throw new LeaklineError('LKL_ERR_HISTORY_FILE', `${path} has no history file; expected .csv, .tsv, .ndjson or .jsonl, also with .gz`, {
    details: { file: path },
  });
}

/** part-2 before part-10. */
const byNumber = new Intl.Collator('en', { numeric: true });
