/** Two detectors share the services by Kafka; one is killed, the other takes over its part: every leak is one incident. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, inject, it } from 'vitest';
import { shardOf } from '../../shared/shard.ts';
import { readIncidentEvents } from '../../shared/store/incidents.ts';
import { migrate } from '../../shared/store/migrate.ts';
import { insertSamples } from '../../shared/store/samples.ts';
import { openStore, type Store } from '../../shared/store/store.ts';
import { type LeaklineProcess, type Service, startService } from '../harness/leakline-process.ts';
import { lifetimeOf } from '../harness/sample-batch.ts';
import { until } from '../harness/until.ts';
import { columnsOf } from '../shared/store/fixture.ts';

const SHARDS = 12;
const SECOND = 1000;
const HISTORY_SECONDS = 46 * 60;
const MB = 1_000_000;

const folder = mkdtempSync(join(tmpdir(), 'leakline-shards-'));
const started: LeaklineProcess[] = [];
const services: string[] = [];
let store: Store;
let storeUrl = '';
let written = 0;
let feeding: NodeJS.Timeout | undefined;
let writing: Promise<void> = Promise.resolve();
const began = Math.floor(Date.now() / SECOND - HISTORY_SECONDS) * SECOND;

/** A name that falls on the shard. */
function serviceOf(shard: number, prefix: string): string {
  for (let no = 0; ; no++) if (shardOf(`${prefix}-${no}`, SHARDS) === shard) return `${prefix}-${no}`;
}

/** 1 MB a second from the beginning on, in [from, to). */
async function write(names: readonly string[], from: number, to: number): Promise<void> {
  const rows = names.flatMap((service) =>
    Array.from({ length: (to - from) / SECOND }, (_, second) => {
      const time = from + second * SECOND;
      const bytes = 200 * MB + ((time - began) / SECOND) * MB + Math.round(Math.sin(time) * MB);
      const process = { service, instance: `${service}-0`, lifetime: lifetimeOf(service, 0), process_started_at: began };
      return { ...process, time, rss: bytes, anon: bytes, memory_limit: 4000 * MB };
    }),
  );
  await insertSamples(store, columnsOf(rows));
}

async function start(args: readonly string[]): Promise<Service> {
  const service = await startService({ args, cwd: folder, env: { LEAKLINE_PROFILE: 'minutes' } });
  started.push(service.process);
  return service;
}

const startDetector = () => start(['detector', '--kafka', inject('kafkaBrokers').join(','), '--store', storeUrl]);

async function ownedBy({ url }: { url: string }): Promise<number> {
  const page = await (await fetch(`${url}/metrics`)).text();
  return Number(/^leakline_detector_shards (\d+)$/m.exec(page)?.[1] ?? 0);
}

beforeAll(async () => {
  storeUrl = (await start(['store', '--data', join(folder, 'data')])).url;
  store = await openStore({ url: storeUrl });
  await migrate(store);
  for (let shard = 0; shard < SHARDS; shard++) services.push(serviceOf(shard, 'leak'));
  written = Math.floor(Date.now() / SECOND) * SECOND;
  await write(services, began, written);
  // As agents would: whatever has passed since the last time, of every service there is by now.
  feeding = setInterval(() => {
    const to = Math.floor(Date.now() / SECOND) * SECOND;
    if (to <= written) return;
    const [from, names] = [written, [...services]];
    written = to;
    writing = writing.then(() => write(names, from, to));
  }, SECOND);
}, 240_000);

afterAll(async () => {
  clearInterval(feeding);
  await writing;
  for (const leakline of started.slice(1).reverse()) await leakline.stop();
  await store.close();
  await started[0]?.stop();
  rmSync(folder, { recursive: true, force: true });
});

const opened = async () => (await readIncidentEvents(store)).filter(({ type }) => type === 'opened');
const openedServices = async () => (await opened()).map((event) => ('judgement' in event ? event.judgement.service : '')).sort();
const judgedAfter = async (at: number) =>
  (
    await store.query<{ service: string }>(
      'SELECT DISTINCT toString(service) AS service FROM trends WHERE at > fromUnixTimestamp64Milli({at:Int64})',
      {
        at,
      },
    )
  ).map(({ service }) => service);

it('shares, takes over what a killed one judged, and opens one incident a leak', { timeout: 240_000 }, async () => {
  const [first, second] = [await startDetector(), await startDetector()];
  await until(
    'both to have their share',
    () => Promise.all([ownedBy(first), ownedBy(second)]),
    ([a, b]) => a > 0 && b > 0 && a + b === SHARDS,
    90_000,
  );
  await until('an incident of every service', openedServices, (names) => names.length >= SHARDS, 90_000);
  expect(await openedServices()).toEqual([...services].sort());
  const shardsOfFirst = [...first.process.output.matchAll(/"topic":"leakline\.detector-shards","partitions":\[([\d,]*)\]/g)]
    .at(-1)![1]!
    .split(',')
    .map(Number);
  expect(shardsOfFirst.length).toBe(await ownedBy(first));

  await first.process.kill();
  const killedAt = Date.now();
  // Leaks that only the killed one would have seen, written before anybody has taken its place.
  const late = shardsOfFirst.slice(0, 3).map((shard) => serviceOf(shard, 'late'));
  await write(late, began, written);
  services.push(...late);
  await until(
    'the other to own all',
    () => ownedBy(second),
    (count) => count === SHARDS,
    90_000,
  );
  const expected = [...services].sort();
  await until('the late incidents', openedServices, (names) => names.length >= expected.length, 90_000);
  await until(
    'everything to be judged on',
    () => judgedAfter(killedAt),
    (names) => names.length === expected.length,
    60_000,
  );
  expect(await openedServices()).toEqual(expected);
});
