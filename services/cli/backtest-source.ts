/** Where `leakline backtest` takes its rows from, by its flags: files and folders, or a Prometheus API. */
import ms, { type StringValue } from 'ms';
import { LeaklineError } from '../../shared/errors.ts';
import { prometheusRows, type PrometheusRange } from '../detector/history-prometheus.ts';
import { cellTime, MEMORY_COLUMNS, NUMBER_COLUMNS, rowColumnOf, type ColumnMap, type RowColumn } from '../detector/history-row.ts';
import { fileRows, type RowSource } from '../detector/history-source.ts';

export interface SourceFlags {
  /** OURS=THEIRS. */
  readonly map: readonly string[];
  readonly prometheus?: string;
  readonly query: readonly string[];
  readonly from: string;
  readonly to?: string;
  readonly resolution: string;
  readonly serviceLabel?: string;
  readonly instanceLabel?: string;
}

/** What names a service and a process where nobody says: containers first, for there `service` and `job` are the exporter's. */
const SERVICE_LABELS = ['container', 'app', 'service', 'job'];
const INSTANCE_LABELS = ['pod', 'instance'];

export function sourceOf(flags: SourceFlags, files: readonly string[], token: string, now: number): RowSource {
  if (flags.prometheus !== undefined) {
    if (files.length > 0) throw usage(`files (${files.join(', ')}) and --prometheus: give one of them`);
    return prometheusRows(rangeOf(flags, flags.prometheus, token, now));
  }
  if (files.length === 0) throw usage('no history: name files or folders, or --prometheus URL --query EXPR');
  return fileRows(files, columnMap(flags.map));
}

function rangeOf(flags: SourceFlags, url: string, token: string, now: number): PrometheusRange {
  // The address is not shown: it may hold a password.
  if (!/^https?:\/\//i.test(url) || !URL.canParse(url)) throw usage('--prometheus: must be an address such as http://127.0.0.1:9090');
  const queries = flags.query.map(queryOf);
  if (!queries.some(({ column }) => MEMORY_COLUMNS.includes(column)))
    throw usage('--query: at least one for memory, such as rss=process_resident_memory_bytes');
  const resolutionMs = durationOf('--resolution', flags.resolution);
  // Whole steps of the resolution, so that the same range is asked for the same points.
  const to = Math.floor((flags.to === undefined ? now : timeOf('--to', flags.to)) / resolutionMs) * resolutionMs;
  const before = ms(flags.from as StringValue) as number | undefined;
  const isLength = before !== undefined && Number.isFinite(before) && !/^\d+$/.test(flags.from);
  const from = Math.ceil((isLength ? to - before : timeOf('--from', flags.from)) / resolutionMs) * resolutionMs;
  if (from >= to) throw usage(`--from ${flags.from}: must lie before --to`);
  return {
    url,
    token,
    queries,
    from,
    to,
    resolutionMs,
    serviceLabels: flags.serviceLabel === undefined ? SERVICE_LABELS : [flags.serviceLabel],
    instanceLabels: flags.instanceLabel === undefined ? INSTANCE_LABELS : [flags.instanceLabel],
  };
}

/** `limit=EXPR`; an expression may itself have an equals sign, so only names of columns count. */
function queryOf(flag: string): PrometheusRange['queries'][number] {
  const match = /^(\w+)=(?![=~])(.+)$/s.exec(flag.trim());
  const column = NUMBER_COLUMNS.find((name) => name === match?.[1]);
  return column === undefined || match?.[2] === undefined ? { column: 'rss', expression: flag.trim() } : { column, expression: match[2] };
}

function columnMap(flags: readonly string[]): ColumnMap {
  const map = new Map<string, RowColumn>();
  for (const flag of flags) {
    const [ours = '', ...theirs] = flag.split('=');
    const column = rowColumnOf(ours);
    const name = theirs.join('=').trim().toLowerCase();
    if (column === undefined || name === '')
      throw usage(`--map ${flag}: must be COLUMN=NAME IN THE FILE, such as rss=container_memory_rss`);
    map.set(name, column);
  }
  return map;
}

export function durationOf(option: string, text: string): number {
  const duration = ms(text as StringValue) as number | undefined;
  if (duration !== undefined && duration > 0) return duration;
  throw usage(`${option} ${text}: must be a duration such as 5m`);
}

function timeOf(option: string, text: string): number {
  const at = cellTime(text);
  if (!Number.isNaN(at)) return at;
  throw usage(`${option} ${text}: must be ISO 8601 or epoch seconds${option === '--from' ? ', or a duration such as 14d' : ''}`);
}

const usage = (what: string): LeaklineError => new LeaklineError('LKL_ERR_USAGE', what);
