/** Reads NDJSON: an object per line, with the same names as the columns of a CSV. */
import {
  cellNumber,
  cellTime,
  epochTime,
  HistoryRow,
  isText,
  rowColumnOf,
  SET_NUMBER,
  SET_TEXT,
  timeProblem,
  type ColumnMap,
} from './history-row.ts';
import type { RowColumn } from './history-row.ts';
import type { RowSink } from './history-csv.ts';

const NEWLINE = 10;

export class JsonRows {
  readonly #sink: RowSink;
  readonly #map: ColumnMap;
  readonly #row = new HistoryRow();
  line = 1;
  /** A closing brace says that a line is whole. */
  readonly endsOpen = false;
  readonly hasHeader = true;

  constructor(sink: RowSink, map: ColumnMap) {
    this.#sink = sink;
    this.#map = map;
  }

  read(buffer: Buffer, from: number, to: number): number {
    for (let at = from; at < to; this.line += 1) {
      const end = buffer.indexOf(NEWLINE, at);
      const text = buffer.toString('utf8', at, end).trim();
      if (text !== '') this.#object(text);
      at = end + 1;
    }
    return to;
  }

  #object(text: string): void {
    const value = parse(text);
    if (value === undefined) {
      this.#sink.skip(this.line, 1, 'not a JSON object');
      return;
    }
    this.#row.reset();
    let problem: string | undefined;
    for (const [name, cell] of Object.entries(value)) {
      const column = rowColumnOf(name, this.#map);
      if (column !== undefined && cell !== null) problem ??= this.#set(column, cell);
    }
    problem ??= named('time', timeProblem(this.#row.time));
    if (problem === undefined) this.#sink.accept(this.#row, this.line);
    else this.#sink.skip(this.line, 1, problem);
  }

  /** Returns why the value is of no use. */
  #set(column: RowColumn, cell: unknown): string | undefined {
    if (typeof cell !== 'string' && typeof cell !== 'number') return named(column, 'is neither text nor a number');
    if (column === 'time') this.#row.time = typeof cell === 'number' ? epochTime(cell) : cellTime(cell);
    else if (isText(column)) SET_TEXT[column](this.#row, String(cell).trim());
    else {
      const value = cellNumber(String(cell));
      if (value === undefined) return named(column, `is "${String(cell).slice(0, 40)}", not a plain number`);
      SET_NUMBER[column](this.#row, value);
    }
    return undefined;
  }
}

function named(column: string, problem: string | undefined): string | undefined {
  return problem === undefined ? undefined : `column "${column}" ${problem}`;
}

function parse(text: string): object | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : undefined;
  } catch {
    return undefined;
  }
}
