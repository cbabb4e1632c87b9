import { NumberColumns } from '../../../shared/store/native-read.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readAgents } from '../../../shared/store/agents.ts';
import { insertDeadLetters, listDeadLetters, readDeadLetters, recordReplays, type DeadLetter } from '../../../shared/store/dead-letters.ts';
import { readDeliveries, recordDelivery, type Delivery } from '../../../shared/store/deliveries.ts';
import { readLifetimes } from '../../../shared/store/lifetimes.ts';
import { bindParameters } from '../../../shared/store/parameters.ts';
import { rollUp } from '../../../shared/store/rollups.ts';
import { insertExits, insertSamples } from '../../../shared/store/samples.ts';
import { engineCode, toStoreError } from '../../../shared/store/store-error.ts';
import type { Store } from '../../../shared/store/store.ts';
import { columnsOf, temporaryStore } from './fixture.ts';

let store: Store;
let close: () => Promise<void>;
const now = Math.floor(Date.now() / 1000) * 1000;
const MINUTE = 60_000;

beforeAll(async () => ({ store, close } = await temporaryStore()));
afterAll(() => close());

describe('deliveries', () => {
  const intent: Delivery = { incident: 'i', event: 'e', channel: 'slack', state: 'intent', external: {}, at: now, error: '', attempt: 1 };

  it('an outcome at the same moment replaces the intent, and what the other side called it stays known', async () => {
    await recordDelivery(store, intent);
    expect(await readDeliveries(store)).toEqual([intent]);
    await recordDelivery(store, { ...intent, state: 'unconfirmed', external: { ts: '17.5', channel: 'C1' } });
    await recordDelivery(store, { ...intent, state: 'failed', at: now + 5, error: 'timeout', attempt: 2 });
    await recordDelivery(store, { ...intent, state: 'failed', at: now + 5, error: 'timeout', attempt: 2 });
    expect(await readDeliveries(store, { since: now + 1 })).toEqual([
      { ...intent, state: 'failed', at: now + 5, error: 'timeout', attempt: 2, external: { ts: '17.5', channel: 'C1' } },
    ]);
    expect(await readDeliveries(store, { since: now + 6 })).toEqual([]);
  });

  it('what was sent stays sent, whatever a slower notifier writes after it', async () => {
    const other = { ...intent, incident: 'j' };
    await recordDelivery(store, other);
    await recordDelivery(store, { ...other, state: 'sent', external: { ts: '1' }, at: now + 1 });
    await recordDelivery(store, { ...other, state: 'failed', at: now + 9, error: 'timeout', attempt: 2 });
    expect(await readDeliveries(store, { incident: 'j' })).toMatchObject([{ state: 'sent', external: { ts: '1' }, error: '' }]);
  });
});

describe('dead letters', () => {
  it('keep the payload byte for byte and are kept once', async () => {
    const letter = (payload: Buffer, offset: number): DeadLetter => ({
      at: now + offset,
      source: `leakline.samples/0/${offset}`,
      agent: 'agent-1',
      code: 'LKL_ERR_BATCH_MALFORMED',
      reason: "it's not JSON",
      payload,
      isCut: false,
    });
    const letters = [letter(Buffer.from('{"v":1,\n\n"größe'), 1), letter(Buffer.from([0, 255, 10, 10, 39]), 2)];
    await insertDeadLetters(store, letters);
    await insertDeadLetters(store, letters);
    const back = await readDeadLetters(store);
    expect(back).toMatchObject([letters[1], letters[0]]);
    expect(await readDeadLetters(store, { ids: [back[0]!.id] })).toHaveLength(1);
    expect(await readDeadLetters(store, { limit: 1 })).toHaveLength(1);
  });

  it('are listed by reason and time, and remember that they were sent again though they come again', async () => {
    await store.command('TRUNCATE TABLE dead_letters');
    const letter = (offset: number, code: string, isCut = false): DeadLetter => {
      const [payload, reason] = isCut ? [Buffer.from([255]), 'no (payload cut: 1 of 2 bytes)'] : [Buffer.from('größe'), 'no'];
      return { at: now + offset, source: `leakline.samples/1/${offset}`, agent: 'agent-2', code, reason, payload, isCut };
    };
    const letters = [letter(1, 'time_too_old'), letter(2, 'LKL_ERR_BATCH_VERSION'), letter(3, 'time_too_old', true)];
    await insertDeadLetters(store, letters);
    const listed = await listDeadLetters(store);
    expect(listed).toMatchObject([
      { at: now + 3, code: 'time_too_old', isCut: true, payloadBytes: 1, replayedAt: null },
      { at: now + 2, code: 'LKL_ERR_BATCH_VERSION', isCut: false, payloadBytes: 7, replayedAt: null },
      { at: now + 1, code: 'time_too_old', isCut: false, payloadBytes: 7, replayedAt: null },
    ]);
    expect(await listDeadLetters(store, { code: 'time_too_old', since: now + 2 })).toEqual([listed[0]]);
    await recordReplays(store, [listed[2]!.id], now + 10, 'mira');
    await insertDeadLetters(store, letters);
    expect(await listDeadLetters(store, { isWaiting: true })).toEqual(listed.slice(0, 2));
    expect((await listDeadLetters(store)).map(({ replayedAt }) => replayedAt)).toEqual([null, null, now + 10]);
  });
});

describe('lifetimes', () => {
  const process = (lifetime: string, instance: string, startedAt: number) => ({
    lifetime,
    service: 'api',
    environment: 'production',
    version: '2',
    host: 'h',
    instance,
    pid: 7,
    process_started_at: startedAt,
    runtime: 'python' as const,
  });

  it('say how each ended', async () => {
    const samples = (lifetime: string, instance: string, startedAt: number, minutes: number) =>
      Array.from({ length: minutes + 1 }, (_, minute) => ({
        ...process(lifetime, instance, startedAt),
        time: startedAt + minute * MINUTE,
        rss: 1000 + minute,
        memory_limit: 5000,
      }));
    const start = now - 120 * MINUTE;
    const rows = [
      ...samples('01', 'api-0', start, 30), // killed for memory, then
      ...samples('02', 'api-0', start + 31 * MINUTE, 10), // went silent, then
      ...samples('03', 'api-0', start + 43 * MINUTE, 77), // runs
      ...samples('04', 'api-1', start, 20), // ended by itself
      ...samples('05', 'api-2', start, 20), // went silent
    ];
    await insertSamples(store, columnsOf(rows));
    await insertExits(store, [
      { process: process('01', 'api-0', start), time: start + 30 * MINUTE + 1, reason: 'oom' },
      { process: process('04', 'api-1', start), time: start + 20 * MINUTE + 1, reason: 'exit' },
    ]);
    await rollUp(store);
    const lifetimes = await readLifetimes(store, { service: 'api', from: start, to: now + 1 });
    expect(Object.fromEntries(lifetimes.map(({ lifetime, endedBy }) => [lifetime, endedBy]))).toEqual({
      '01': 'oom',
      '02': 'restart',
      '03': 'running',
      '04': 'exit',
      '05': 'silent',
    });
    expect(lifetimes.find(({ lifetime }) => lifetime === '01')).toMatchObject({
      startedAt: start,
      firstSeen: start,
      lastSeen: start + 30 * MINUTE,
      endedAt: start + 30 * MINUTE + 1,
      rssPeakBytes: 1030,
      memoryLimitBytes: 5000,
      runtime: 'python',
    });
    expect(await store.query('SELECT lifetime, age_seconds, rss_peak FROM oom_events')).toEqual([
      { lifetime: '01', age_seconds: 1800.001, rss_peak: 1030 },
    ]);
    expect(await readLifetimes(store, { service: 'api', environment: 'staging', from: start, to: now })).toEqual([]);
  });

  it('agents say what they sent', async () => {
    const [agent] = await readAgents(store);
    expect(agent).toMatchObject({ agent: 'agent-1', hosts: ['h'], processes: 5 });
    expect(agent!.lastSampleAt).toBe(now);
  });

  it('name a kill that only the counter of the cgroup saw, once, and only where it is clear whose it was', async () => {
    const start = now - 60 * MINUTE;
    const counted = (lifetime: string, service: string, host: string, killsBefore: number, killAt: number) =>
      Array.from({ length: 20 }, (_, minute) => ({
        ...process(lifetime, `${service}-0`, start),
        service,
        host,
        time: start + minute * MINUTE,
        rss: 1000,
        memory_limit: host === 'unlimited' ? 0 : 5000,
        oom_kills: killsBefore + Number(minute >= killAt),
      }));
    await insertSamples(
      store,
      columnsOf([
        ...counted('11', 'workers', 'node-1', 0, 10), // two processes of one cgroup saw it
        ...counted('12', 'workers', 'node-1', 0, 10),
        ...counted('13', 'old-kills', 'node-2', 7, 99), // long before anybody watched
        ...counted('14', 'one-of-two', 'node-3', 0, 10), // services that share a cgroup
        ...counted('15', 'two-of-two', 'node-3', 0, 10),
        ...counted('16', 'host-wide', 'unlimited', 0, 10), // the counter of the whole host
        ...counted('17', 'survivor', 'node-4', 0, 10), // its neighbour was seen to be killed
      ]),
    );
    const neighbour = { ...process('18', 'survivor-0', start), service: 'survivor', host: 'node-4' };
    await insertSamples(store, columnsOf([{ ...neighbour, time: start + 9 * MINUTE, rss: 9000, memory_limit: 5000 }]));
    await insertExits(store, [{ process: neighbour, time: start + 10 * MINUTE, reason: 'oom' }]);
    await rollUp(store);
    const events = await store.query(
      `SELECT service, instance, host, lifetime, toUnixTimestamp64Milli(time) AS at, memory_limit FROM oom_events WHERE host LIKE 'node-%' OR host = 'unlimited' ORDER BY host`,
    );
    const at = start + 10 * MINUTE;
    expect(events).toEqual([
      { service: 'workers', instance: 'workers-0', host: 'node-1', lifetime: '', at, memory_limit: 5000 },
      { service: 'survivor', instance: 'survivor-0', host: 'node-4', lifetime: '18', at, memory_limit: 5000 },
    ]);
  });
});

describe('bindParameters', () => {
  it('leaves no way out of a value', async () => {
    const values = ["'", "\\'", '\\', "a'; DROP TABLE raw_samples; --", '\n\n\0\t', '{x:String}', 'größe'];
    const [row] = await store.query<{ one: string; all: string[] }>('SELECT {one:String} AS one, {all:Array(String)} AS all', {
      one: values[3]!,
      all: values,
    });
    expect(row).toEqual({ one: values[3], all: values });
  });

  it('gives empty arrays and NULL their type, and refuses what is no value', () => {
    expect(bindParameters('{a:Array(String)} {b:Nullable(Int64)} {c:UInt8}', { a: [], b: null, c: true })).toBe(
      'CAST([] AS Array(String)) CAST(NULL AS Nullable(Int64)) CAST(1 AS UInt8)',
    );
    expect(() => bindParameters('{a:Float64}', { a: Number.NaN })).toThrow(/finite/);
    expect(() => bindParameters('{a:Float64}', {})).toThrow(/no value/);
  });
});

describe('faults', () => {
  it('are told apart: try again, or mend the statement', async () => {
    await expect(store.query('SELECT broken FROM nowhere')).rejects.toMatchObject({ code: 'LKL_ERR_STORE_REFUSED', retry: false });
    expect(toStoreError(new Error('Code: 241. DB::Exception: Memory limit exceeded'), 'query')).toMatchObject({
      code: 'LKL_ERR_STORE_UNAVAILABLE',
      retry: true,
      details: { engineCode: 241 },
    });
    expect(toStoreError(new Error('connect ECONNREFUSED'), 'query')).toMatchObject({ code: 'LKL_ERR_STORE_UNAVAILABLE' });
    expect(engineCode('not an error')).toBeUndefined();
  });

  it('a failed query leaves nothing behind for the next one', async () => {
    for (let lane = 0; lane < 4; lane++) {
      await expect(store.queryBytes("SELECT throwIf(number = 70000, 'stop') FROM numbers(100000)", 'JSON')).rejects.toThrow(/stop/);
    }
    for (let lane = 0; lane < 4; lane++) expect(await store.query('SELECT 1 AS one')).toEqual([{ one: 1 }]);
  });

  it('an answer in blocks that fails on its way is no answer, and leaves nothing behind', async () => {
    const numbers = (stop: number) =>
      `SELECT toUInt32(number) AS n, toUInt32(throwIf(number = ${String(stop)}, 'stop')) AS stop FROM numbers(400000)`;
    const answer = new NumberColumns();
    const add = (piece: Buffer) => answer.add(piece);
    await expect(store.queryBlocks(numbers(300_000), add)).rejects.toThrow(/stop/);
    answer.clear();
    await store.queryBlocks(numbers(500_000), add);
    expect(answer.rows).toBe(400_000);
    expect(answer.numbers('n').every((value, row) => value === row)).toBe(true);
  });

  it.each([
    ['a row', (sql: string, signal: AbortSignal) => store.query(sql, {}, { signal })],
    ['blocks', (sql: string, signal: AbortSignal) => store.queryBlocks(sql, () => undefined, {}, { signal })],
  ])('a wait for %s can be given up', async (_, ask) => {
    const controller = new AbortController();
    const waiting = ask('SELECT sum(sipHash64(number)) AS s FROM numbers(300000000)', controller.signal);
    controller.abort(new Error('stopping'));
    await expect(waiting).rejects.toMatchObject({
      code: 'LKL_ERR_STORE_UNAVAILABLE',
      message: expect.stringContaining('stopping') as string,
    });
  });
});
