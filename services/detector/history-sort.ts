/** Rows of unsorted files in order of service and time. Held in memory as columns, so it refuses files too large for that. */
import { LeaklineError } from '../../shared/errors.ts';
import { readHistory, type HistoryCounts, type HistoryProgress } from './history-file.ts';
import { newRow, type HistoryRow } from './history-row.ts';

const MAX_ROWS = 8_000_000;

export async function sortedRows(
  files: readonly string[],
  onRow: (row: HistoryRow) => void,
  counts: HistoryCounts,
  onProgress?: (progress: HistoryProgress) => void,
): Promise<void> {
  const names = numberColumns();
  const columns = names.map(() => [] as number[]);
  const identities = new Map<string, number>();
  const texts: Pick<HistoryRow, 'service' | 'environment' | 'version' | 'instance'>[] = [];
  const identity: number[] = [];
  for (const file of files) {
    await readHistory(
      file,
      (row, line) => {
        if (identity.length >= MAX_ROWS) throw tooLarge(file, line);
        const key = `${row.service}\0${row.environment}\0${row.version}\0${row.instance}`;
        let id = identities.get(key);
        if (id === undefined) {
          id = texts.length;
          identities.set(key, id);
          texts.push({ service: row.service, environment: row.environment, version: row.version, instance: row.instance });
        }
        identity.push(id);
        for (const [index, name] of names.entries()) (columns[index] as number[]).push(row[name]);
      },
      counts,
      onProgress,
    );
  }
  const time = columns[names.indexOf('time')] as number[];
  const order = Uint32Array.from(identity.keys()).sort((a, b) => (time[a] as number) - (time[b] as number) || a - b);
  const row = newRow();
  for (const index of order) {
    Object.assign(row, texts[identity[index] as number]);
    for (const [position, name] of names.entries()) row[name] = (columns[position] as number[])[index] as number;
    onRow(row);
  }
}

type NumberName = { [Name in keyof HistoryRow]: HistoryRow[Name] extends number ? Name : never }[keyof HistoryRow];

function numberColumns(): NumberName[] {
  return Object.entries(newRow()).flatMap(([name, value]) => (typeof value === 'number' ? [name as NumberName] : []));
}

function tooLarge(file: string, line: number): LeaklineError {
  return new LeaklineError(
    'LKL_ERR_HISTORY_FILE',
    `${file}:${String(line)}:1: rows are not in order of time and there are more than ${String(MAX_ROWS)} of them; sort the file by time first`,
    { details: { file, line } },
  );
}
