/**
 * Spoiled messages beside sound ones, through gateway and ingester into a real store: none may end anything, each that is
 * refused has its reason, each sound one arrives as it was sent, and memory stays.
 * `npm run fuzz -- [MESSAGES] [SEED]`
 */
import { mkdtempSync, rmSync } from 'node:fs';
import http from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { registerGateway } from '../../services/gateway/gateway.ts';
import { startIngester } from '../../services/ingester/ingester.ts';
import { createAuth } from '../../shared/auth.ts';
import { TOPICS } from '../../shared/bus/bus.ts';
import { createMemoryBus } from '../../shared/bus/memory.ts';
import { systemClock } from '../../shared/clock.ts';
import { loadConfig } from '../../shared/config.ts';
import { LeaklineError } from '../../shared/errors.ts';
import { createHttpServer } from '../../shared/http-server.ts';
import { createLifecycle, type Lifecycle } from '../../shared/lifecycle.ts';
import { createLog } from '../../shared/log.ts';
import { Metrics } from '../../shared/metrics.ts';
import { migrate } from '../../shared/store/migrate.ts';
import { openStore } from '../../shared/store/store.ts';
import { decodeBatch, encodeBatch } from '../../shared/wire.ts';
import { createRandom, type Random } from '../eval/random.ts';
import { lifetimeOf, rssOf, sampleBatch } from '../harness/sample-batch.ts';
import { spoil, spoilGzip } from './mutations.ts';

export interface FuzzOptions {
  readonly messages: number;
  readonly seed: number;
  readonly say?: (line: string) => void;
}

export interface FuzzResult {
  readonly spoiled: number;
  readonly sound: number;
  /** Sound rows that are missing or not as they were sent. */
  readonly harmed: string[];
  /** Letters by reason: as decodeBatch, asked alone, says they must be, and as the ingester counted them. */
  readonly expected: Readonly<Record<string, number>>;
  readonly refused: Readonly<Record<string, number>>;
  /** Answers of the gateway by status and code. */
  readonly answers: Readonly<Record<string, number>>;
  /** At each tenth of the run. */
  readonly rssMiB: readonly number[];
  readonly cpuSeconds: number;
}

/** Of all messages. */
const SOUND_SHARE = 0.1;
/** Of spoiled messages; the others stand on the bus already, as from a sender with its own way there. */
const OVER_HTTP_SHARE = 0.05;
const SOUND_AGENTS = 20;
const SPOILED_AGENTS = 50;
/** Spoiled names are many, and whether one is too many depends on those before: limits on them are not what is tried here. */
const MANY = 1_000_000_000;
/** On their way at once. */
const WINDOW = 4_000;
/** Of the hopeless: something holds up the pipeline. */
const STUCK_MS = 300_000;

interface Pipeline {
  readonly publish: (key: string, value: Buffer) => Promise<void>;
  readonly post: (body: Buffer, isGzip: boolean) => Promise<string>;
  readonly store: Awaited<ReturnType<typeof openStore>>;
  readonly metrics: Metrics;
  readonly maxFutureMs: number;
  readonly maxAgeMs: number;
}

async function startPipeline(lifecycle: Lifecycle): Promise<Pipeline> {
  const directory = mkdtempSync(join(tmpdir(), 'leakline-fuzz-'));
  lifecycle.onStop('directory', () => rmSync(directory, { recursive: true, force: true }));
  const store = await openStore({ path: directory });
  lifecycle.onStop('store', () => store.close());
  await migrate(store);
  const log = createLog({ level: 'silent', secrets: [] });
  const config = loadConfig({
    env: {},
    flags: { 'ingester.maxBatchDelay': '100ms', 'ingester.maxServicesPerAgent': MANY, 'ingester.maxSeriesPerAgent': MANY },
    readFile: () => '',
  });
  const metrics = new Metrics();
  const bus = createMemoryBus({ clock: systemClock, topics: [TOPICS.samples] });
  const ingester = await startIngester({ bus, store, config: config.ingester, clock: systemClock, log, metrics });
  lifecycle.onStop('ingester', () => ingester.stop());
  const { maxFuture: maxFutureMs, maxAge: maxAgeMs } = config.ingester;
  const auth = createAuth(config.auth);
  const { maxBodySize: maxBodyBytes, maxInflatedSize: maxInflatedBytes } = config.gateway;
  const server = createHttpServer({ log, metrics, auth, maxBodyBytes, maxInflatedBytes, ready: () => ({ ok: true, reasons: [] }) });
  await registerGateway(server.app, {
    bus,
    auth,
    log,
    metrics,
    clock: systemClock,
    maxFutureMs,
    maxAgeMs,
    limits: { services: MANY, series: MANY },
  });
  const url = await server.listen('127.0.0.1:0');
  lifecycle.onStop('gateway', () => server.close());
  const connections = new http.Agent({ keepAlive: true, maxSockets: 16 });
  lifecycle.onStop('connections', () => connections.destroy());
  return {
    publish: (key, value) => bus.publish(TOPICS.samples, [{ key, value }]),
    post: (body, isGzip) => post(new URL('/v1/samples', url), connections, body, isGzip),
    store,
    metrics,
    maxFutureMs,
    maxAgeMs,
  };
}

/** Status and code of the answer. */
function post(url: URL, agent: http.Agent, body: Buffer, isGzip: boolean): Promise<string> {
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/json', 'content-length': body.length, ...(isGzip && { 'content-encoding': 'gzip' }) };
    const request = http.request(url, { method: 'POST', agent, headers }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => {
        const { error } = JSON.parse(Buffer.concat(chunks).toString()) as { error?: { code: string } };
        resolve(`${response.statusCode} ${error?.code ?? ''}`.trim());
      });
    });
    request.on('error', reject);
    request.end(body);
  });
}

export async function runFuzz(options: FuzzOptions): Promise<FuzzResult> {
  const lifecycle = createLifecycle(60_000);
  try {
    return await fuzz(options, await startPipeline(lifecycle));
  } finally {
    await lifecycle.stop();
  }
}

async function fuzz({ messages, seed, say = () => undefined }: FuzzOptions, pipeline: Pipeline): Promise<FuzzResult> {
  const random = createRandom(seed);
  const expected: Record<string, number> = {};
  const answers: Record<string, number> = {};
  const rssMiB: number[] = [];
  const sound = Array.from({ length: SOUND_AGENTS }, () => 0);
  const soundSince = systemClock.now() - 3_600_000;
  const cpuBefore = process.cpuUsage();
  let spoiled = 0;
  for (let done = 0; done < messages;) {
    const window: Promise<void>[] = [];
    for (; window.length < WINDOW && done < messages; done++) {
      if (random.chance(SOUND_SHARE)) {
        const agent = random.int(0, SOUND_AGENTS - 1);
        window.push(pipeline.publish(...soundMessage(agent, sound[agent]!++, soundSince)));
      } else {
        spoiled++;
        window.push(sendSpoiled(pipeline, random, done, expected, answers));
      }
    }
    await inTime(Promise.all(window), `messages up to ${done}`);
    if (Math.floor((done * 10) / messages) > rssMiB.length) {
      rssMiB.push(Math.round(process.memoryUsage.rss() / (1 << 20)));
      say(`${done} messages, resident ${rssMiB.at(-1)} MiB`);
    }
  }
  const { user, system } = process.cpuUsage(cpuBefore);
  return {
    spoiled,
    sound: sound.reduce((sum, count) => sum + count, 0),
    harmed: await harmedRows(pipeline, sound, soundSince),
    expected,
    refused: await countByCode(pipeline.metrics),
    answers,
    rssMiB,
    cpuSeconds: (user + system) / 1e6,
  };
}

function soundMessage(agent: number, seq: number, since: number): [string, Buffer] {
  const name = `sound-${agent}`;
  return [name, encodeBatch(sampleBatch({ agent: name, seq, time: since + seq }))];
}

async function sendSpoiled(
  pipeline: Pipeline,
  random: Random,
  seq: number,
  expected: Record<string, number>,
  answers: Record<string, number>,
): Promise<void> {
  const agent = `spoiled-${random.int(0, SPOILED_AGENTS - 1)}`;
  const value = spoil(encodeBatch(sampleBatch({ agent, seq, time: systemClock.now() })), random);
  if (random.chance(OVER_HTTP_SHARE)) {
    const isGzip = random.chance(0.8);
    const answer = await pipeline.post(isGzip ? spoilGzip(value, random) : value, isGzip);
    answers[answer] = (answers[answer] ?? 0) + 1;
    return;
  }
  const reason = refusalOf(value, pipeline);
  if (reason !== undefined) expected[reason] = (expected[reason] ?? 0) + 1;
  await pipeline.publish(agent, value);
}

/** Why the ingester must write a letter. */
function refusalOf(value: Buffer, { maxFutureMs, maxAgeMs }: Pipeline): string | undefined {
  try {
    const { problems } = decodeBatch(value, { at: systemClock.now(), maxFutureMs, maxAgeMs });
    return [...problems.refused].sort(([, a], [, b]) => b - a)[0]?.[0];
  } catch (error) {
    // Anything else is what the run is looking for.
    if (error instanceof LeaklineError && error.code.startsWith('LKL_ERR_BATCH_')) return error.code;
    throw error;
  }
}

async function inTime(work: Promise<unknown>, what: string): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const stuck = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: the pipeline is stuck`)), STUCK_MS);
  });
  await Promise.race([work, stuck]).finally(() => clearTimeout(timer));
}

async function countByCode(metrics: Metrics): Promise<Record<string, number>> {
  const values = (await metrics.registry.getSingleMetric('leakline_ingester_dead_letters_total')?.get())?.values ?? [];
  return Object.fromEntries(values.map(({ labels, value }) => [String(labels['code']), value]));
}

/** Each sound row, looked up under the name and with the values that follow from agent, number and process. */
async function harmedRows({ store }: Pipeline, sound: readonly number[], since: number): Promise<string[]> {
  const harmed: string[] = [];
  for (const [agent, count] of sound.entries()) {
    const name = `sound-${agent}`;
    const rows = await store.query<
      Record<'at' | 'seq' | 'rss' | 'anon' | 'threads' | 'gc_count', number> & Record<'lifetime' | 'instance', string>
    >(
      `SELECT lifetime, instance, toUnixTimestamp64Milli(time) AS at, toUInt32(seq) AS seq, rss, anon, threads, gc_count
      FROM raw_samples FINAL WHERE agent = {name:String}`,
      { name },
    );
    const stored = new Set(
      rows.map((row) => [row.lifetime, row.instance, row.at, row.seq, row.rss, row.anon, row.threads, row.gc_count].join()),
    );
    if (stored.size !== rows.length || rows.length !== count * 2) harmed.push(`${name}: ${rows.length} rows stored, ${count * 2} sent`);
    for (let seq = 0; seq < count; seq++) {
      for (const process of [0, 1]) {
        const rss = rssOf(seq, process);
        const row = [lifetimeOf(name, process), `${name}-${process}`, since + seq, seq, rss, rss - 4096, 11, seq].join();
        if (!stored.has(row)) harmed.push(`${name}: ${row}`);
      }
    }
  }
  return harmed;
}

async function main(): Promise<void> {
  const [messages = 1_000_000, seed = 1] = process.argv.slice(2).map(Number);
  const { harmed, ...figures } = await runFuzz({ messages, seed, say: (line) => console.log(line) });
  console.log(JSON.stringify({ messages, seed, ...figures, harmed: harmed.length }, null, 1));
  for (const finding of harmed.slice(0, 10)) console.log(finding);
  const isSame = JSON.stringify(Object.entries(figures.expected).sort()) === JSON.stringify(Object.entries(figures.refused).sort());
  process.exitCode = harmed.length === 0 && isSame ? 0 : 1;
}

if (process.argv[1] === import.meta.filename) await main();
