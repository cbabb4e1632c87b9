/**
 * Reads history from a Prometheus HTTP API (also Thanos, Mimir, VictoriaMetrics): `query_range` page by page, each page small enough
 * for the server's 11,000 points per series and for our memory, joined by service and instance, in order of time.
 */
import { LeaklineError } from '../../shared/errors.ts';
import type { HistoryCounts } from './history-file.ts';
import { cellNumber, HistoryRow, SET_NUMBER, type NumberColumn } from './history-row.ts';
import type { HistoryProgress, RowSource } from './history-source.ts';

export interface PrometheusRange {
  readonly url: string;
  /** '' = none. Never part of a message. */
  readonly token: string;
  readonly queries: readonly { readonly column: NumberColumn; readonly expression: string }[];
  /** ms UTC. */
  readonly from: number;
  readonly to: number;
  readonly resolutionMs: number;
  /** Labels that name service and instance: the first of them that a series has. */
  readonly serviceLabels: readonly string[];
  readonly instanceLabels: readonly string[];
}

/** The server's own limit. */
const MOST_POINTS = 11_000;
/** Samples of one page over all series: some 15 MB of JSON. */
const PAGE_SAMPLES = 400_000;
const FIRST_PAGE_POINTS = 60;
const TIMEOUT_MS = 120_000;
const MAX_BODY_BYTES = 256 * 2 ** 20;

interface Series {
  readonly metric: Readonly<Record<string, string>>;
  readonly values: readonly (readonly [number, string])[];
}

interface Page {
  readonly from: number;
  readonly points: number;
}

export function prometheusRows(range: PrometheusRange): RowSource {
  return {
    read: (onRow, counts, onProgress) => new Reading(range, onRow, counts, onProgress).run(),
    checkRepeatable: () => undefined,
  };
}

class Reading {
  readonly #range: PrometheusRange;
  readonly #onRow: (row: HistoryRow) => void;
  readonly #counts: HistoryCounts;
  readonly #onProgress: ((progress: HistoryProgress) => void) | undefined;
  readonly #row = new HistoryRow();
  readonly #base: URL;
  readonly #headers: Readonly<Record<string, string>>;
  #pagePoints = FIRST_PAGE_POINTS;

  constructor(
    range: PrometheusRange,
    onRow: (row: HistoryRow) => void,
    counts: HistoryCounts,
    onProgress: ((progress: HistoryProgress) => void) | undefined,
  ) {
    this.#range = range;
    this.#onRow = onRow;
    this.#counts = counts;
    this.#onProgress = onProgress;
    this.#base = new URL(range.url);
    this.#headers = authorization(this.#base, range.token);
    this.#base.username = this.#base.password = '';
  }

  async run(): Promise<void> {
    const { from, to, resolutionMs } = this.#range;
    for (let at = from; at <= to;) {
      const points = Math.min(this.#pagePoints, Math.floor((to - at) / resolutionMs) + 1);
      const read = await this.#page({ from: at, points });
      at += read * resolutionMs;
      this.#onProgress?.({ stage: 'judging', rows: this.#counts.rows, share: Math.min(1, (at - from) / Math.max(1, to - from)) });
    }
    if (this.#counts.rows === 0) {
      throw new LeaklineError(
        'LKL_ERR_HISTORY_FILE',
        `no samples between ${iso(from)} and ${iso(to)} for ${this.#range.queries.map(({ expression }) => expression).join(' and ')}; look at the names, --from and --to`,
      );
    }
  }

  /** Returns how many points were read: fewer than asked where the server had to be asked for less. */
  async #page(page: Page): Promise<number> {
    let points = page.points;
    for (;;) {
      try {
        const answers: Series[][] = [];
        for (const { expression } of this.#range.queries) answers.push(await this.#query(expression, page.from, points));
        this.#emit(page.from, points, answers);
        return points;
      } catch (error) {
        if (!(error instanceof TooMuch) || points === 1) throw error instanceof TooMuch ? error.cause : error;
        points = Math.ceil(points / 2);
        this.#pagePoints = points;
      }
    }
  }

  async #query(expression: string, from: number, points: number): Promise<Series[]> {
    const { resolutionMs } = this.#range;
    const url = new URL(this.#base);
    url.pathname = `${url.pathname.replace(/\/+$/, '')}/api/v1/query_range`;
    const body = new URLSearchParams({
      query: expression,
      start: String(from / 1000),
      end: String((from + (points - 1) * resolutionMs) / 1000),
      step: String(resolutionMs / 1000),
    });
    const response = await fetch(url, {
      method: 'POST',
      body,
      headers: { ...this.#headers, accept: 'application/json' },
      redirect: 'error',
      signal: AbortSignal.timeout(TIMEOUT_MS),
    }).catch((cause: unknown) => {
      throw new LeaklineError('LKL_ERR_UNREACHABLE', `${url.origin} does not answer: ${reasonOf(cause)}; check --prometheus`, { cause });
    });
    return seriesOf(await textOf(response, url.origin), response.status, url.origin, expression);
  }

  /** One page in order of time: every series is laid on the grid of the page, then read off step by step. */
  #emit(from: number, points: number, answers: readonly Series[][]): void {
    const { queries, resolutionMs } = this.#range;
    const grid = new PageGrid(this.#range, from, points);
    for (const [index, series] of answers.entries()) grid.lay(queries[index]!.column, series);
    const widest = Math.max(1, ...answers.map((series) => series.length));
    this.#pagePoints = Math.min(MOST_POINTS, Math.max(1, Math.floor(PAGE_SAMPLES / widest)));
    const row = this.#row;
    for (let point = 0; point < points; point += 1) {
      for (const { service, instance, columns } of grid.lines.values()) {
        row.reset();
        let isThere = false;
        for (const [column, values] of columns) {
          const value = values[point]!;
          SET_NUMBER[column](row, value);
          isThere ||= !Number.isNaN(value) && MEMORY.has(column);
        }
        if (!isThere) continue;
        row.time = from + point * resolutionMs;
        row.service = service;
        row.instance = instance;
        this.#counts.rows += 1;
        this.#onRow(row);
      }
    }
  }
}

/** A limit alone is no sample. */
const MEMORY = new Set<NumberColumn>(['rss', 'anon', 'working_set', 'heap_used', 'heap_live']);

interface Line {
  readonly service: string;
  readonly instance: string;
  readonly columns: Map<NumberColumn, Float64Array>;
}

class PageGrid {
  readonly lines = new Map<string, Line>();
  readonly #range: PrometheusRange;
  readonly #from: number;
  readonly #points: number;

  constructor(range: PrometheusRange, from: number, points: number) {
    this.#range = range;
    this.#from = from;
    this.#points = points;
  }

  lay(column: NumberColumn, answer: readonly Series[]): void {
    const owners = new Map<string, Series>();
    for (const series of answer) {
      const service = labelOf(series, this.#range.serviceLabels) ?? 'unnamed';
      const instance = labelOf(series, this.#range.instanceLabels);
      const key = JSON.stringify([service, instance]);
      const other = owners.get(key);
      if (other !== undefined) throw ambiguous(column, service, instance, other, series);
      owners.set(key, series);
      // A limit that names no instance is that of all of its service.
      const lines = instance === undefined && !MEMORY.has(column) ? this.#linesOf(service) : [this.#line(service, instance ?? service)];
      for (const { columns } of lines) columns.set(column, this.#values(series));
    }
  }

  #linesOf(service: string): Line[] {
    return [...this.lines.values()].filter((line) => line.service === service);
  }

  #line(service: string, instance: string): Line {
    const key = JSON.stringify([service, instance]);
    const line = this.lines.get(key) ?? { service, instance, columns: new Map() };
    this.lines.set(key, line);
    return line;
  }

  #values({ values }: Series): Float64Array {
    const grid = new Float64Array(this.#points).fill(Number.NaN);
    for (const [seconds, text] of values) {
      const point = Math.round((seconds * 1000 - this.#from) / this.#range.resolutionMs);
      if (point >= 0 && point < grid.length) grid[point] = cellNumber(text) ?? Number.NaN;
    }
    return grid;
  }
}

function labelOf({ metric }: Series, names: readonly string[]): string | undefined {
  const name = names.find((one) => (metric[one] ?? '') !== '');
  return name === undefined ? undefined : metric[name];
}

function ambiguous(column: string, service: string, instance: string | undefined, one: Series, other: Series): LeaklineError {
  const [a, b] = [JSON.stringify(one.metric).slice(0, 300), JSON.stringify(other.metric).slice(0, 300)];
  return new LeaklineError(
    'LKL_ERR_USAGE',
    `two series of ${column} are service "${service}", instance "${instance ?? ''}": ${a} and ${b}; name the labels that tell them apart (--service-label, --instance-label) or aggregate them in the query`,
  );
}

/** The server cannot answer so much at once; half of it may do. */
class TooMuch extends Error {}

function seriesOf(text: string, status: number, origin: string, expression: string): Series[] {
  const answer = parse(text);
  if (answer?.status === 'success' && answer.data?.resultType === 'matrix') return answer.data.result ?? [];
  const said = `${origin} answers ${String(status)} to ${expression}: ${answer?.error ?? (text.slice(0, 200).trim() || 'nothing')}`;
  if (status === 401 || status === 403) {
    throw new LeaklineError('LKL_ERR_UNAUTHORIZED', `${said}; set LEAKLINE_BACKTEST_PROMETHEUS_TOKEN or its _FILE`);
  }
  const isBusy = status === 429 || status >= 500;
  const isTooMuch = /too many samples|maximum resolution|timed out|timeout|exceed/i.test(answer?.error ?? '') || status === 413;
  const code = isBusy && status !== 503 ? 'LKL_ERR_UNREACHABLE' : 'LKL_ERR_USAGE';
  const error = new LeaklineError(code, `${said}; check --prometheus and --query`);
  throw isTooMuch ? new TooMuch(said, { cause: error }) : error;
}

interface Answer {
  readonly status?: string;
  readonly error?: string;
  readonly data?: { readonly resultType?: string; readonly result?: Series[] };
}

function parse(text: string): Answer | undefined {
  try {
    return JSON.parse(text) as Answer;
  } catch {
    return undefined;
  }
}

async function textOf(response: Response, origin: string): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  try {
    for await (const chunk of response.body ?? []) {
      const bytes = chunk as Uint8Array;
      size += bytes.length;
      if (size > MAX_BODY_BYTES) throw new TooMuch('', { cause: tooLarge(origin) });
      chunks.push(bytes);
    }
  } catch (cause) {
    if (cause instanceof TooMuch) throw cause;
    throw new LeaklineError('LKL_ERR_UNREACHABLE', `the answer of ${origin} broke off: ${reasonOf(cause)}`, { cause });
  }
  return Buffer.concat(chunks).toString('utf8');
}

const tooLarge = (origin: string): LeaklineError =>
  new LeaklineError('LKL_ERR_USAGE', `one moment of ${origin} is more than ${String(MAX_BODY_BYTES)} bytes; narrow the query`);

/** A token, or user and password from the address, which then leave it. */
function authorization({ username, password }: URL, token: string): Record<string, string> {
  if (token !== '') return { authorization: `Bearer ${token}` };
  if (username === '') return {};
  const pair = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  return { authorization: `Basic ${Buffer.from(pair).toString('base64')}` };
}

function reasonOf(error: unknown): string {
  const { message, cause } = error instanceof Error ? error : { message: String(error), cause: undefined };
  return cause instanceof Error ? `${message} (${cause.message})` : message;
}

const iso = (at: number): string => new Date(at).toISOString();
