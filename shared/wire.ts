/**
 * The batch of `shared/sample.ts` as bytes: columnar JSON, one agent flush a message. Compression belongs to the transport.
 *
 * What decoding makes of bad input (nothing else in the pipeline checks again):
 * - Not JSON, a missing or misshapen column of `processes`, `samples.process` or `samples.time`, no agent, boot or seq:
 *   the batch is refused, LKL_ERR_BATCH_MALFORMED. Version above ours: LKL_ERR_BATCH_VERSION. Beyond LIMITS: LKL_ERR_BATCH_TOO_LARGE.
 * - A row that names no valid process, or whose time is not whole milliseconds within arrival − maxAge … arrival + maxFuture:
 *   refused alone, counted by reason. Arrival is the moment the bus took the message, so a replay decides alike.
 *   A process without lifetime id, pid or start takes its rows with it, as does one beyond what its sender may name (series-limit.ts).
 * - A value that is negative, no number, above 2^53, or fractional where the unit is bytes or a count: absent, counted by column.
 *   So is every value of a metric column whose length is not that of `time`.
 * - A string too long is cut, control characters become spaces, an empty service becomes `unknown_service`, an unknown runtime
 *   `native`, an unknown exit reason `unknown`, labels beyond the limit are dropped: counted by field.
 * - Unknown fields are ignored.
 */
import { LeaklineError } from './errors.ts';
import { EXIT_REASONS, METRIC_NAMES, METRICS, RUNTIMES } from './sample.ts';
import type { Batch, ExitReason, MetricName, Runtime } from './sample.ts';

export const WIRE_VERSION = 1;

export const LIMITS = {
  encodedBytes: 32 * 1024 * 1024,
  rows: 100_000,
  processes: 20_000,
  nameLength: 255,
  labels: 32,
  labelNameLength: 64,
  labelValueLength: 256,
} as const;

export const REFUSALS = [
  'process_index',
  'process_identity',
  'time_not_a_number',
  'time_in_future',
  'time_too_old',
  'too_many_services',
  'too_many_series',
] as const;

/** Why a row was left out. */
export type Refusal = (typeof REFUSALS)[number];

/** Why a process that is sound may not be named all the same. */
export type Admit = (service: string, instance: string, lifetime: string) => 'too_many_services' | 'too_many_series' | undefined;

/** When the bus took the message and what times it may carry; all in milliseconds. */
export interface Arrival {
  readonly at: number;
  readonly maxFutureMs: number;
  readonly maxAgeMs: number;
}

/** What was wrong within a batch that was otherwise taken. Each map: what → how often. */
export interface BatchProblems {
  readonly refused: ReadonlyMap<Refusal, number>;
  readonly cleared: ReadonlyMap<string, number>;
  readonly normalised: ReadonlyMap<string, number>;
}

export interface DecodedBatch {
  readonly batch: Batch;
  readonly problems: BatchProblems;
}

/** NaN and infinities stand for "unknown" and are written as null. */
export function encodeBatch(batch: Batch): Buffer {
  return Buffer.from(JSON.stringify(batch));
}

/** Throws nothing but LKL_ERR_BATCH_MALFORMED, LKL_ERR_BATCH_VERSION and LKL_ERR_BATCH_TOO_LARGE. */
export function decodeBatch(encoded: Buffer, arrival: Arrival, admitting?: (agent: string) => Admit): DecodedBatch {
  const root = parse(encoded);
  const problems = { refused: new Map<Refusal, number>(), cleared: new Map<string, number>(), normalised: new Map<string, number>() };
  const header = decodeHeader(root, arrival, problems);
  const { processes, position } = decodeProcesses(root['processes'], admitting?.(header.agent), problems);
  const samples = decodeSamples(root['samples'], position, arrival, problems);
  const exits = decodeExits(root['exits'], position, arrival, problems);
  return { batch: { ...header, processes, samples, ...(exits && { exits }) }, problems };
}

type Fields = Readonly<Record<string, unknown>>;
type Row = unknown[];

interface Tally extends BatchProblems {
  readonly refused: Map<Refusal, number>;
  readonly cleared: Map<string, number>;
  readonly normalised: Map<string, number>;
}

const add = <Key>(counts: Map<Key, number>, key: Key, by = 1) => {
  counts.set(key, (counts.get(key) ?? 0) + by);
};

const malformed = (message: string, cause?: unknown) => new LeaklineError('LKL_ERR_BATCH_MALFORMED', message, { cause });

const tooLarge = (what: string, size: number, limit: number) =>
  new LeaklineError('LKL_ERR_BATCH_TOO_LARGE', `batch has ${size} ${what}, at most ${limit} are taken: send smaller batches`);

const isFields = (value: unknown): value is Fields => typeof value === 'object' && value !== null && !Array.isArray(value);

const isWhole = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;

function parse(encoded: Buffer): Fields {
  if (encoded.length > LIMITS.encodedBytes) throw tooLarge('bytes', encoded.length, LIMITS.encodedBytes);
  let root: unknown;
  try {
    root = JSON.parse(encoded.toString('utf8'));
  } catch (error) {
    throw malformed(`batch is not JSON: ${error instanceof Error ? error.message.slice(0, 120) : ''}`, error);
  }
  if (!isFields(root)) throw malformed('batch is not a JSON object');
  return root;
}

function decodeHeader(root: Fields, arrival: Arrival, problems: Tally): Pick<Batch, 'v' | 'agent' | 'boot' | 'seq' | 'sent_at'> {
  const { v, agent, boot, seq, sent_at: sentAt } = root;
  if (!isWhole(v) || v === 0) throw malformed(`batch has version v = ${shown(v)}, it must be a whole number from 1`);
  if (v > WIRE_VERSION) {
    throw new LeaklineError(
      'LKL_ERR_BATCH_VERSION',
      `batch has version ${v}, this release reads up to ${WIRE_VERSION}: upgrade gateway and ingester before agents`,
      { details: { version: v } },
    );
  }
  for (const [name, value] of [
    ['agent', agent],
    ['boot', boot],
  ] as const) {
    if (typeof value !== 'string' || value.length === 0 || value.length > LIMITS.nameLength)
      throw malformed(`batch has ${name} = ${shown(value)}, it must be a string of 1 to ${LIMITS.nameLength} characters`);
  }
  if (!isWhole(seq)) throw malformed(`batch has seq = ${shown(seq)}, it must be a whole number from 0`);
  if (!isWhole(sentAt)) add(problems.normalised, 'sent_at');
  return { v: WIRE_VERSION, agent: agent as string, boot: boot as string, seq, sent_at: isWhole(sentAt) ? sentAt : arrival.at };
}

/** A value as an error message may show it: short, on one line. */
function shown(value: unknown): string {
  if (value === undefined) return 'nothing';
  // Never stringify what may be nested a million deep.
  if (typeof value === 'object' && value !== null) return Array.isArray(value) ? 'an array' : 'an object';
  return JSON.stringify(value).slice(0, 60);
}

const NAME_COLUMNS = ['service', 'environment', 'version', 'host', 'instance'] as const;
const IDENTITY_COLUMNS = ['lifetime', 'pid', 'process_started_at', 'runtime', 'labels', ...NAME_COLUMNS] as const;
const LIFETIME = /^[0-9a-f]{16}$/;
/** 2200-01-01: what the store's time type certainly holds. */
const MAX_TIME_MS = 7_258_118_400_000;

/** Where a process of the message went among those kept, or why it was refused. */
type Position = number | ProcessRefusal;
type ProcessRefusal = 'process_identity' | NonNullable<ReturnType<Admit>>;
type IdentityColumns = Record<(typeof IDENTITY_COLUMNS)[number], Row>;

function decodeProcesses(
  value: unknown,
  admit: Admit | undefined,
  problems: Tally,
): { processes: Batch['processes']; position: readonly Position[] } {
  if (!isFields(value)) throw malformed('batch has no `processes` object');
  const count = Array.isArray(value['lifetime']) ? value['lifetime'].length : 0;
  if (count > LIMITS.processes) throw tooLarge('processes', count, LIMITS.processes);
  const columns = {} as IdentityColumns;
  for (const name of IDENTITY_COLUMNS) {
    const column = value[name];
    if (!Array.isArray(column) || column.length !== count)
      throw malformed(`processes.${name} is not an array as long as processes.lifetime`);
    columns[name] = column;
  }

  const position: Position[] = [...columns.lifetime.keys()];
  refuseProcesses(columns, position, (row) => (isIdentity(columns, row) ? undefined : 'process_identity'));
  for (const name of NAME_COLUMNS) cleanNames(columns[name], name, problems);
  const { service, instance, lifetime } = columns as Record<'service' | 'instance' | 'lifetime', string[]>;
  service.forEach((name, row) => {
    if (name === '') service[row] = replaced('service', 'unknown_service', problems);
  });
  if (admit !== undefined) refuseProcesses(columns, position, (row) => admit(service[row]!, instance[row]!, lifetime[row]!));
  for (let row = 0; row < columns.lifetime.length; row++) {
    if (!RUNTIMES.includes(columns.runtime[row] as Runtime)) columns.runtime[row] = replaced('runtime', 'native', problems);
    columns.labels[row] = cleanLabels(columns.labels[row], problems);
  }
  return { processes: columns as unknown as Batch['processes'], position };
}

/** Leaves out the processes that are refused; those behind them move up. */
function refuseProcesses(columns: IdentityColumns, position: Position[], refusalOf: (row: number) => ProcessRefusal | undefined): void {
  let kept = 0;
  const moved = columns.lifetime.map((_, row): Position => refusalOf(row) ?? kept++);
  if (kept === moved.length) return;
  for (const name of IDENTITY_COLUMNS) columns[name] = columns[name].filter((_, row) => typeof moved[row] === 'number');
  position.forEach((before, index) => {
    if (typeof before === 'number') position[index] = moved[before]!;
  });
}

function isIdentity(columns: Record<'lifetime' | 'pid' | 'process_started_at', Row>, row: number): boolean {
  const [lifetime, pid, startedAt] = [columns.lifetime[row], columns.pid[row], columns.process_started_at[row]];
  return (
    typeof lifetime === 'string' &&
    LIFETIME.test(lifetime) &&
    isWhole(pid) &&
    pid <= 0xffff_ffff &&
    isWhole(startedAt) &&
    startedAt <= MAX_TIME_MS
  );
}

function replaced<Value>(field: string, value: Value, problems: Tally): Value {
  add(problems.normalised, field);
  return value;
}

/** Nothing to clean: no control character, no half of a surrogate pair. The common case, so one native scan. */
// eslint-disable-next-line no-control-regex -- control characters are what it looks for
const CLEAN = /^[^\u0000-\u001f\u007f\ud800-\udfff]*$/;
// eslint-disable-next-line no-control-regex -- control characters are what it looks for
const CONTROL = /[\u0000-\u001f\u007f]/g;
const LONE_SURROGATE = /(?<![\ud800-\udbff])[\udc00-\udfff]|[\ud800-\udbff](?![\udc00-\udfff])/g;

/** At most `limit` UTF-16 units, on one line, well-formed. */
function cleanText(value: string, limit: number): string {
  if (value.length <= limit && CLEAN.test(value)) return value;
  return value.slice(0, limit).replace(CONTROL, ' ').replace(LONE_SURROGATE, '\ufffd');
}

function cleanNames(column: Row, field: string, problems: Tally): void {
  for (let row = 0; row < column.length; row++) {
    const value = column[row];
    const clean = typeof value === 'string' ? cleanText(value, LIMITS.nameLength) : '';
    if (clean !== value) column[row] = replaced(field, clean, problems);
  }
}

function cleanLabels(value: unknown, problems: Tally): Record<string, string> {
  if (!isFields(value)) return replaced('labels', {}, problems);
  let isClean = true;
  let count = 0;
  for (const name in value) {
    const text = value[name];
    isClean &&= ++count <= LIMITS.labels && name.length <= LIMITS.labelNameLength && CLEAN.test(name);
    isClean &&= typeof text === 'string' && text.length <= LIMITS.labelValueLength && CLEAN.test(text);
    if (!isClean) break;
  }
  if (isClean) return value as Record<string, string>;
  const entries: [string, string][] = [];
  let changed = 0;
  for (const [name, text] of Object.entries(value)) {
    if (entries.length === LIMITS.labels || typeof text !== 'string') {
      changed++;
      continue;
    }
    const clean: [string, string] = [cleanText(name, LIMITS.labelNameLength), cleanText(text, LIMITS.labelValueLength)];
    if (clean[0] !== name || clean[1] !== text) changed++;
    entries.push(clean);
  }
  if (changed > 0) add(problems.normalised, 'labels', changed);
  return Object.fromEntries(entries);
}

function decodeSamples(value: unknown, position: readonly Position[], arrival: Arrival, problems: Tally): Batch['samples'] {
  if (!isFields(value)) throw malformed('batch has no `samples` object');
  const { process, time } = value;
  if (!Array.isArray(process) || !Array.isArray(time) || process.length !== time.length)
    throw malformed('samples.process and samples.time are not arrays of one length');
  const rows = time.length;
  if (rows > LIMITS.rows) throw tooLarge('rows', rows, LIMITS.rows);
  const refused = refuseRows(process, time, position, arrival, problems);
  const keep = (column: Row) => (refused.size === 0 ? column : column.filter((_, row) => !refused.has(row)));

  const samples: Record<string, Row> = { process: keep(process), time: keep(time) };
  for (const name of METRIC_NAMES) {
    const column = value[name];
    if (column === undefined) continue;
    if (!Array.isArray(column) || column.length !== rows) {
      add(problems.cleared, name, rows);
      continue;
    }
    clearBadValues(column, name, problems);
    samples[name] = keep(column);
  }
  return samples as unknown as Batch['samples'];
}

/** Rows to leave out. Rewrites `process` to positions among the processes kept. */
function refuseRows(process: Row, time: Row, position: readonly Position[], arrival: Arrival, problems: Tally): Set<number> {
  const oldest = arrival.at - arrival.maxAgeMs;
  const newest = arrival.at + arrival.maxFutureMs;
  const refused = new Set<number>();
  for (let row = 0; row < time.length; row++) {
    const index = process[row];
    const at = time[row];
    const kept = isWhole(index) ? position[index] : undefined;
    let refusal: Refusal;
    if (kept === undefined) refusal = 'process_index';
    else if (typeof kept !== 'number') refusal = kept;
    else if (!Number.isSafeInteger(at)) refusal = 'time_not_a_number';
    else if ((at as number) > newest) refusal = 'time_in_future';
    else if ((at as number) < oldest) refusal = 'time_too_old';
    else {
      process[row] = kept;
      continue;
    }
    refused.add(row);
    add(problems.refused, refusal);
  }
  return refused;
}

const IS_WHOLE_UNIT = Object.fromEntries(METRIC_NAMES.map((name) => [name, METRICS[name].unit !== 's'])) as Record<MetricName, boolean>;

function clearBadValues(column: Row, name: MetricName, problems: Tally): void {
  const isWholeUnit = IS_WHOLE_UNIT[name];
  let cleared = 0;
  for (let row = 0; row < column.length; row++) {
    const value = column[row];
    if (value === null) continue;
    if (typeof value === 'number' && value >= 0 && value <= Number.MAX_SAFE_INTEGER && (!isWholeUnit || Number.isInteger(value))) continue;
    column[row] = null;
    cleared++;
  }
  if (cleared > 0) add(problems.cleared, name, cleared);
}

function decodeExits(value: unknown, position: readonly Position[], arrival: Arrival, problems: Tally): Batch['exits'] {
  if (value === undefined || value === null) return undefined;
  const { process, time, reason } = isFields(value) ? value : {};
  if (!Array.isArray(process) || !Array.isArray(time) || !Array.isArray(reason)) return replaced('exits', undefined, problems);
  if (process.length !== time.length || reason.length !== time.length) return replaced('exits', undefined, problems);
  if (time.length > LIMITS.processes) throw tooLarge('exits', time.length, LIMITS.processes);
  const refused = refuseRows(process, time, position, arrival, problems);
  for (let row = 0; row < reason.length; row++) {
    if (!EXIT_REASONS.includes(reason[row] as ExitReason)) reason[row] = replaced('exits.reason', 'unknown', problems);
  }
  const keep = (column: Row) => (refused.size === 0 ? column : column.filter((_, row) => !refused.has(row)));
  return { process: keep(process) as number[], time: keep(time) as number[], reason: keep(reason) as ExitReason[] };
}
