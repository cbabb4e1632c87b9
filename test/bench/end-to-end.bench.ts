/**
 * From the moment a batch is handed to the bus (or POSTed to the gateway) to the moment a query sees its rows, with every service
 * a process of its own as in a fleet: `npx tsx test/bench/end-to-end.bench.ts [ROWS_PER_SECOND] [SECONDS] [bus | gateway]`.
 * Latency counts from the moment a batch should have been sent, so what waits because something is slow counts in full. The first
 * 20 seconds, in which every agent is new and code is compiled, are told apart. Prints one line of JSON, which also says how many
 * cores others took: what they take is not there for latency.
 */
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { INGESTER_GROUP } from '../../services/ingester/ingester.ts';
import { TOPICS } from '../../shared/bus/bus.ts';
import { ensureTopics } from '../../shared/bus/kafka.ts';
import { systemClock } from '../../shared/clock.ts';
import { createLifecycle, type Lifecycle } from '../../shared/lifecycle.ts';
import { createLog } from '../../shared/log.ts';
import { openStore, type Store } from '../../shared/store/store.ts';
import { startKafka } from '../harness/kafka-broker.ts';
import { GroupOffsets, kafkaSettings } from '../harness/kafka-topic.ts';
import { startService } from '../harness/leakline-process.ts';
import { PROBE_MS, type Schedule, type Sent } from './end-to-end-generator.ts';
import { cpuSeconds, findProcess, machineCpuSeconds, memoryTrend, residentBytes } from './process-watch.ts';

const WARM_UP_MS = 20_000;
const POLL_MS = 100;
/** Rows that are not visible by then are told as an error, not as latency. */
const PATIENCE_MS = 180_000;

interface Pipeline {
  readonly brokers: string[];
  readonly gatewayUrl: string | undefined;
  readonly ingesterUrl: string;
  readonly store: Store;
  readonly pids: Readonly<Record<string, number>>;
}

async function startPipeline(lifecycle: Lifecycle, way: string): Promise<Pipeline> {
  const cwd = mkdtempSync(join(tmpdir(), 'leakline-bench-'));
  lifecycle.onStop('directory', () => rmSync(cwd, { recursive: true, force: true }));
  const broker = await startKafka();
  lifecycle.onStop('broker', () => broker.stop());
  const { brokers } = broker;
  await ensureTopics(kafkaSettings(brokers), createLog({ level: 'silent', secrets: [] }));
  const run = async (command: string, more: readonly string[], onLine?: (line: string) => void) => {
    const { process: service, url } = await startService({ args: [command, ...more], cwd, ...(onLine && { onLine }) });
    lifecycle.onStop(command, () => service.stop());
    return { url, pid: findProcess('node', new URL(url).host) };
  };
  const storeProcess = await run('store', ['--data', join(cwd, 'data')]);
  const store = await openStore({ url: storeProcess.url });
  lifecycle.onStop('store client', () => store.close());
  const kafka = ['--kafka', brokers.join(',')];
  let ingester = { url: '', pid: 0 };
  await new Promise<void>((resolve, reject) => {
    const onLine = (line: string) => line.includes('partitions assigned') && resolve();
    run('ingester', [...kafka, '--store', storeProcess.url], onLine).then((started) => (ingester = started), reject);
  });
  const gateway = way === 'gateway' ? await run('gateway', kafka) : undefined;
  const brokerPid = broker.directory === undefined ? {} : { broker: findProcess('java', `${broker.directory}/server.properties`) };
  const pids = { ...brokerPid, ...(gateway && { gateway: gateway.pid }), ingester: ingester.pid, store: storeProcess.pid };
  return { brokers, gatewayUrl: gateway?.url, ingesterUrl: ingester.url, store, pids };
}

/** The way of every probe, whose row has the scheduled moment for its time; each goes to the next partition. */
class ProbeWatch {
  /** Per probe, in their order. */
  readonly latencyMs: number[] = [];
  readonly #store: Store;
  readonly #startAt: number;
  readonly #lastAt: number;
  readonly #everyMs: number;
  /** Per partition's probe: the latest that was seen. */
  readonly #seen = new Map<string, number>();

  constructor(store: Store, startAt: number, { seconds, partitions }: Schedule) {
    this.#store = store;
    this.#startAt = startAt;
    this.#lastAt = startAt + seconds * 1000 - PROBE_MS;
    this.#everyMs = partitions * PROBE_MS;
    for (let partition = 0; partition < partitions; partition++)
      this.#seen.set(`probe-${partition}-0`, startAt + partition * PROBE_MS - this.#everyMs);
  }

  get #earliest(): number {
    return Math.min(...this.#seen.values());
  }

  async run(): Promise<void> {
    while (this.#earliest <= this.#lastAt - this.#everyMs) {
      const startedAt = systemClock.now();
      // Of the parts of the table only those are touched that hold a later time.
      const rows = await this.#store.query<{ instance: string; latest: number }>(
        `SELECT instance, toUnixTimestamp64Milli(max(time)) AS latest FROM raw_samples
        WHERE service = 'service-0' AND time > fromUnixTimestamp64Milli({from:Int64}) GROUP BY instance`,
        { from: this.#earliest },
      );
      const now = systemClock.now();
      for (const { instance, latest } of rows) this.#see(instance, latest, now);
      if (now > this.#lastAt + PATIENCE_MS) throw new Error(`rows sent ${Math.round((now - this.#earliest) / 1000)} s ago are not visible`);
      await systemClock.sleep(Math.max(0, startedAt + POLL_MS - now));
    }
  }

  #see(instance: string, latest: number, now: number): void {
    const before = this.#seen.get(instance) ?? latest;
    for (let at = before + this.#everyMs; at <= latest; at += this.#everyMs) {
      this.latencyMs[(at - this.#startAt) / PROBE_MS] = now - at;
    }
    this.#seen.set(instance, Math.max(before, latest));
  }
}

function summary(values: readonly number[]) {
  const sorted = [...values].sort((a, b) => a - b);
  const percentile = (share: number) => sorted[Math.ceil(sorted.length * share) - 1];
  return { p50: percentile(0.5), p99: percentile(0.99), max: percentile(1), of: sorted.length };
}

function latencies(visibleMs: readonly number[], { probesOnBusMs, lateMs }: Sent) {
  const warm = WARM_UP_MS / PROBE_MS;
  const behindBusMs = visibleMs.map((ms, probe) => ms - probesOnBusMs[probe]!);
  return {
    visible: summary(visibleMs.slice(warm)),
    ofItBehindBus: summary(behindBusMs.slice(warm)),
    warmUp: summary(visibleMs.slice(0, warm)),
    generatorLate: lateMs,
  };
}

/** Sum and count of the ingester's histograms. */
async function histograms(url: string): Promise<Record<string, { count: number; mean: number }>> {
  const text = await (await fetch(`${url}/metrics`)).text();
  const value = (name: string) => Number(new RegExp(`^${name} (.+)$`, 'm').exec(text)?.[1] ?? NaN);
  return Object.fromEntries(
    ['insert_seconds', 'insert_rows', 'rollup_seconds'].map((name) => {
      const count = value(`leakline_ingester_${name}_count`);
      return [name, { count, mean: Number((value(`leakline_ingester_${name}_sum`) / count).toPrecision(3)) }];
    }),
  );
}

async function startGenerator(lifecycle: Lifecycle, schedule: Schedule): Promise<ChildProcess> {
  const generator = fork(join(import.meta.dirname, 'end-to-end-generator.ts'), [JSON.stringify(schedule)], {
    execArgv: ['--import', 'tsx'],
  });
  lifecycle.onStop('generator', () => void generator.kill());
  const [ready] = (await Promise.race([once(generator, 'message'), once(generator, 'exit')])) as [unknown];
  if (ready !== 'ready') throw new Error(`the generator ended with ${String(ready)}`);
  return generator;
}

/** Resolves with what it sent; it stays until it is told to end, so that its CPU time can be read. */
async function untilSent(generator: ChildProcess): Promise<Sent> {
  const [said] = (await Promise.race([once(generator, 'message'), once(generator, 'exit')])) as [Sent | number | null];
  if (said === null || typeof said !== 'object') throw new Error(`the generator ended with ${String(said)}`);
  return said;
}

/** How long ago what arrived then is rolled up, seconds. */
/** A stage that has not run yet has a checkpoint at the epoch: it is left out. */
const rollupsBehind = async (store: Store) =>
  Object.fromEntries(
    (
      await store.query<{ name: string; behind: number }>(
        "SELECT name, dateDiff('second', max(received_through), now64(3)) AS behind FROM rollup_checkpoints WHERE toUnixTimestamp64Milli(received_through) > 0 GROUP BY name ORDER BY name",
      )
    ).map(({ name, behind }) => [name, behind]),
  );

/** Behind the last probe others may still be on their way: waits for them, and tells fewer only when they stay away. */
async function storedRows(store: Store, expected: number): Promise<number> {
  const giveUpAt = systemClock.now() + PATIENCE_MS;
  for (;;) {
    const [{ rows }] = (await store.query<{ rows: number }>('SELECT count() AS rows FROM raw_samples')) as [{ rows: number }];
    if (rows >= expected || systemClock.now() > giveUpAt) return rows;
    await systemClock.sleep(POLL_MS);
  }
}

async function measure(lifecycle: Lifecycle, rowsPerSecond: number, seconds: number, way: string): Promise<unknown> {
  const { brokers, gatewayUrl, ingesterUrl, store, pids } = await startPipeline(lifecycle, way);
  const { partitions } = kafkaSettings(brokers);
  const to = gatewayUrl === undefined ? { brokers } : { gateway: gatewayUrl };
  const schedule = { rowsPerSecond, seconds, partitions, to };
  const generator = await startGenerator(lifecycle, schedule);
  const watched: Readonly<Record<string, number>> = { generator: generator.pid!, ...pids, bench: process.pid };
  const readCpu = () => Object.entries(watched).map(([name, pid]) => [name, cpuSeconds(pid)] as const);
  const startAt = systemClock.now() + 1_000;
  const probes = new ProbeWatch(store, startAt, schedule);
  const memory: Record<'ingester' | 'store', number[]> = { ingester: [], store: [] };
  const sampling = setInterval(() => {
    for (const name of ['ingester', 'store'] as const) memory[name].push(residentBytes(pids[name]!));
  }, 1_000);
  lifecycle.onStop('memory', () => clearInterval(sampling));
  const before = new Map(readCpu());
  const machineBefore = machineCpuSeconds();
  generator.send(startAt);
  const ending = untilSent(generator).then(async (sent) => {
    const { lag } = await new GroupOffsets(brokers, TOPICS.samples, INGESTER_GROUP).read();
    clearInterval(sampling);
    return { sent, lagMessages: lag, rollupsBehindS: await rollupsBehind(store) };
  });
  const [{ sent, lagMessages, rollupsBehindS }] = await Promise.all([ending, probes.run()]);
  const tookS = (systemClock.now() - startAt) / 1000;
  const cpuS = Object.fromEntries(readCpu().map(([name, now]) => [name, Number((now - before.get(name)!).toFixed(2))]));
  const ours = Object.values(cpuS).reduce((sum, used) => sum + used, 0);
  const others = (machineCpuSeconds() - machineBefore - ours) / tookS;
  const rows = await storedRows(store, sent.rows);
  const per100kRows = Object.fromEntries(Object.entries(cpuS).map(([name, used]) => [name, Number(((used / sent.rows) * 1e5).toFixed(3))]));
  return {
    way,
    rowsPerSecond: Math.round(sent.rows / seconds),
    seconds,
    rows: { sent: sent.rows, stored: rows, perSecondUntilVisible: Math.round(sent.rows / tookS) },
    latencyMs: latencies(probes.latencyMs, sent),
    atTheEnd: { lagMessages, rollupsBehindS },
    cpuS,
    cpuSecondsPer100kRows: per100kRows,
    machine: { cores: availableParallelism(), takenByOthers: Number(others.toFixed(2)) },
    memory: Object.fromEntries(Object.entries(memory).map(([name, readings]) => [name, memoryTrend(readings)])),
    ingester: await histograms(ingesterUrl),
  };
}

const [rowsPerSecond = '20000', seconds = '60', way = 'bus'] = process.argv.slice(2);
const lifecycle = createLifecycle(60_000);
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void lifecycle.stop().finally(() => process.exit(1)));
try {
  console.log(JSON.stringify(await measure(lifecycle, Number(rowsPerSecond), Number(seconds), way)));
} finally {
  await lifecycle.stop();
}
