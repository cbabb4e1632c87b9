/** What the store refuses for good: the message it came in is set aside, its neighbours are stored, and nothing waits for ever. */
import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, expect, it, onTestFinished, vi } from 'vitest';
import { startIngester } from '../../../services/ingester/ingester.ts';
import { TOPICS } from '../../../shared/bus/bus.ts';
import { createMemoryBus } from '../../../shared/bus/memory.ts';
import { systemClock } from '../../../shared/clock.ts';
import { loadConfig } from '../../../shared/config.ts';
import { LeaklineError } from '../../../shared/errors.ts';
import { createLog } from '../../../shared/log.ts';
import { Metrics } from '../../../shared/metrics.ts';
import { readDeadLetters } from '../../../shared/store/dead-letters.ts';
import type { Store } from '../../../shared/store/store.ts';
import { encodeBatch } from '../../../shared/wire.ts';
import { sampleBatch } from '../../harness/sample-batch.ts';
import { temporaryStore } from '../../shared/store/fixture.ts';

let store: Store;
let close: () => Promise<void>;

beforeAll(async () => {
  ({ store, close } = await temporaryStore());
  await store.command("ALTER TABLE raw_samples ADD CONSTRAINT no_poison CHECK instance NOT LIKE 'poison%'");
  await store.command("ALTER TABLE process_exits ADD CONSTRAINT no_poison CHECK instance NOT LIKE 'dying-poison%'");
});
afterAll(() => close());
beforeEach(async () => {
  for (const table of ['raw_samples', 'process_exits', 'dead_letters']) await store.command(`TRUNCATE TABLE ${table}`);
});

const log = createLog({ level: 'silent', secrets: [] });
const { ingester: config } = loadConfig({ env: {}, flags: { 'ingester.maxBatchDelay': '50ms' }, readFile: () => '' });

/** `fault`: what the nth insert of samples meets instead of the store. */
async function start(fault: (insert: number) => LeaklineError | undefined = () => undefined) {
  let inserts = 0;
  const watched = new Proxy(store, {
    get(target, name) {
      if (name === 'insertNative')
        return async (...args: Parameters<Store['insertNative']>) => {
          const error = fault(inserts++);
          if (error !== undefined) throw error;
          await target.insertNative(...args);
        };
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? (value as () => unknown).bind(target) : value;
    },
  });
  const bus = createMemoryBus({ clock: systemClock, topics: [TOPICS.samples] });
  const metrics = new Metrics();
  const ingester = await startIngester({ bus, store: watched, config, clock: systemClock, log, metrics });
  onTestFinished(() => ingester.stop());
  return { bus, ingester, metrics, inserts: () => inserts };
}

const time = Date.now();
const messageOf = (agent: string) => ({ key: agent, value: encodeBatch(sampleBatch({ agent, seq: 0, time })) });
const storedAgents = async () =>
  (await store.query<{ agent: string }>('SELECT DISTINCT toString(agent) AS agent FROM samples ORDER BY agent')).map(({ agent }) => agent);

it('sets aside the one message the store refuses, with its reason and whole, and stores the 199 others', async () => {
  const { bus, ingester, metrics, inserts } = await start();
  const agents = Array.from({ length: 200 }, (_, no) => (no === 137 ? 'poison' : `sound-${no}`));
  await bus.publish(TOPICS.samples, agents.map(messageOf));
  expect(await storedAgents()).toEqual(agents.filter((agent) => agent !== 'poison').sort());
  const letters = await readDeadLetters(store);
  expect(letters).toMatchObject([{ agent: 'poison', code: 'LKL_ERR_ROWS_REFUSED', payload: messageOf('poison').value }]);
  expect(letters[0]?.reason).toMatch(/no_poison/);
  expect(ingester.ready()).toBe(true);
  // Halving, not one by one: 1 + 2 per level.
  expect(inserts()).toBeLessThanOrEqual(1 + 2 * 8);
  expect(await metrics.registry.metrics()).toContain('leakline_ingester_dead_letters_total{code="LKL_ERR_ROWS_REFUSED"} 1');
  await bus.publish(TOPICS.samples, [messageOf('later')]);
  expect(await storedAgents()).toContain('later');
});

it('sets aside a message whose exits are refused', async () => {
  const { bus } = await start();
  const ended = (agent: string) => {
    const batch = sampleBatch({ agent, seq: 0, time });
    return { key: agent, value: encodeBatch({ ...batch, exits: { process: [1], time: [time], reason: ['exit'] } }) };
  };
  await bus.publish(TOPICS.samples, [ended('a'), ended('dying-poison'), ended('b')]);
  expect(await store.query('SELECT instance FROM process_exits FINAL ORDER BY instance')).toEqual([
    { instance: 'a-1' },
    { instance: 'b-1' },
  ]);
  expect((await readDeadLetters(store)).map(({ agent }) => agent)).toEqual(['dying-poison']);
});

it('loses nothing and sets aside nothing sound, wherever the poison lies and whenever the store is away', async () => {
  const away = new LeaklineError('LKL_ERR_STORE_UNAVAILABLE', 'away');
  // Each is waited out twice as long as the one before, in real time: three of them for 1.4 s at most.
  const mostOutages = 3;
  await fc.assert(
    fc.asyncProperty(fc.array(fc.boolean(), { minLength: 1, maxLength: 20 }), fc.infiniteStream(fc.nat(3)), async (isPoison, faults) => {
      for (const table of ['raw_samples', 'dead_letters']) await store.command(`TRUNCATE TABLE ${table}`);
      let outages = 0;
      const { bus, ingester } = await start(() => {
        if (outages === mostOutages || faults.next().value !== 0) return undefined;
        outages++;
        return away;
      });
      const agents = isPoison.map((bad, no) => `${bad ? 'poison' : 'sound'}-${no}`);
      await bus.publish(TOPICS.samples, agents.map(messageOf));
      await ingester.stop();
      expect(await storedAgents()).toEqual(agents.filter((agent) => agent.startsWith('sound')).sort());
      expect((await readDeadLetters(store)).map(({ agent }) => agent).sort()).toEqual(
        agents.filter((agent) => agent.startsWith('poison')).sort(),
      );
    }),
    { numRuns: 16 },
  );
});

it('waits where everything is refused: a topic is not drained into dead letters', async () => {
  const { bus, ingester } = await start();
  await store.command('ALTER TABLE raw_samples ADD CONSTRAINT nothing CHECK rss = 0');
  const agents = Array.from({ length: 250 }, (_, no) => `waiting-${no}`);
  const sent = bus.publish(TOPICS.samples, agents.map(messageOf));
  await vi.waitFor(() => expect(ingester.ready()).toBe(false), 20_000);
  await store.command('ALTER TABLE raw_samples DROP CONSTRAINT nothing');
  await sent;
  const setAside = (await readDeadLetters(store, { limit: 1000 })).map(({ agent }) => agent);
  expect(setAside).toHaveLength(100);
  expect([...(await storedAgents()), ...setAside].sort()).toEqual(agents.sort());
  expect(ingester.ready()).toBe(true);
});

it.each([
  ['a table that is away', 'RENAME TABLE raw_samples TO raw_samples_away', 'RENAME TABLE raw_samples_away TO raw_samples'],
  [
    'too many parts',
    'ALTER TABLE raw_samples MODIFY SETTING parts_to_delay_insert = 1, parts_to_throw_insert = 1',
    'ALTER TABLE raw_samples RESET SETTING parts_to_delay_insert, parts_to_throw_insert',
  ],
])('waits for %s and sets nothing aside', async (_what, breakIt, mendIt) => {
  const { bus, ingester } = await start();
  await store.command('SYSTEM STOP MERGES raw_samples');
  await bus.publish(TOPICS.samples, [messageOf('first')]);
  await store.command(breakIt);
  const sent = bus.publish(TOPICS.samples, [messageOf('patient')]);
  await vi.waitFor(() => expect(ingester.ready()).toBe(false), 20_000);
  await store.command(mendIt);
  await store.command('SYSTEM START MERGES raw_samples');
  await sent;
  expect(await storedAgents()).toEqual(['first', 'patient']);
  expect(await readDeadLetters(store)).toEqual([]);
});
