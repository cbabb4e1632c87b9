/**
 * Rows per CPU-second through the ingester, on one real broker: `npx tsx test/bench/ingester-throughput.bench.ts [ROWS]`.
 * Messages of 50 rows, gzip, as agents send them. Three cases, each a process of its own: decoding alone (no bus, no store),
 * the ingester with a store that throws everything away, and with chDB in the same process (its threads are counted).
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startIngester } from '../../services/ingester/ingester.ts';
import { TOPICS } from '../../shared/bus/bus.ts';
import { createKafkaBus, ensureTopics } from '../../shared/bus/kafka.ts';
import { systemClock } from '../../shared/clock.ts';
import { loadConfig } from '../../shared/config.ts';
import { createLog } from '../../shared/log.ts';
import { Metrics } from '../../shared/metrics.ts';
import { migrate } from '../../shared/store/migrate.ts';
import { openStore, type Store } from '../../shared/store/store.ts';
import { decodeBatch, encodeBatch } from '../../shared/wire.ts';
import { startKafka } from '../harness/kafka-broker.ts';
import { kafkaSettings } from '../harness/kafka-topic.ts';
import { sampleBatch } from '../harness/sample-batch.ts';

const ROWS_PER_MESSAGE = 50;
const AGENTS = 100;
const CASES = ['decode', 'ingester', 'ingester + chDB'] as const;
type Case = (typeof CASES)[number];

const log = createLog({ level: 'silent', secrets: [] });

/** Flush number `index` of the run, ten seconds apart per agent, all within the last hours. */
function message(index: number): { key: string; value: Buffer } {
  const agent = `agent-${index % AGENTS}`;
  const seq = Math.floor(index / AGENTS);
  return { key: agent, value: encodeBatch(sampleBatch({ agent, seq, time: START + seq * 10_000, processes: ROWS_PER_MESSAGE })) };
}

const START = systemClock.now() - 6 * 3_600_000;

async function fill(brokers: string[], rows: number): Promise<void> {
  await ensureTopics({ ...kafkaSettings(brokers), partitions: 1 }, log);
  const bus = createKafkaBus({ settings: kafkaSettings(brokers), clock: systemClock, log });
  const messages = rows / ROWS_PER_MESSAGE;
  for (let sent = 0; sent < messages;) {
    const some = Array.from({ length: Math.min(400, messages - sent) }, (_, index) => message(sent + index));
    await bus.publish(TOPICS.samples, some);
    sent += some.length;
  }
  await bus.close();
}

const discarding = () =>
  ({
    insertNative: () => Promise.resolve(),
    insertRows: () => Promise.resolve(),
    query: () => Promise.resolve([]),
    command: () => Promise.resolve(),
  }) as unknown as Store;

async function decodeOnly(rows: number): Promise<number> {
  const values = Array.from({ length: 200 }, (_, index) => message(index).value);
  const before = process.cpuUsage();
  for (let done = 0, index = 0; done < rows; done += ROWS_PER_MESSAGE, index++)
    decodeBatch(values[index % values.length]!, { at: START, maxFutureMs: 86_400_000, maxAgeMs: 86_400_000 });
  return Promise.resolve(cpuSince(before));
}

async function ingest(what: Case, brokers: string[], rows: number): Promise<number> {
  const directory = mkdtempSync(join(tmpdir(), 'leakline-bench-'));
  const store = what === 'ingester' ? discarding() : await openStore({ path: directory });
  if (what !== 'ingester') await migrate(store);
  const settings = { ...kafkaSettings(brokers), clientId: what.replace(/\W/g, '') };
  const bus = createKafkaBus({ settings, clock: systemClock, log });
  const metrics = new Metrics();
  const config = loadConfig({ env: {}, flags: { 'ingester.rollupInterval': '1h' }, readFile: () => '' }).ingester;
  const before = process.cpuUsage();
  const ingester = await startIngester({ bus, store, config, clock: systemClock, log, metrics });
  const stored = async () => (await metrics.registry.getSingleMetric('leakline_ingester_rows_total')?.get())?.values[0]?.value ?? 0;
  while ((await stored()) < rows) await systemClock.sleep(20);
  const cpu = cpuSince(before);
  await ingester.stop();
  await bus.close();
  if (what !== 'ingester') await store.close();
  rmSync(directory, { recursive: true, force: true });
  return cpu;
}

function cpuSince(before: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1e6;
}

async function main(): Promise<void> {
  const [mode, brokers = '', rowsText = ''] = process.argv.slice(2);
  if (mode !== undefined && CASES.includes(mode as Case)) {
    const rows = Number(rowsText);
    const started = performance.now();
    const cpuSeconds = mode === 'decode' ? await decodeOnly(rows) : await ingest(mode as Case, brokers.split(','), rows);
    process.send?.({
      cpuSeconds,
      wallSeconds: (performance.now() - started) / 1000,
      rssMiB: Math.round(process.memoryUsage.rss() / 2 ** 20),
    });
    setTimeout(() => process.exit(0), 100);
    return;
  }
  const rows = Number(mode ?? 1_000_000);
  const broker = await startKafka();
  try {
    await fill(broker.brokers, rows);
    for (const name of CASES) {
      // The group's position is that of the case before.
      if (name === 'ingester + chDB') await fill(broker.brokers, rows);
      const child = fork(import.meta.filename, [name, broker.brokers.join(','), String(rows)], { execArgv: ['--import', 'tsx'] });
      const [result] = (await once(child, 'message')) as [{ cpuSeconds: number; wallSeconds: number; rssMiB: number }];
      console.log(JSON.stringify({ case: name, rows, ...result, rowsPerCpuSecond: Math.round(rows / result.cpuSeconds) }));
    }
  } finally {
    await broker.stop();
  }
}

await main();
