/**
 * Reads a message at the speed of its bytes when it stands exactly as encodeBatch writes it, nothing in it is wrong, and its
 * processes are those the agent named before. Anything else is left to decodeBatch, which gives the same batch, or says what
 * is wrong: this file only recognises, so there is one place that judges.
 * (JSON.parse makes an object per process and a string per name, which cost more than everything after them.)
 */
import { METRIC_NAMES, METRICS, type MetricName } from './sample.ts';
import { LIMITS, WIRE_VERSION, type Arrival } from './wire.ts';

/** What an agent said last of its processes: the bytes of that object, and how many they are. */
export interface KnownProcesses {
  readonly text: Buffer;
  readonly count: number;
}

/** A batch of which only the samples had to be read. Its arrays are overwritten by the next scan. */
export interface ScannedBatch<Known extends KnownProcesses> {
  readonly agent: string;
  readonly boot: string;
  readonly seq: number;
  readonly known: Known;
  readonly process: Float64Array;
  readonly time: Float64Array;
  /** NaN = absent. */
  readonly metrics: { readonly [Name in MetricName]?: Float64Array };
}

const START = Buffer.from(`{"v":${WIRE_VERSION},`);
const NULL = Buffer.from('null');

const [QUOTE, COMMA, COLON, BACKSLASH] = [0x22, 0x2c, 0x3a, 0x5c];
const [BRACKET, BRACKET_END, BRACE, BRACE_END] = [0x5b, 0x5d, 0x7b, 0x7d];
const [MINUS, PLUS, POINT, ZERO, SMALL_E, SMALL_N] = [0x2d, 0x2b, 0x2e, 0x30, 0x65, 0x6e];

/** Of so many digits every number, and ten to the power of so many, is exact as a double; so is the quotient, rounded once. */
const EXACT_DIGITS = 15;
const POWERS_OF_TEN = Array.from({ length: EXACT_DIGITS + 1 }, (_, power) => 10 ** power);

/** No such number: the general way has to be taken. */
const NO = -1;

const SAMPLE_COLUMNS: ReadonlyMap<string, { readonly index: number; readonly isWhole: boolean }> = new Map(
  ['process', 'time', ...METRIC_NAMES].map((name, index) => [
    name,
    { index, isWhole: !(name in METRICS) || METRICS[name as MetricName].unit !== 's' },
  ]),
);

export class BatchScanner {
  /** By the order of SAMPLE_COLUMNS; grown as messages ask for it. */
  readonly #columns = Array.from({ length: SAMPLE_COLUMNS.size }, () => new Float64Array(64));
  #bytes: Buffer = Buffer.alloc(0);
  /** Where the next token starts. */
  #at = 0;
  /** Length of the column read last. */
  #length = 0;

  /** `knownOf` an agent: what it said before. undefined: take the general way. */
  scan<Known extends KnownProcesses>(
    bytes: Buffer,
    arrival: Arrival,
    knownOf: (agent: string) => Known | undefined,
  ): ScannedBatch<Known> | undefined {
    const header = this.#header(bytes);
    if (header === undefined) return undefined;
    const known = knownOf(header.agent);
    if (known === undefined || !this.#isNext(known.text, this.#at)) return undefined;
    this.#at += known.text.length;
    const present = this.#samples();
    if (present === undefined || this.#at !== bytes.length) return undefined;
    const rows = this.#length;
    const [process, time] = this.#columns.slice(0, 2).map((column) => column.subarray(0, rows)) as [Float64Array, Float64Array];
    if (!this.#isAccepted(process, time, known.count, arrival)) return undefined;
    const metrics: Partial<Record<MetricName, Float64Array>> = {};
    METRIC_NAMES.forEach((name, index) => {
      if ((present >>> (index + 2)) & 1) metrics[name] = this.#columns[index + 2]!.subarray(0, rows);
    });
    return { ...header, known, process, time, metrics };
  }

  /** The bytes of `processes` in a message laid out as encodeBatch does; undefined: it is not. */
  processesOf(bytes: Buffer): Buffer | undefined {
    if (this.#header(bytes) === undefined) return undefined;
    let depth = 0;
    for (let at = this.#at; at < bytes.length; at++) {
      const byte = bytes[at]!;
      if (byte === QUOTE) {
        do {
          at = bytes.indexOf(QUOTE, at + 1);
          if (at < 0) return undefined;
        } while (isEscaped(bytes, at));
      } else if (byte === BRACE) depth++;
      else if (byte === BRACE_END && --depth === 0) return bytes.subarray(this.#at, at + 1);
    }
    return undefined;
  }

  /** Up to the value of `processes`. */
  #header(bytes: Buffer): { agent: string; boot: string; seq: number } | undefined {
    this.#bytes = bytes;
    this.#at = START.length;
    if (bytes.length > LIMITS.encodedBytes || !this.#isNext(START, 0)) return undefined;
    if (!this.#skip('"agent":')) return undefined;
    const agent = this.#string();
    if (agent === undefined || !this.#skip(',"boot":')) return undefined;
    const boot = this.#string();
    if (boot === undefined || !this.#skip(',"seq":')) return undefined;
    const seq = this.#number(true);
    if (!(seq >= 0) || !this.#skip(',"sent_at":')) return undefined;
    if (!(this.#number(true) >= 0) || !this.#skip(',"processes":')) return undefined;
    return bytes[this.#at] === BRACE ? { agent, boot, seq } : undefined;
  }

  #isNext(text: Buffer, at: number): boolean {
    const end = at + text.length;
    return end <= this.#bytes.length && this.#bytes.compare(text, 0, text.length, at, end) === 0;
  }

  #skip(text: string): boolean {
    for (let index = 0; index < text.length; index++) if (this.#bytes[this.#at + index] !== text.charCodeAt(index)) return false;
    this.#at += text.length;
    return true;
  }

  /** Of plain characters only, at least one. */
  #string(): string | undefined {
    if (this.#bytes[this.#at] !== QUOTE) return undefined;
    const start = this.#at + 1;
    let end = start;
    for (let byte = this.#bytes[end]!; byte !== QUOTE; byte = this.#bytes[++end]!)
      if (!(byte >= 0x20 && byte < 0x7f && byte !== BACKSLASH)) return undefined;
    if (end === start || end - start > LIMITS.nameLength) return undefined;
    this.#at = end + 1;
    return this.#bytes.toString('latin1', start, end);
  }

  /** To the end of the message. A bit per column that was there. */
  #samples(): number | undefined {
    if (!this.#skip(',"samples":{')) return undefined;
    const bytes = this.#bytes;
    let present = 0;
    let rows = NO;
    for (;;) {
      const name = this.#string();
      const column = name === undefined ? undefined : SAMPLE_COLUMNS.get(name);
      if (column === undefined || (present >>> column.index) & 1) return undefined;
      if (bytes[this.#at] !== COLON || bytes[this.#at + 1] !== BRACKET) return undefined;
      this.#at += 2;
      if (!this.#numbers(column.index, column.isWhole)) return undefined;
      if (rows !== NO && this.#length !== rows) return undefined;
      rows = this.#length;
      present |= 1 << column.index;
      if (bytes[this.#at] !== COMMA) break;
      this.#at++;
    }
    const hasBoth = (present & 3) === 3;
    return hasBoth && this.#skip('}}') ? present : undefined;
  }

  /** A column, to behind its bracket. Whole numbers, which are nearly all, without a call for each (0.46 µs a row, 0.53 with). */
  #numbers(index: number, isWhole: boolean): boolean {
    const bytes = this.#bytes;
    let values = this.#columns[index]!;
    let length = 0;
    let at = this.#at;
    for (;;) {
      const start = at;
      let value = 0;
      // After a leading zero no digit may follow: then what is next is no comma.
      if (bytes[at] === ZERO) at++;
      else for (let digit = bytes[at]! - ZERO; digit >= 0 && digit <= 9; digit = bytes[++at]! - ZERO) value = value * 10 + digit;
      let next = bytes[at];
      if (at === start || at - start > EXACT_DIGITS || (next !== COMMA && next !== BRACKET_END)) {
        this.#at = start;
        value = this.#uncommon(isWhole);
        if (value === NO) return false;
        at = this.#at;
        next = bytes[at];
      }
      if (length === values.length) {
        const grown = new Float64Array(length * 2);
        grown.set(values);
        this.#columns[index] = values = grown;
      }
      values[length++] = value;
      at++;
      if (next === COMMA) continue;
      this.#at = at;
      this.#length = length;
      return next === BRACKET_END && length <= LIMITS.rows;
    }
  }

  /** null, a fraction, or what the general way has to judge (NO). */
  #uncommon(isWhole: boolean): number {
    if (this.#bytes[this.#at] !== SMALL_N) return this.#number(isWhole);
    if (!this.#isNext(NULL, this.#at)) return NO;
    this.#at += 4;
    return NaN;
  }

  /** A number of JSON that is not negative; NO: it is none of those that are common. */
  #number(isWhole: boolean): number {
    const bytes = this.#bytes;
    const start = this.#at;
    let at = start;
    let value = 0;
    let digit = bytes[at]! - ZERO;
    if (digit === 0) digit = bytes[++at]! - ZERO;
    else if (!(digit > 0 && digit <= 9)) return NO;
    // After a leading zero no digit may follow.
    else for (; digit >= 0 && digit <= 9; digit = bytes[++at]! - ZERO) value = value * 10 + digit;
    if (digit >= 0 && digit <= 9) return NO;
    this.#at = at;
    const next = bytes[at];
    if (next !== POINT && next !== SMALL_E) return at - start <= EXACT_DIGITS ? value : NO;
    return isWhole ? NO : this.#fraction(start, value);
  }

  /** From the point or the exponent on, of a number that began at `start` with `whole`. */
  #fraction(start: number, whole: number): number {
    const bytes = this.#bytes;
    const point = this.#at;
    let at = point;
    let value = whole;
    if (bytes[at] === POINT) {
      for (let digit = bytes[++at]! - ZERO; digit >= 0 && digit <= 9; digit = bytes[++at]! - ZERO) value = value * 10 + digit;
      if (at === point + 1) return NO;
    }
    const decimals = Math.max(0, at - point - 1);
    if (bytes[at] === SMALL_E) {
      const sign = bytes[++at];
      if (sign === MINUS || sign === PLUS) at++;
      const first = at;
      for (let digit = bytes[at]! - ZERO; digit >= 0 && digit <= 9; digit = bytes[++at]! - ZERO);
      if (at === first) return NO;
    } else if (at - start <= EXACT_DIGITS) {
      this.#at = at;
      return value / POWERS_OF_TEN[decimals]!;
    }
    this.#at = at;
    const parsed = Number(bytes.toString('latin1', start, at));
    return parsed <= Number.MAX_SAFE_INTEGER ? parsed : NO;
  }

  /** decodeBatch would refuse no row. */
  #isAccepted(process: Float64Array, time: Float64Array, processes: number, arrival: Arrival): boolean {
    const oldest = arrival.at - arrival.maxAgeMs;
    const newest = arrival.at + arrival.maxFutureMs;
    for (let row = 0; row < time.length; row++) {
      // NaN fails every comparison.
      if (!(process[row]! < processes && time[row]! >= oldest && time[row]! <= newest)) return false;
    }
    return true;
  }
}

/** An odd number of backslashes stands before it. */
function isEscaped(bytes: Buffer, at: number): boolean {
  let backslashes = 0;
  while (bytes[at - 1 - backslashes] === BACKSLASH) backslashes++;
  return backslashes % 2 === 1;
}
