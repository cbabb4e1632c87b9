/**
 * Runs of a few seconds against one fleet: each sends samples while faults strike that follow from its seed, ends them, waits
 * until the store has caught up, and judges. After the last run everything is judged once more, since a batch sent again or a
 * topic replayed by a later run must change nothing of an earlier one.
 * `npm run chaos -- [RUNS] [FIRST_SEED]`
 */
import { spawn } from 'node:child_process';
import { systemClock } from '../../shared/clock.ts';
import { LeaklineError } from '../../shared/errors.ts';
import { createRandom, type Random } from '../eval/random.ts';
import { FAULT_NAMES, FAULTS, type Fault, type FaultName, type Scene } from './faults.ts';
import { FleetUnderTest, PARTS, type Part } from './fleet-under-test.ts';
import { isClean, judge, type Verdict } from './judge.ts';
import { SIMULATED } from './oracle.ts';
import { SimulatedAgent } from './simulated-agent.ts';

const SIMULATED_AGENTS = 6;
const TARGETS = 2;
/** Of different kinds. */
const FAULTS_PER_RUN = 3;
/** Of the hopeless: on a busy machine rolling up takes its time, and rests in proportion. */
const SETTLE_MS = 900_000;
/** Faults begin within this time of one another. */
const SPREAD_MS = 2_500;

export interface RunOptions {
  readonly seed: number;
  /** Default: a few that follow from the seed. */
  readonly faults?: readonly FaultName[];
  /** How long the store may take to catch up. */
  readonly settleMs?: number;
  readonly say?: (line: string) => void;
}

export interface RunResult {
  readonly verdict: Verdict;
  /** How often each struck. */
  readonly struck: Readonly<Partial<Record<FaultName, number>>>;
  readonly acknowledgedRows: number;
  readonly agentRows: number;
  readonly repeatedBatches: number;
  readonly refusedRequests: number;
  readonly seconds: number;
}

/** Every kind comes up equally often over many runs: dealt from a shuffled deck, a new one when it is used up. */
export class FaultDeck {
  readonly #random: Random;
  readonly #kinds: readonly FaultName[];
  #left: FaultName[] = [];

  constructor(random: Random, disks: ReadonlySet<Part>) {
    this.#random = random;
    this.#kinds = FAULT_NAMES.filter((name) => {
      const { disk }: Fault = FAULTS[name];
      return disk === undefined || disks.has(disk);
    });
  }

  deal(count: number): FaultName[] {
    const hand = new Set<FaultName>();
    while (hand.size < count) {
      if (this.#left.length === 0) this.#left = [...this.#kinds];
      const [name] = this.#left.splice(this.#random.int(0, this.#left.length - 1), 1);
      hand.add(name!);
    }
    return [...hand];
  }
}

/** Takes parts of the fleet for one fault at a time. */
class Locks {
  readonly #tails = new Map<Part, Promise<unknown>>();

  async hold<Result>(parts: readonly Part[], work: () => Promise<Result>): Promise<Result> {
    // All in one turn of the loop, so two that want several never hold one each.
    const before = parts.map((part) => this.#tails.get(part) ?? Promise.resolve());
    const done = Promise.allSettled(before).then(work);
    for (const part of parts) this.#tails.set(part, done);
    return done;
  }
}

async function strikeAll(
  scene: Scene,
  faults: readonly FaultName[],
  say: (line: string) => void,
): Promise<Partial<Record<FaultName, number>>> {
  const locks = new Locks();
  const struck: Partial<Record<FaultName, number>> = {};
  const striking = faults.map(async (name) => {
    const { parts, strike }: Fault = FAULTS[name];
    await systemClock.sleep(scene.random.between(0, SPREAD_MS));
    const times = await locks.hold(parts, async () => {
      const startedAt = performance.now();
      const count = await strike(scene);
      say(`  ${name}: ${count} in ${((performance.now() - startedAt) / 1_000).toFixed(1)} s`);
      return count;
    });
    if (times === 0) throw new Error(`${name} struck nothing`);
    struck[name] = times;
  });
  const failed = (await Promise.allSettled(striking)).find((outcome) => outcome.status === 'rejected');
  if (failed !== undefined) throw failed.reason;
  return struck;
}

export async function runChaos(
  fleet: FleetUnderTest,
  marker: string,
  { seed, faults, settleMs = SETTLE_MS, say = () => undefined }: RunOptions,
): Promise<RunResult> {
  const startedAt = performance.now();
  const random = createRandom(seed);
  const { oracle } = fleet;
  const before = {
    rows: oracle.acknowledgedRows,
    realRows: oracle.realRows,
    repeated: oracle.repeated,
    failures: oracle.failures,
    lifetimes: new Set(oracle.rows.keys()),
  };
  const targets = Array.from({ length: TARGETS }, () =>
    spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)', marker], { stdio: 'ignore' }),
  );
  const agents = Array.from(
    { length: SIMULATED_AGENTS },
    (_, index) => new SimulatedAgent(`${SIMULATED}${seed}-${index}`, fleet.oracleUrl, createRandom(seed * 1_000 + index)),
  );
  const sending = new AbortController();
  const senders = agents.map((agent) => agent.run(sending.signal));
  const end = () => {
    sending.abort();
    for (const target of targets) target.kill('SIGKILL');
  };
  try {
    await fleet.acknowledgesMore(10);
    const struck = await strikeAll(
      { fleet, agents, random },
      faults ?? new FaultDeck(random, new Set(fleet.disks.keys())).deal(FAULTS_PER_RUN),
      say,
    );
    // Everything works again. (The real agent may still wait: what it delivers late is judged at the end.)
    await fleet.acknowledgesMore(10);
    say(`  works again after ${((performance.now() - startedAt) / 1_000).toFixed(1)} s`);
    sending.abort();
    await Promise.all(senders);
    end();
    const lifetimes = [...oracle.rows.keys()].filter((lifetime) => !before.lifetimes.has(lifetime));
    return {
      verdict: await settledVerdict(fleet, lifetimes, settleMs),
      struck,
      acknowledgedRows: oracle.acknowledgedRows - before.rows,
      agentRows: oracle.realRows - before.realRows,
      repeatedBatches: oracle.repeated - before.repeated,
      refusedRequests: oracle.failures - before.failures,
      seconds: (performance.now() - startedAt) / 1_000,
    };
  } finally {
    end();
  }
}

/**
 * What was acknowledged is stored some time later, and rolled up some time after that: waits as long as it becomes less that is
 * missing. A store that says "not now" is asked again.
 */
export async function settledVerdict(fleet: FleetUnderTest, lifetimes: readonly string[] | 'all', settleMs: number): Promise<Verdict> {
  await fleet.hasReadEverything();
  let deadline = performance.now() + settleMs;
  let fewest = Infinity;
  for (;;) {
    try {
      const verdict = await judge(fleet.store, fleet.oracle, lifetimes);
      const missing = verdict.lost.length + verdict.rollups.length;
      if (missing === 0 || performance.now() > deadline) return verdict;
      if (missing < fewest) deadline = performance.now() + settleMs;
      fewest = Math.min(fewest, missing);
    } catch (error) {
      if (!(error instanceof LeaklineError) || !error.retry || performance.now() > deadline) throw error;
    }
    await systemClock.sleep(500);
  }
}

function showFindings(verdict: Verdict): void {
  for (const name of ['lost', 'doubled', 'wrong', 'rollups'] as const)
    for (const finding of verdict[name].slice(0, 10)) console.log(`  ${name}: ${finding}`);
}

const describe = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** A text: what ended the run. */
function sayResult(seed: number, faults: readonly FaultName[], result: RunResult | string): void {
  if (typeof result === 'string') {
    console.log(`seed ${seed}: FAILED ${faults.join(', ')}\n  ${result}`);
    return;
  }
  const { verdict, acknowledgedRows, agentRows, repeatedBatches, refusedRequests, seconds } = result;
  console.log(
    `seed ${seed}: ${isClean(verdict) ? 'sound' : 'BROKEN'} ${acknowledgedRows} rows (${agentRows} real), ${repeatedBatches} batches again, ` +
      `${refusedRequests} refused requests, ${seconds.toFixed(0)} s: ${faults.join(', ')}`,
  );
  showFindings(verdict);
}

type FaultTable = Map<FaultName, { runs: number; struck: number; failed: number }>;

async function main(): Promise<void> {
  const [runs = 200, firstSeed = 1] = process.argv.slice(2).map(Number);
  const marker = `leakline-chaos-target-${process.pid}`;
  const fleet = await FleetUnderTest.start({ marker, smallDisks: true });
  const enough = new AbortController();
  // Ends with the run under way, and with the report.
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => enough.abort());
  const deck = new FaultDeck(createRandom(firstSeed), new Set(fleet.disks.keys()));
  for (const part of PARTS.filter((name) => ['agent', 'store', 'broker'].includes(name) && !fleet.disks.has(name)))
    console.log(`no disk that can be filled for ${part}: that fault is left out`);
  const table: FaultTable = new Map();
  let [done, failed] = [0, 0];
  try {
    for (let seed = firstSeed; seed < firstSeed + runs && !enough.signal.aborted; seed++, done++) {
      const faults = deck.deal(FAULTS_PER_RUN);
      const result = await runChaos(fleet, marker, { seed, faults, say: (line) => console.log(line) }).catch((error: unknown) =>
        describe(error),
      );
      const clean = typeof result !== 'string' && isClean(result.verdict);
      if (!clean) failed++;
      for (const name of faults) {
        const row = table.get(name) ?? { runs: 0, struck: 0, failed: 0 };
        const struck = typeof result === 'string' ? 0 : (result.struck[name] ?? 0);
        table.set(name, { runs: row.runs + 1, struck: row.struck + struck, failed: row.failed + (clean ? 0 : 1) });
      }
      sayResult(seed, faults, result);
      // What a fault left down would fail all that follow.
      if (typeof result === 'string') await fleet.startAnew();
    }
  } catch (error) {
    failed++;
    console.log(`the fleet cannot be started again: ${describe(error)}`);
  }
  try {
    process.exitCode = (await report(fleet, table, done, failed)) ? 0 : 1;
  } finally {
    await fleet.stop();
  }
}

/** Everything once more, and what struck how often. true: all is sound. */
async function report(fleet: FleetUnderTest, table: FaultTable, runs: number, failed: number): Promise<boolean> {
  const { oracle } = fleet;
  const verdict = await settledVerdict(fleet, 'all', SETTLE_MS).catch((error: unknown) => describe(error));
  console.log(`\n| fault | runs | struck | runs not sound |\n|---|--:|--:|--:|`);
  for (const name of FAULT_NAMES) {
    const row = table.get(name);
    if (row !== undefined) console.log(`| ${name} | ${row.runs} | ${row.struck} | ${row.failed} |`);
  }
  console.log(`\n${runs} runs, ${failed} not sound.`);
  if (typeof verdict === 'string') {
    console.log(`All together cannot be judged: ${verdict}`);
    return false;
  }
  const { lost, doubled, wrong, rollups, stored } = verdict;
  console.log(
    `All judged together: ${oracle.acknowledgedRows} rows acknowledged in ${oracle.acknowledgedBatches} batches, ` +
      `${oracle.repeated} sent again, ${oracle.failures} requests failed, ${oracle.refusedRows} rows refused for their time, ${stored} stored; ` +
      `${lost.length} lost, ${doubled.length} doubled, ${wrong.length} wrong, ${rollups.length} rollups differ, ${oracle.ambiguous.length} names issued twice`,
  );
  showFindings(verdict);
  for (const finding of oracle.ambiguous.slice(0, 10)) console.log(`  issued twice: ${finding}`);
  return isClean(verdict) && failed === 0 && oracle.ambiguous.length === 0;
}

if (process.argv[1] === import.meta.filename) await main();
