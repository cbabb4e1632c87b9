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
}

export interface StoredDeadLetter extends DeadLetter {
  readonly id: string;
}

/** Keeping the same letter again changes nothing. */
export async function insertDeadLetters(store: Store, letters: readonly DeadLetter[]): Promise<void> {
  await store.insertRows(
    'dead_letters',
    letters.map(({ at, payload, ...letter }) => ({
      ...letter,
      id: createHash('sha256').update(letter.source).update('\0').update(payload).digest('hex').slice(0, 16),
      at: toSqlTime(at),
      payload: isUtf8(payload) ? payload.toString('utf8') : payload.toString('base64'),
      encoding: isUtf8(payload) ? 'utf8' : 'base64',
    })),
  );
}

export interface DeadLetterFilter {
  readonly since?: number;
  readonly id?: string;
  /** Default 100, newest first. */
  readonly limit?: number;
}

export async function readDeadLetters(store: Store, filter: DeadLetterFilter = {}): Promise<StoredDeadLetter[]> {
  const rows = await store.query<Omit<StoredDeadLetter, 'payload'> & { payload: string; encoding: BufferEncoding }>(
    `SELECT id, toUnixTimestamp64Milli(d.at) AS at, source, agent, code, reason, payload, encoding FROM dead_letters AS d FINAL
    WHERE d.at >= fromUnixTimestamp64Milli({since:Int64}) AND ({id:String} = '' OR id = {id:String})
    ORDER BY at DESC, id LIMIT {limit:UInt32}`,
    { since: filter.since ?? 0, id: filter.id ?? '', limit: filter.limit ?? 100 },
  );
  return rows.map(({ encoding, payload, ...row }) => ({ ...row, payload: Buffer.from(payload, encoding) }));
}
