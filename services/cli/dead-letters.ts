/** `leakline dead-letters list | replay`, asked of a running console. */
import Table from 'cli-table3';
import ms, { type StringValue } from 'ms';
import { systemClock } from '../../shared/clock.ts';
import { LeaklineError } from '../../shared/errors.ts';
import type { DeadLetterList, ReplayResult } from '../console/api-schema.ts';
import { call, type ConsoleTarget } from './console-client.ts';

export interface DeadLetterFlags {
  readonly reason?: string;
  readonly since?: string;
  readonly limit: string;
  readonly json?: boolean;
}

/** What one request may ask for. */
const REPLAYED_AT_ONCE = 16;

const wrong = (flag: string, value: string, rule: string) => new LeaklineError('LKL_ERR_USAGE', `--${flag} ${value}: must be ${rule}`);

function queryOf({ reason = '', since, limit }: DeadLetterFlags, isWaiting: boolean): string {
  const backMs = since === undefined ? Infinity : ms(since as StringValue);
  // Of what is no duration `ms` makes undefined.
  if (!(backMs > 0)) throw wrong('since', since ?? '', 'a duration such as 30m, 1h or 2d');
  if (!/^[1-9]\d{0,4}$/.test(limit) || Number(limit) > 10_000) throw wrong('limit', limit, 'a whole number from 1 to 10000');
  const from = Math.max(0, systemClock.now() - backMs);
  return new URLSearchParams({ reason, since: String(Math.round(from)), limit, waiting: String(isWaiting) }).toString();
}

async function list(target: ConsoleTarget, flags: DeadLetterFlags, isWaiting: boolean): Promise<DeadLetterList['deadLetters']> {
  const answer = await call(target, `/api/v1/dead-letters?${queryOf(flags, isWaiting)}`);
  return ((await answer.json()) as DeadLetterList).deadLetters;
}

export async function printDeadLetters(target: ConsoleTarget, flags: DeadLetterFlags): Promise<void> {
  const letters = await list(target, flags, false);
  if (flags.json === true) {
    process.stdout.write(`${JSON.stringify(letters, null, 2)}\n`);
    return;
  }
  if (letters.length === 0) {
    process.stdout.write('no dead letters\n');
    return;
  }
  const table = new Table({ head: ['id', 'arrived', 'agent', 'code', 'reason', 'bytes', 'sent again'], style: { head: [], border: [] } });
  for (const { id, at, agent, code, reason, payloadBytes, replayedAt } of letters) {
    table.push([id, time(at), agent, code, reason.slice(0, 100), payloadBytes, replayedAt === null ? '' : time(replayedAt)]);
  }
  process.stdout.write(`${table.toString()}\n`);
}

/** False when one could not be sent again. */
export async function replayDeadLetters(target: ConsoleTarget, named: readonly string[], flags: DeadLetterFlags): Promise<boolean> {
  if (named.length === 0 && flags.reason === undefined && flags.since === undefined)
    throw new LeaklineError(
      'LKL_ERR_USAGE',
      'name what to send again: ids as `leakline dead-letters list` shows them, --reason or --since',
    );
  const ids = named.length > 0 ? named : (await list(target, flags, true)).map(({ id }) => id);
  const results: ReplayResult['results'] = [];
  for (let at = 0; at < ids.length; at += REPLAYED_AT_ONCE) {
    const answer = await call(target, '/api/v1/dead-letters/replay', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ ids: ids.slice(at, at + REPLAYED_AT_ONCE) }),
    });
    results.push(...((await answer.json()) as ReplayResult).results);
  }
  const refused = results.filter(({ refusal }) => refusal !== null);
  if (flags.json === true) process.stdout.write(`${JSON.stringify(results, null, 2)}\n`);
  else {
    for (const { id, refusal } of refused) process.stdout.write(`${id}: not sent: ${refusal}\n`);
    process.stdout.write(`${results.length - refused.length} sent again, ${refused.length} not\n`);
  }
  return refused.length === 0;
}

const time = (at: number): string => `${new Date(at).toISOString().slice(0, 19)}Z`;
