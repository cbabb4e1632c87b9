/**
 * The pipeline as separate processes under SIGKILL: store, gateway, ingester and a real agent, eight simulated agents, a real
 * broker. After the last fault every acknowledged sample must be stored once. Faults follow from the seed.
 * `npx tsx test/invariants/chaos.ts [KILLS_OF_EACH] [SEED]`
 */
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ensureTopics } from '../../shared/bus/kafka.ts';
import { systemClock } from '../../shared/clock.ts';
import { createLog } from '../../shared/log.ts';
import { createLifecycle } from '../../shared/lifecycle.ts';
import { openStore } from '../../shared/store/store.ts';
import { encodeBatch } from '../../shared/wire.ts';
import { startKafka } from '../harness/kafka-broker.ts';
import { kafkaSettings } from '../harness/kafka-topic.ts';
import { freePort, LeaklineProcess } from '../harness/leakline-process.ts';
import { sampleBatch } from '../harness/sample-batch.ts';
import { judge, type Verdict } from './judge.ts';
import { Oracle } from './oracle.ts';

export interface ChaosOptions {
  readonly brokers: readonly string[];
  readonly seed: number;
  /** SIGKILLs of each of agent, gateway and ingester. */
  readonly kills: number;
  /** SIGKILLs of the store's process. */
  readonly storeKills: number;
  readonly say: (line: string) => void;
}

export interface ChaosResult extends Verdict {
  readonly acknowledged: number;
  readonly acknowledgedBatches: number;
  readonly repeatedBatches: number;
  readonly refusedRequests: number;
  readonly agentRows: number;
  readonly kills: Readonly<Record<string, number>>;
}

const SIMULATED = 'simulated-';
const SIMULATED_AGENTS = 8;
const PROCESSES = 5;
/** Of the hopeless: a busy machine takes its time to start a process. */
const SETTLE_TIMEOUT_MS = 600_000;

/** Small, seeded, good enough to choose moments: mulberry32. */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** One agent's behaviour: in order, each batch again until it is acknowledged. */
async function simulateAgent(name: string, url: string, random: () => number, signal: AbortSignal): Promise<void> {
  for (let seq = 0; !signal.aborted; seq++) {
    const body = encodeBatch(sampleBatch({ agent: name, boot: 'boot', seq, time: systemClock.now(), processes: PROCESSES }));
    for (;;) {
      const answer = await fetch(`${url}/v1/samples`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body,
        signal: AbortSignal.timeout(40_000),
      }).catch(() => undefined);
      await answer?.arrayBuffer().catch(() => undefined);
      if (answer?.ok === true) break;
      await systemClock.sleep(50 + random() * 200);
    }
    await systemClock.sleep(10 + random() * 40);
  }
}

async function metricOf(url: string, name: string): Promise<number> {
  const text = await fetch(`${url}/metrics`, { signal: AbortSignal.timeout(2_000) }).then(
    (answer) => answer.text(),
    () => '',
  );
  const lines = text.split('\n').filter((line) => line.startsWith(name));
  return lines.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
}

export async function runChaos({ brokers, seed, kills, storeKills, say }: ChaosOptions): Promise<ChaosResult> {
  const lifecycle = createLifecycle(120_000);
  const directory = mkdtempSync(join(tmpdir(), 'leakline-chaos-'));
  lifecycle.onStop('directory', () => rmSync(directory, { recursive: true, force: true }));
  try {
    return await faults({ brokers, seed, kills, storeKills, say }, directory, lifecycle);
  } finally {
    await lifecycle.stop();
  }
}

async function faults(options: ChaosOptions, directory: string, lifecycle: ReturnType<typeof createLifecycle>): Promise<ChaosResult> {
  const { brokers, seed, kills, storeKills, say } = options;
  const log = createLog({ level: 'silent', secrets: [] });
  await ensureTopics({ ...kafkaSettings(brokers), partitions: 3 }, log);
  const [storePort, gatewayPort, ingesterPort] = [await freePort(), await freePort(), await freePort()];
  const [storeUrl, ingesterUrl] = [`http://127.0.0.1:${storePort}`, `http://127.0.0.1:${ingesterPort}`];
  const marker = `leakline-chaos-target-${process.pid}-${seed}`;
  const oracle = new Oracle(gatewayPort);
  const oracleUrl = await oracle.listen();
  lifecycle.onStop('oracle', () => oracle.close());
  const startProcess = async (name: string, args: string[], healthUrl?: string, env: Record<string, string> = {}) => {
    const cwd = join(directory, name);
    mkdirSync(cwd);
    const child = new LeaklineProcess({
      args,
      cwd,
      env: { LEAKLINE_LOG_LEVEL: 'info', ...env },
      ...(healthUrl !== undefined && { healthUrl }),
    });
    await child.start();
    lifecycle.onStop(name, () => child.stop());
    return child;
  };
  const kafka = brokers.join(',');
  const storeProcess = await startProcess(
    'store',
    ['store', '--data', join(directory, 'data'), '--listen', `127.0.0.1:${storePort}`],
    `${storeUrl}/ping`,
  );
  const gateway = await startProcess(
    'gateway',
    ['gateway', '--kafka', kafka, '--listen', `127.0.0.1:${gatewayPort}`],
    `http://127.0.0.1:${gatewayPort}/healthz`,
  );
  const ingester = await startProcess(
    'ingester',
    ['ingester', '--kafka', kafka, '--store', storeUrl, '--listen', `127.0.0.1:${ingesterPort}`],
    `${ingesterUrl}/healthz`,
    { LEAKLINE_INGESTER_ROLLUP_INTERVAL: '1s', LEAKLINE_INGESTER_MAX_BATCH_DELAY: '150ms' },
  );
  for (let index = 0; index < 3; index++) {
    const target = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)', marker], { stdio: 'ignore' });
    lifecycle.onStop('target', () => void target.kill('SIGKILL'));
  }
  const agent = await startProcess('agent', [
    'agent',
    '--to',
    oracleUrl,
    '--match',
    marker,
    '--interval',
    '250ms',
    '--data',
    join(directory, 'agent-data'),
  ]);

  const random = seededRandom(seed);
  const sending = new AbortController();
  const senders = Array.from({ length: SIMULATED_AGENTS }, (_, index) =>
    simulateAgent(`${SIMULATED}${index}`, oracleUrl, seededRandom(seed + index + 1), sending.signal),
  );
  lifecycle.onStop('senders', () => sending.abort());

  const stored = () => metricOf(ingesterUrl, 'leakline_ingester_rows_total');
  const killed: Record<string, number> = {};
  const givingUp = new AbortController();
  const killAgain = async (name: string, target: LeaklineProcess, times: number, ready: () => Promise<boolean>, spreadMs: number) => {
    for (let count = 0; count < times && !givingUp.signal.aborted; count++) {
      await until(ready, `${name} to work again`, () => target.output);
      await systemClock.sleep(random() * spreadMs);
      await target.kill();
      killed[name] = (killed[name] ?? 0) + 1;
      say(`killed ${name} (${killed[name]}): ${oracle.acknowledgedBatches} batches acknowledged, ${oracle.repeated} repeated`);
      await systemClock.sleep(random() * 500);
      await target.start();
    }
  };
  let acknowledgedBefore = 0;
  const acknowledgedMore = () => {
    const isMore = oracle.acknowledgedBatches > acknowledgedBefore + 5;
    if (isMore) acknowledgedBefore = oracle.acknowledgedBatches;
    return Promise.resolve(isMore);
  };
  const killing = [
    killAgain('agent', agent, kills, () => Promise.resolve(true), 9_000),
    killAgain('gateway', gateway, kills, acknowledgedMore, 4_000),
    killAgain('ingester', ingester, kills, async () => (await stored()) > 0, 1_500),
    killAgain('store', storeProcess, storeKills, async () => (await stored()) > 0, 6_000),
  ];
  try {
    await Promise.all(killing);
  } catch (error) {
    // Nothing may be started again while the folders go.
    givingUp.abort();
    await Promise.allSettled(killing);
    throw error;
  }

  await until(
    async () => (await stored()) > 0,
    'the ingester to work after the last fault',
    () => ingester.output,
  );
  // The real agent backs off while nobody answers: its spool has to come through as well.
  const realRows = () => [...oracle.acknowledgedByAgent].reduce((sum, [name, rows]) => (name.startsWith(SIMULATED) ? sum : sum + rows), 0);
  const realBefore = realRows();
  await until(
    () => Promise.resolve(realRows() > realBefore + 30),
    'the agent to deliver after the last fault',
    () => agent.output,
  );
  sending.abort();
  await Promise.all(senders);
  await agent.stop();
  say(`last fault over: ${oracle.rows.size} rows issued; waiting for the store to catch up`);

  const store = await openStore({ url: storeUrl });
  lifecycle.onStop('store client', () => store.close());
  const deadline = performance.now() + SETTLE_TIMEOUT_MS;
  let verdict = await judge(store, oracle.rows);
  while (verdict.lost.length + verdict.rollups.length > 0 && performance.now() < deadline) {
    await systemClock.sleep(1_000);
    verdict = await judge(store, oracle.rows);
  }
  const acknowledged = [...oracle.rows.values()].filter((row) => row.acknowledged).length;
  return {
    ...verdict,
    acknowledged,
    acknowledgedBatches: oracle.acknowledgedBatches,
    repeatedBatches: oracle.repeated,
    refusedRequests: oracle.failures,
    agentRows: realRows(),
    kills: killed,
  };
}

async function until(condition: () => Promise<boolean>, what: string, output: () => string): Promise<void> {
  const deadline = performance.now() + SETTLE_TIMEOUT_MS;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`waited in vain for ${what}: ${output()}`);
    await systemClock.sleep(50);
  }
}

async function main(): Promise<void> {
  const [kills = 20, seed = 1] = process.argv.slice(2).map(Number);
  const broker = await startKafka();
  try {
    const { lost, doubled, wrong, rollups, ...figures } = await runChaos({
      brokers: broker.brokers,
      seed,
      kills,
      storeKills: Math.ceil(kills / 4),
      say: (line) => console.log(line),
    });
    console.log(
      JSON.stringify({
        seed,
        ...figures,
        lost: lost.length,
        doubled: doubled.length,
        wrong: wrong.length,
        rollupDifferences: rollups.length,
      }),
    );
    for (const finding of [...lost, ...doubled, ...wrong, ...rollups].slice(0, 20)) console.log(finding);
    process.exitCode = lost.length + doubled.length + wrong.length + rollups.length === 0 ? 0 : 1;
  } finally {
    await broker.stop();
  }
}

if (process.argv[1] === import.meta.filename) await main();
