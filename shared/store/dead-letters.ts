/** Messages that could not be read, kept with the reason so that they can be looked at and sent again. */
import { createHash } from 'node:crypto';
import { isUtf8 } from 'node:buffer';
import { toSqlTime } from './sql-time.ts';
import type { Store } from './store.ts';

export interface DeadLetter {
  /** When it was refused, milliseconds UTC. */
  readonly at: number;
  /** Where it came from, e.g. `leakline.samples/3/1027`; with the payload it names the letter. */
  readonly source: string;
  /** Bus key; '' where there was none. */
  readonly agent: string;
  /** Code of the error. */
  readonly code: string;
  readonly reason: string;
  readonly payload: Buffer;
  /** Larger than what is kept: the payload is its beginning. */
  readonly isCut: boolean;
}

export interface StoredDeadLetter extends DeadLetter {
  readonly id: string;
}

/** A letter without its payload. */
export interface DeadLetterHead extends Omit<StoredDeadLetter, 'payload'> {
  readonly payloadBytes: number;
  /** When it was last sent again, milliseconds UTC. */
  readonly replayedAt: number | null;
}

/** Keeping the same letter again changes nothing. */
export async function insertDeadLetters(store: Store, letters: readonly DeadLetter[]): Promise<void> {
  await store.insertRows(
    'dead_letters',
    letters.map(({ at, payload, isCut, ...letter }) => ({
      ...letter,
      is_cut: isCut,
      id: createHash('sha256').update(letter.source).update('\0').update(payload).digest('hex').slice(0, 16),
      at: toSqlTime(at),
      payload: isUtf8(payload) ? payload.toString('utf8') : payload.toString('base64'),
      encoding: isUtf8(payload) ? 'utf8' : 'base64',
    })),
  );
}

export interface DeadLetterFilter {
  /** Milliseconds UTC. */
  readonly since?: number;
  readonly ids?: readonly string[];
  readonly code?: string;
  /** Only letters that were never sent again. */
  readonly isWaiting?: boolean;
  /** Default 100, newest first. */
  readonly limit?: number;
}

async function select<Row>(store: Store, columns: string, filter: DeadLetterFilter): Promise<(Row & { isCut: boolean })[]> {
  const { since = 0, ids = [], code = '', isWaiting = false, limit = 100 } = filter;
  const rows = await store.query<Row & { isCut: unknown }>(
    `SELECT d.id AS id, toUnixTimestamp64Milli(d.at) AS at, toString(source) AS source, agent, toString(code) AS code, reason,
      is_cut AS isCut, ${columns}
    FROM dead_letters AS d FINAL
    LEFT JOIN (SELECT id, max(at) AS at FROM dead_letter_replays GROUP BY id) AS r ON r.id = d.id
    WHERE d.at >= fromUnixTimestamp64Milli({since:Int64}) AND ({code:String} = '' OR d.code = {code:String})
      AND ({anyId:UInt8} = 1 OR d.id IN {ids:Array(String)}) AND ({isWaiting:UInt8} = 0 OR r.id = '')
    ORDER BY d.at DESC, d.id LIMIT {limit:UInt32}`,
    { since, ids, anyId: ids.length === 0 ? 1 : 0, code, isWaiting: isWaiting ? 1 : 0, limit },
  );
  return rows.map((row) => ({ ...row, isCut: Boolean(row.isCut) }));
}

export async function listDeadLetters(store: Store, filter: DeadLetterFilter = {}): Promise<DeadLetterHead[]> {
  const columns = `length(if(encoding = 'base64', base64Decode(payload), payload)) AS payloadBytes,
    if(r.id = '', NULL, toUnixTimestamp64Milli(r.at)) AS replayedAt`;
  return select<DeadLetterHead>(store, columns, filter);
}

/** With what they hold. */
export async function readDeadLetters(store: Store, filter: DeadLetterFilter = {}): Promise<StoredDeadLetter[]> {
  const rows = await select<Omit<StoredDeadLetter, 'payload'> & { payload: string; encoding: BufferEncoding }>(
    store,
    'payload, toString(encoding) AS encoding',
    filter,
  );
  return rows.map(({ encoding, payload, ...row }) => ({ ...row, payload: Buffer.from(payload, encoding) }));
}

/** Remembers that letters were sent again, by whom. */
export async function recordReplays(store: Store, ids: readonly string[], at: number, actor: string): Promise<void> {
  await store.insertRows(
    'dead_letter_replays',
    ids.map((id) => ({ id, at: toSqlTime(at), actor })),
  );
}
