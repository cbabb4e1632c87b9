/**
 * Reads CSV (RFC 4180, quoted line breaks included) from bytes: no string, array or object per row, for histories have hundreds
 * of millions of them. Comma, semicolon or tab, whichever the header has.
 */
import { historyFileError } from './history-error.ts';
import {
  cellNumber,
  cellTime,
  epochTime,
  HistoryRow,
  isText,
  MEMORY_COLUMNS,
  rowColumnOf,
  SET_NUMBER,
  SET_TEXT,
  timeProblem,
  type ColumnMap,
  type RowColumn,
} from './history-row.ts';
import { KnownTexts } from './history-text.ts';

const [NEWLINE, RETURN, SPACE, QUOTE, DOT, ZERO, NINE] = [10, 13, 32, 34, 46, 48, 57];
/** Integers of so many digits and powers of ten up to 22 are exact doubles, and so is their correctly rounded quotient. */
const MAX_DIGITS = 15;
const POWER = Float64Array.from({ length: 23 }, (_, index) => Number(`1e${String(index)}`));

const [SKIP, TIME, NUMBER, TEXT] = [0, 1, 2, 3];

export interface RowSink {
  accept(row: HistoryRow, line: number): void;
  /** A row that says nothing, and why. `column` counts characters from 1. */
  skip(line: number, column: number, what: string): void;
}

export class CsvRows {
  readonly #file: string;
  readonly #sink: RowSink;
  readonly #map: ColumnMap;
  readonly #row = new HistoryRow();
  readonly #texts = new KnownTexts();
  #names: readonly string[] = [];
  #columns: readonly (RowColumn | undefined)[] = [];
  #kinds = new Uint8Array(0);
  #numbers: ((row: HistoryRow, value: number) => void)[] = [];
  #strings: ((row: HistoryRow, value: string) => void)[] = [];
  #comma = 44;
  /** Why the row is of no use, and where. */
  #problem = '';
  #problemAt = 0;
  /** Line of the record that begins where the last call stopped. */
  line = 1;

  constructor(file: string, sink: RowSink, map: ColumnMap) {
    this.#file = file;
    this.#sink = sink;
    this.#map = map;
  }

  get hasHeader(): boolean {
    return this.#columns.length > 0;
  }

  /** Whether the last column could be cut short without anybody seeing it. */
  get endsOpen(): boolean {
    return this.#columns.at(-1) !== undefined;
  }

  /** Reads whole records from buffer[from, to), which ends with a line break. Returns where it stopped: `to`, or a record that goes on. */
  read(buffer: Buffer, from: number, to: number, isLast: boolean): number {
    let at = from;
    while (at < to) {
      let next = this.hasHeader ? this.#record(buffer, at, to) : this.#header(buffer, at, to);
      if (next < 0 && !isLast) return at;
      if (next < 0) next = this.#giveUpLine(buffer, at, 'a quote is opened and never closed');
      at = next;
    }
    return to;
  }

  #giveUpLine(buffer: Buffer, from: number, what: string): number {
    const end = buffer.indexOf(NEWLINE, from);
    this.#sink.skip(this.line, characters(buffer, from, end) + 1, what);
    this.line += 1;
    return end + 1;
  }

  /** -1 = the record goes on behind `to`. */
  #record(buffer: Buffer, from: number, to: number): number {
    const count = this.#columns.length;
    const comma = this.#comma;
    let lines = 1;
    let cell = 0;
    let at = from;
    this.#problem = '';
    this.#row.service = this.#row.instance = '';
    for (;;) {
      const kind = cell < count ? (this.#kinds[cell] as number) : SKIP;
      if (buffer[at] === QUOTE) {
        const end = closingQuote(buffer, at + 1, to);
        if (end < 0) return -1;
        lines += lineBreaks(buffer, at, end);
        if (kind !== SKIP) this.#cell(cell, buffer.toString('utf8', at + 1, end).replaceAll('""', '"'), at);
        const behind = end + 1;
        at = this.#skip(buffer, behind);
        if (!isBlank(buffer, behind, at)) this.#refuse('a quoted field goes on behind its closing quote', behind);
      } else if (kind === NUMBER || kind === TIME) {
        at = this.#number(buffer, at, cell, kind);
      } else if (kind === TEXT) {
        at = this.#text(buffer, at, cell);
      } else {
        at = this.#skip(buffer, at);
      }
      cell += 1;
      const byte = buffer[at] as number;
      at += 1;
      if (byte === comma) continue;
      break;
    }
    if (cell !== count && !this.#hasSeparatorAtEnd(buffer, cell, at)) {
      if (cell === 1 && isBlank(buffer, from, at)) {
        this.line += 1;
        return at;
      }
      // Which cell is which is not known, so neither is what was wrong with one.
      this.#problem = '';
      this.#refuse(`${String(cell)} of ${String(count)} fields (${cell < count ? 'torn line?' : 'an unquoted separator?'})`, at - 1);
    }
    if (this.#problem === '') {
      this.#sink.accept(this.#row, this.line);
      this.line += lines;
      return at;
    }
    this.#sink.skip(this.line, characters(buffer, from, this.#problemAt) + 1, this.#problem);
    this.line += 1;
    // A quote that was opened by mistake must not swallow the lines behind it.
    return lines === 1 ? at : buffer.indexOf(NEWLINE, from) + 1;
  }

  /** One empty field too many is a separator at the end of every line. */
  #hasSeparatorAtEnd(buffer: Buffer, cells: number, end: number): boolean {
    return cells === this.#columns.length + 1 && isBlank(buffer, buffer.lastIndexOf(this.#comma, end - 1) + 1, end);
  }

  #skip(buffer: Buffer, from: number): number {
    let at = from;
    while (buffer[at] !== this.#comma && buffer[at] !== NEWLINE) at += 1;
    return at;
  }

  #text(buffer: Buffer, from: number, cell: number): number {
    const end = this.#skip(buffer, from);
    let start = from;
    let stop = end;
    while (start < stop && (buffer[start] as number) <= SPACE) start += 1;
    while (stop > start && (buffer[stop - 1] as number) <= SPACE) stop -= 1;
    (this.#strings[cell] as (row: HistoryRow, value: string) => void)(this.#row, this.#texts.of(buffer, start, stop));
    return end;
  }

  /** Plain decimals are read byte by byte; everything else (signs, exponents, ISO 8601) goes the long way. */
  #number(buffer: Buffer, from: number, cell: number, kind: number): number {
    let at = from;
    let value = 0;
    let byte = buffer[at] as number;
    while (byte >= ZERO && byte <= NINE) {
      value = value * 10 + (byte - ZERO);
      at += 1;
      byte = buffer[at] as number;
    }
    let digits = at - from;
    if (byte === DOT && digits > 0) {
      const point = at;
      at += 1;
      byte = buffer[at] as number;
      while (byte >= ZERO && byte <= NINE) {
        value = value * 10 + (byte - ZERO);
        at += 1;
        byte = buffer[at] as number;
      }
      const decimals = at - point - 1;
      digits += decimals;
      if (decimals < POWER.length) value /= POWER[decimals] as number;
    }
    if (byte === RETURN && buffer[at + 1] === NEWLINE) {
      at += 1;
      byte = NEWLINE;
    }
    if (digits === 0 || digits > MAX_DIGITS || (byte !== this.#comma && byte !== NEWLINE)) {
      const end = this.#skip(buffer, from);
      this.#cell(cell, buffer.toString('utf8', from, end), from);
      return end;
    }
    if (kind === TIME) this.#time(epochTime(value), from);
    else (this.#numbers[cell] as (row: HistoryRow, value: number) => void)(this.#row, value);
    return at;
  }

  #time(time: number, at: number): void {
    this.#row.time = time;
    const problem = timeProblem(time);
    if (problem !== undefined) this.#refuse(`column "time" ${problem}`, at);
  }

  #cell(cell: number, text: string, at: number): void {
    const column = this.#columns[cell] as RowColumn;
    if (column === 'time') this.#time(cellTime(text), at);
    else if (isText(column)) {
      if (text.includes('\n')) this.#refuse(`column "${column}" has a line break`, at);
      SET_TEXT[column](this.#row, text.trim());
    } else {
      const value = cellNumber(text);
      if (value === undefined) this.#refuse(`column "${this.#names[cell] ?? ''}" is "${text.trim().slice(0, 40)}", not a plain number`, at);
      else SET_NUMBER[column](this.#row, value);
    }
  }

  #refuse(what: string, at: number): void {
    if (this.#problem !== '') return;
    this.#problem = what;
    this.#problemAt = at;
  }

  #header(buffer: Buffer, from: number, to: number): number {
    const end = buffer.indexOf(NEWLINE, from);
    if (isBlank(buffer, from, end)) {
      this.line += 1;
      return end + 1;
    }
    this.#comma = separatorOf(buffer, from, end);
    const names: string[] = [];
    let at = from;
    do {
      if (buffer[at] === QUOTE) {
        const close = closingQuote(buffer, at + 1, to);
        if (close < 0) return -1;
        names.push(
          buffer
            .toString('utf8', at + 1, close)
            .replaceAll('""', '"')
            .trim(),
        );
        at = this.#skip(buffer, close + 1);
      } else {
        const stop = this.#skip(buffer, at);
        names.push(buffer.toString('utf8', at, stop).trim());
        at = stop;
      }
      at += 1;
    } while (buffer[at - 1] !== NEWLINE);
    while (names.length > 1 && names.at(-1) === '') names.pop();
    this.#use(names);
    this.line += 1;
    return at;
  }

  #use(names: readonly string[]): void {
    this.#names = names;
    this.#columns = names.map((name) => rowColumnOf(name, this.#map));
    this.#check();
    this.#kinds = Uint8Array.from(this.#columns, (column) => {
      if (column === undefined) return SKIP;
      return column === 'time' ? TIME : isText(column) ? TEXT : NUMBER;
    });
    const nothing = (): void => undefined;
    this.#numbers = this.#columns.map((column) =>
      column === undefined || column === 'time' || isText(column) ? nothing : SET_NUMBER[column],
    );
    this.#strings = this.#columns.map((column) => (column !== undefined && isText(column) ? SET_TEXT[column] : nothing));
  }

  #check(): void {
    const shown = `the header "${this.#names.join(',').slice(0, 200)}"`;
    if (!this.#columns.includes('time')) {
      throw historyFileError(
        this.#file,
        this.line,
        1,
        `${shown} has no column "time"`,
        'epoch seconds, milliseconds or ISO 8601 in a column of that name (or --map time=NAME)',
      );
    }
    if (!MEMORY_COLUMNS.some((column) => this.#columns.includes(column))) {
      const known = `one of ${MEMORY_COLUMNS.join(', ')} in bytes (or --map rss=NAME)`;
      throw historyFileError(this.#file, this.line, this.#names.length, `${shown} has no column of memory`, known);
    }
    const twice = this.#columns.findIndex((column, index) => column !== undefined && this.#columns.indexOf(column) !== index);
    if (twice >= 0) {
      const first = this.#columns.indexOf(this.#columns[twice]);
      const what = `${shown} has "${this.#columns[twice] ?? ''}" twice: "${this.#names[first] ?? ''}" and "${this.#names[twice] ?? ''}"`;
      throw historyFileError(this.#file, this.line, twice + 1, what, 'each column once');
    }
  }
}

/** Of the closing quote, a doubled one being none; -1 = not before `to`. */
function closingQuote(buffer: Buffer, from: number, to: number): number {
  for (let at = from; ; at += 2) {
    at = buffer.indexOf(QUOTE, at);
    if (at < 0 || at >= to) return -1;
    if (buffer[at + 1] !== QUOTE) return at;
  }
}

function lineBreaks(buffer: Buffer, from: number, to: number): number {
  let count = 0;
  for (let at = buffer.indexOf(NEWLINE, from); at >= 0 && at < to; at = buffer.indexOf(NEWLINE, at + 1)) count += 1;
  return count;
}

function isBlank(buffer: Buffer, from: number, to: number): boolean {
  for (let at = from; at < to; at += 1) if ((buffer[at] as number) > SPACE) return false;
  return true;
}

function characters(buffer: Buffer, from: number, to: number): number {
  return buffer.toString('utf8', from, to).length;
}

function separatorOf(buffer: Buffer, from: number, to: number): number {
  const line = buffer.toString('latin1', from, to);
  const counted = [',', ';', '\t'].map((one) => ({ one, count: line.split(one).length }));
  return counted.reduce((best, next) => (next.count > best.count ? next : best)).one.charCodeAt(0);
}
