/** What is done to the fleet. Each fault resolves when it was done and undone, and returns how often it struck. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { systemClock } from '../../shared/clock.ts';
import { retry } from '../../shared/retry.ts';
import type { Random } from '../eval/random.ts';
import { until } from '../harness/until.ts';
import { PATIENCE_MS, type FleetUnderTest, type Part, type TestIngester } from './fleet-under-test.ts';
import type { SimulatedAgent } from './simulated-agent.ts';

export interface Scene {
  readonly fleet: FleetUnderTest;
  readonly agents: readonly SimulatedAgent[];
  readonly random: Random;
}

export interface Fault {
  /** What nothing else may be done to meanwhile. */
  readonly parts: readonly Part[];
  /** Needs a disk that can be filled. */
  readonly disk?: Part;
  readonly strike: (scene: Scene) => Promise<number>;
}

const sleep = (ms: number) => systemClock.sleep(ms);
const persistently = { signal: new AbortController().signal, retries: 200, maxDelayMs: 500 };

/** Frozen until the others have its partitions: it wakes up with what it had read and thinks it still owns. */
async function zombie({ fleet, random }: Scene): Promise<number> {
  const sleeper = random.pick(fleet.ingesters);
  await until(
    'an ingester that reads something',
    () => Promise.resolve(sleeper.partitions.length),
    (count) => count > 0,
    PATIENCE_MS,
  );
  sleeper.process.freeze();
  try {
    await fleet.everyPartitionIsRead([sleeper]);
    await sleep(random.between(0, 1_000));
  } finally {
    sleeper.process.thaw();
  }
  return 1;
}

/** Members come and go while the group still deals out partitions; half of them leave without a word. */
async function rebalanceStorm({ fleet, random }: Scene): Promise<number> {
  const assignmentsOf = (all: readonly TestIngester[]) => all.reduce((sum, { assignments }) => sum + assignments, 0);
  const extras = Array.from({ length: 3 }, () => fleet.newIngester());
  const before = assignmentsOf(fleet.ingesters);
  const leave = async ({ process }: TestIngester) => {
    await (random.chance(0.5) ? process.kill() : process.stop());
  };
  const visits = extras.map(async (extra) => {
    await sleep(random.between(0, 1_500));
    await extra.start();
    await fleet.comesTo('a new ingester has joined', () => extra.assignments > 0);
    await sleep(random.between(0, 1_500));
    await leave(extra);
  });
  await Promise.all(visits);
  await fleet.everyPartitionIsRead();
  return assignmentsOf([...fleet.ingesters, ...extras]) - before;
}

/** Everything the topic holds is delivered once more, also what earlier runs sent. */
async function replay({ fleet }: Scene): Promise<number> {
  await Promise.all(fleet.ingesters.map(({ process }) => process.stop()));
  // A member that was killed is one until its session ends; the broker may be away.
  const { committed } = await retry(() => fleet.offsets.read(), persistently);
  await retry(() => fleet.offsets.rewind(), persistently);
  for (const ingester of fleet.ingesters) await ingester.start();
  return committed;
}

/** Batches of this run and of earlier ones, as from an agent that did not hear the answer. */
async function duplicates({ fleet, random }: Scene): Promise<number> {
  const { bodies } = fleet.oracle;
  const deadline = performance.now() + PATIENCE_MS;
  let count = 0;
  while (count < 40 && performance.now() < deadline) {
    const answer = await fleet.oracle.deliver(random.pick(bodies));
    if (answer?.status === 200) count++;
    else await sleep(100);
  }
  return count;
}

/** The agent forgets how far it came, as after a restored disk: it sends the whole spool again. */
async function spoolAgain({ fleet }: Scene): Promise<number> {
  const { oracle, spool } = fleet;
  const sent = () => oracle.realRows;
  const sentBefore = sent();
  await fleet.comesTo('the agent sends', () => sent() > sentBefore);
  await fleet.agent.kill();
  rmSync(join(spool, 'cursor'), { force: true });
  const before = oracle.repeated;
  await fleet.agent.start();
  await fleet.comesTo('the spool is sent again', () => oracle.repeated > before);
  return oracle.repeated - before;
}

/** Forth and back, by moments or hours; with some simulated agents so far that their samples must be refused. */
async function clockSteps({ fleet, agents, random }: Scene): Promise<number> {
  const step = () => Math.round((random.chance(0.5) ? 1 : -1) * random.scale(10, 2 * 3_600_000));
  for (let count = 0; count < 3; count++) {
    for (const agent of agents) agent.stepClock(random.chance(0.1) ? 3 * 86_400_000 : step());
    if (fleet.agent.isRunning) fleet.agent.tell(String(step()));
    await sleep(random.between(500, 1_500));
  }
  for (const agent of agents) agent.stepClock(0);
  return 3 * (agents.length + 1);
}

/** Not a byte left, for a while; whoever dies of it is started again when there is room. */
const diskFull =
  (part: Part, restart: (scene: Scene) => Promise<void>) =>
  async (scene: Scene): Promise<number> => {
    const disk = scene.fleet.disks.get(part)!;
    const rounds = scene.random.int(10, 30);
    try {
      for (let round = 0; round < rounds; round++) {
        disk.fill();
        await sleep(100);
      }
    } finally {
      disk.empty();
    }
    await restart(scene);
    return 1;
  };

const killAndStart = async (process: { kill(): Promise<void>; start(): Promise<void> }, pauseMs: number): Promise<number> => {
  await process.kill();
  await sleep(pauseMs);
  await process.start();
  return 1;
};

export const FAULTS = {
  'agent killed': { parts: ['agent'], strike: ({ fleet, random }) => killAndStart(fleet.agent, random.between(0, 500)) },
  'gateway killed': { parts: ['gateway'], strike: ({ fleet, random }) => killAndStart(fleet.gateway, random.between(0, 500)) },
  'ingester killed': {
    parts: ['ingesters'],
    strike: ({ fleet, random }) => killAndStart(random.pick(fleet.ingesters).process, random.between(0, 500)),
  },
  'both ingesters killed': {
    parts: ['ingesters'],
    strike: async ({ fleet, random }) => {
      await Promise.all(fleet.ingesters.map(({ process }) => killAndStart(process, random.between(0, 500))));
      return 2;
    },
  },
  'store killed': { parts: ['store'], strike: ({ fleet, random }) => killAndStart(fleet.storeProcess, random.between(0, 500)) },
  'broker killed': { parts: ['broker'], strike: ({ fleet, random }) => killAndStart(fleet.broker, random.between(0, 500)) },
  'store away': { parts: ['store'], strike: ({ fleet, random }) => killAndStart(fleet.storeProcess, random.between(2_000, 6_000)) },
  'store frozen': {
    parts: ['store'],
    strike: async ({ fleet, random }) => {
      fleet.storeProcess.freeze();
      await sleep(random.between(1_000, 5_000));
      fleet.storeProcess.thaw();
      return 1;
    },
  },
  'broker away': { parts: ['broker'], strike: ({ fleet, random }) => killAndStart(fleet.broker, random.between(2_000, 6_000)) },
  'rebalance storm': { parts: ['ingesters'], strike: rebalanceStorm },
  'zombie ingester': { parts: ['ingesters'], strike: zombie },
  'batches sent again': { parts: [], strike: duplicates },
  'spool sent again': { parts: ['agent', 'gateway'], strike: spoolAgain },
  'topic replayed': { parts: ['ingesters'], strike: replay },
  'agent clocks stepped': { parts: ['agent'], strike: clockSteps },
  'disk full: spool': {
    parts: ['agent'],
    disk: 'agent',
    strike: diskFull('agent', async ({ fleet }) => {
      if (!fleet.agent.isRunning) await fleet.agent.start();
    }),
  },
  'disk full: store': {
    parts: ['store'],
    disk: 'store',
    strike: diskFull('store', async ({ fleet }) => {
      if (!fleet.storeProcess.isRunning) await fleet.storeProcess.start();
    }),
  },
  'disk full: broker': {
    parts: ['broker'],
    disk: 'broker',
    // It may stand half dead: its log is offline for good once a write failed.
    strike: diskFull('broker', async ({ fleet }) => {
      await fleet.broker.kill();
      await fleet.broker.start();
    }),
  },
} as const satisfies Record<string, Fault>;

export type FaultName = keyof typeof FAULTS;

export const FAULT_NAMES = Object.keys(FAULTS) as FaultName[];
