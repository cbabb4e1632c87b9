/**
 * Rows per CPU-second: our ingester against ClickHouse's own Kafka table engine, in one run on one real broker, the same rows
 * into the same kind of table of the same engine (chDB): `npx tsx test/bench/kafka-engine.bench.ts [ROWS] [ROUNDS]`.
 * One message (and record batch) per agent flush of 50 rows, gzip: ours columnar, the engine's JSONEachRow.
 * Rollups of minutes and hours: ours recomputed from the rows, the engine's by materialized views, which add up each block as it comes.
 * Each side is a process of its own, which this one watches through /proc/PID/stat: user + system time of all its threads, from
 * the moment it is ready to read until every row can be queried, and until merges have come to rest.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import kafkajs from 'kafkajs';
import { INGESTER_GROUP, startIngester } from '../../services/ingester/ingester.ts';
import { TOPICS } from '../../shared/bus/bus.ts';
import { connectKafka } from '../../shared/bus/kafka-client.ts';
import { createKafkaBus, ensureTopics } from '../../shared/bus/kafka.ts';
import { systemClock } from '../../shared/clock.ts';
import { loadConfig } from '../../shared/config.ts';
import { createLog } from '../../shared/log.ts';
import { Metrics } from '../../shared/metrics.ts';
import { METRIC_NAMES, METRICS } from '../../shared/sample.ts';
import { migrate } from '../../shared/store/migrate.ts';
import { KEPT, rollUp } from '../../shared/store/rollups.ts';
import { openStore, type Store } from '../../shared/store/store.ts';
import { encodeBatch } from '../../shared/wire.ts';
import { startKafka } from '../harness/kafka-broker.ts';
import { kafkaSettings } from '../harness/kafka-topic.ts';
import { FleetAgent, PROCESSES, toJsonEachRow } from './fleet-messages.ts';

const AGENTS = 100;
const INTERVAL_MS = 10_000;
const JSON_TOPIC = 'leakline.samples.json';
const PRODUCERS = 4;
const log = createLog({ level: 'silent', secrets: [] });

const SIDES = ['ingester', 'ingester + rollups', 'engine', 'engine + rollups'] as const;
type Side = (typeof SIDES)[number];

/** What a side says about itself. `cpu` asks the parent to read its clock. */
type Report = { readonly at: 'ready' | 'stored' | 'merged'; readonly rows: number; readonly bytes: number };

async function fill(brokers: string[], rows: number): Promise<void> {
  await ensureTopics({ ...kafkaSettings(brokers), partitions: 1 }, log);
  const kafka = connectKafka(kafkaSettings(brokers), log);
  const admin = kafka.admin();
  await admin.connect();
  await admin.createTopics({ topics: [{ topic: JSON_TOPIC, numPartitions: 1 }], waitForLeaders: true });
  await admin.disconnect();
  const flushes = rows / PROCESSES / AGENTS;
  const start = Math.floor(systemClock.now() / 3_600_000) * 3_600_000 - 2 * 3_600_000;
  // An agent's flushes stay in order; agents run side by side.
  const produce = async (first: number) => {
    const producer = kafka.producer({ createPartitioner: kafkajs.Partitioners.DefaultPartitioner });
    await producer.connect();
    const agents = Array.from({ length: AGENTS / PRODUCERS }, (_, index) => new FleetAgent(first + index * PRODUCERS));
    for (let flush = 0; flush < flushes; flush++) {
      for (const [index, agent] of agents.entries()) {
        const batch = agent.flush(start + flush * INTERVAL_MS + index * 7);
        const send = (topic: string, value: Buffer | string) =>
          producer.send({ topic, compression: kafkajs.CompressionTypes.GZIP, messages: [{ key: agent.name, value }] });
        await Promise.all([send(TOPICS.samples, encodeBatch(batch)), send(JSON_TOPIC, toJsonEachRow(batch))]);
      }
    }
    await producer.disconnect();
  };
  await Promise.all(Array.from({ length: PRODUCERS }, (_, index) => produce(index)));
}

/** Whoever joins the group next starts from the first message. */
async function forget(brokers: string[]): Promise<void> {
  const admin = connectKafka(kafkaSettings(brokers), log).admin();
  await admin.connect();
  await admin.deleteGroups([INGESTER_GROUP]);
  await admin.disconnect();
}

const tell = (report: Report) => new Promise<void>((resolve) => process.send?.(report, () => resolve()));

const until = async (isSo: () => Promise<boolean>) => {
  while (!(await isSo())) await systemClock.sleep(50);
};

async function settle(store: Store, table: string): Promise<void> {
  const parts = async (what: string) =>
    (
      await store.query<{ value: number }>(`SELECT ${what} AS value FROM system.parts WHERE active AND table = {table:String}`, { table })
    )[0]!.value;
  const report = async (at: Report['at']) =>
    tell({
      at,
      rows: (await store.query<{ rows: number }>(`SELECT count() AS rows FROM ${table}`))[0]!.rows,
      bytes: await parts('sum(bytes_on_disk)'),
    });
  await report('stored');
  let idleSince = performance.now();
  await until(async () => {
    const [merges] = await store.query<{ running: number }>('SELECT count() AS running FROM system.merges');
    if (merges!.running > 0) idleSince = performance.now();
    return performance.now() - idleSince > 3_000;
  });
  await report('merged');
}

async function runIngester(store: Store, brokers: string[], rows: number, rollups: boolean): Promise<void> {
  const bus = createKafkaBus({ settings: kafkaSettings(brokers), clock: systemClock, log });
  const metrics = new Metrics();
  const config = loadConfig({ env: {}, flags: rollups ? {} : { 'ingester.rollupInterval': '1h' }, readFile: () => '' }).ingester;
  await tell({ at: 'ready', rows: 0, bytes: 0 });
  const ingester = await startIngester({ bus, store, config, clock: systemClock, log, metrics });
  const stored = async () => (await metrics.registry.getSingleMetric('leakline_ingester_rows_total')?.get())?.values[0]?.value ?? 0;
  await until(async () => (await stored()) >= rows);
  if (rollups) await rollUp(store);
  await settle(store, 'raw_samples');
  await ingester.stop();
  await bus.close();
}

/**
 * What the engine's users do for minutes, hours and lifetimes: a view each, the same columns as ours. `anyLast` stands for the latest
 * value, the cheapest there is, though it is that of the row read last. What is delivered twice counts twice.
 */
async function rollUpByViews(store: Store): Promise<void> {
  for (const [table, column, moment] of [
    ['minutes', 'minute', 'toStartOfMinute(time)'],
    ['hours', 'hour', 'toStartOfHour(time)'],
  ]) {
    const kept = METRIC_NAMES.flatMap((name) => {
      const number = `Nullable(${METRICS[name].unit === 's' ? 'Float64' : 'UInt64'})`;
      return KEPT[name].flatMap((statistic) => {
        if (statistic === 'mean')
          return [
            { column: `${name}_sum`, type: 'SimpleAggregateFunction(sum, Nullable(Float64))', from: `sum(toFloat64(${name}))` },
            { column: `${name}_count`, type: 'SimpleAggregateFunction(sum, UInt64)', from: `count(${name})` },
          ];
        const aggregate = statistic === 'last' ? 'anyLast' : statistic;
        return [
          { column: `${name}_${statistic}`, type: `SimpleAggregateFunction(${aggregate}, ${number})`, from: `${aggregate}(${name})` },
        ];
      });
    });
    const identity = ['environment', 'version', 'host', 'runtime'];
    await store.command(`CREATE TABLE view_${table} (
      service LowCardinality(String), instance String CODEC(ZSTD(3)), lifetime String CODEC(ZSTD(3)), ${column} DateTime('UTC') CODEC(Delta(4), ZSTD(1)),
      ${identity.map((name) => `${name} SimpleAggregateFunction(anyLast, LowCardinality(String))`).join(', ')},
      pid SimpleAggregateFunction(max, UInt32), process_started_at SimpleAggregateFunction(min, DateTime64(3, 'UTC')),
      first_time SimpleAggregateFunction(min, DateTime64(3, 'UTC')), last_time SimpleAggregateFunction(max, DateTime64(3, 'UTC')),
      samples SimpleAggregateFunction(sum, UInt64), ${kept.map((one) => `${one.column} ${one.type} CODEC(ZSTD(1))`).join(', ')}
    ) ENGINE = AggregatingMergeTree PARTITION BY toYYYYMM(${column}) ORDER BY (service, instance, lifetime, ${column})`);
    await store.command(`CREATE MATERIALIZED VIEW to_${table} TO view_${table} AS SELECT
      service, instance, lifetime, ${moment} AS ${column}, ${identity.map((name) => `anyLast(raw_samples.${name}) AS ${name}`).join(', ')},
      max(raw_samples.pid) AS pid, min(raw_samples.process_started_at) AS process_started_at, min(time) AS first_time, max(time) AS last_time,
      count() AS samples, ${kept.map((one) => `${one.from} AS ${one.column}`).join(', ')}
      FROM raw_samples GROUP BY service, instance, lifetime, ${column}`);
  }
  await store.command(`CREATE MATERIALIZED VIEW to_lifetimes TO lifetimes AS SELECT
    service, instance, lifetime, max(toString(raw_samples.environment)) AS environment, max(toString(raw_samples.version)) AS version,
    max(toString(raw_samples.host)) AS host, max(toString(raw_samples.runtime)) AS runtime, max(raw_samples.pid) AS pid,
    min(process_started_at) AS started_at, min(time) AS first_seen, max(time) AS last_seen, ifNull(max(rss), 0) AS rss_peak,
    ifNull(max(memory_limit), 0) AS memory_limit_max FROM raw_samples GROUP BY service, instance, lifetime`);
}

/** The engine's own way: a Kafka table, a view that moves what it reads into the table. Numbers as they are, nothing computed. */
async function runEngine(store: Store, brokers: string[], rows: number, rollups: boolean): Promise<void> {
  if (rollups) await rollUpByViews(store);
  const columns = [
    ...['lifetime', 'service', 'environment', 'version', 'host', 'instance', 'runtime', 'agent', 'boot'].map((name) => `${name} String`),
    'pid UInt32',
    'process_started_at Int64',
    'labels Map(String, String)',
    'time Int64',
    'seq UInt64',
    ...METRIC_NAMES.map((name) => `${name} ${METRICS[name].unit === 's' ? 'Nullable(Float64)' : 'Nullable(UInt64)'}`),
  ];
  await store.command(`CREATE TABLE queue (${columns.join(', ')}) ENGINE = Kafka SETTINGS
    kafka_broker_list = '${brokers.join(',')}', kafka_topic_list = '${JSON_TOPIC}', kafka_group_name = 'engine-${process.pid}',
    kafka_format = 'JSONEachRow', kafka_num_consumers = 1, kafka_max_block_size = 65536`);
  await tell({ at: 'ready', rows: 0, bytes: 0 });
  await store.command(`CREATE MATERIALIZED VIEW queue_to_samples TO raw_samples AS SELECT * REPLACE (
    fromUnixTimestamp64Milli(time, 'UTC') AS time, fromUnixTimestamp64Milli(process_started_at, 'UTC') AS process_started_at) FROM queue`);
  await until(async () => (await store.query<{ rows: number }>('SELECT count() AS rows FROM raw_samples'))[0]!.rows >= rows);
  await settle(store, 'raw_samples');
  await store.command('DROP VIEW queue_to_samples');
  await store.command('DROP TABLE queue');
}

async function child(side: Side, brokers: string[], rows: number): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'leakline-bench-'));
  const store = await openStore({ path: directory });
  try {
    await migrate(store);
    if (side.startsWith('engine')) await runEngine(store, brokers, rows, side === 'engine + rollups');
    else await runIngester(store, brokers, rows, side === 'ingester + rollups');
  } finally {
    await store.close();
    rmSync(directory, { recursive: true, force: true });
  }
}

/** User + system time of all threads of a process, seconds. */
function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /, '')
    .split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

async function measure(side: Side, brokers: string[], rows: number) {
  const process_ = fork(import.meta.filename, [side, brokers.join(','), String(rows)], { execArgv: ['--import', 'tsx'] });
  const at = new Map<Report['at'], number>();
  let last: Report | undefined;
  process_.on('message', (report: Report) => {
    at.set(report.at, cpuSeconds(process_.pid!));
    last = report;
  });
  const [code] = (await once(process_, 'exit')) as [number | null];
  if (code !== 0 || last === undefined) throw new Error(`${side} ended with ${String(code)}`);
  const stored = at.get('stored')! - at.get('ready')!;
  const merged = at.get('merged')! - at.get('ready')!;
  return {
    side,
    rows: last.rows,
    cpuSeconds: stored,
    rowsPerCpuSecond: Math.round(last.rows / stored),
    mergedToo: Math.round(last.rows / merged),
  };
}

async function main(): Promise<void> {
  const [mode = '500000', second = '3', rowsText = ''] = process.argv.slice(2);
  if (SIDES.includes(mode as Side)) return child(mode as Side, second.split(','), Number(rowsText));
  const rows = Math.ceil(Number(mode) / (AGENTS * PROCESSES)) * AGENTS * PROCESSES;
  const broker = await startKafka();
  try {
    await fill(broker.brokers, rows);
    for (let round = 0; round < Number(second); round++)
      for (const side of SIDES) {
        console.log(JSON.stringify(await measure(side, broker.brokers, rows)));
        if (side.startsWith('ingester')) await forget(broker.brokers);
      }
  } finally {
    await broker.stop();
  }
}

await main();
