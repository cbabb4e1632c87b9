/** The pipeline as separate processes: broker, store, gateway, two ingesters and a real agent, with the oracle before the gateway. */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { INGESTER_GROUP } from '../../services/ingester/ingester.ts';
import { TOPICS } from '../../shared/bus/bus.ts';
import { createLifecycle, type Lifecycle } from '../../shared/lifecycle.ts';
import { openStore, type Store } from '../../shared/store/store.ts';
import { startKafka, type KafkaBroker } from '../harness/kafka-broker.ts';
import { GroupOffsets } from '../harness/kafka-topic.ts';
import { freePort, LeaklineProcess } from '../harness/leakline-process.ts';
import { until } from '../harness/until.ts';
import type { Conduct } from './ingester-child.ts';
import { Oracle } from './oracle.ts';
import { SmallDisk } from '../harness/small-disk.ts';

const INGESTER = join(import.meta.dirname, 'ingester-child.ts');
const STEPPING_CLOCK = join(import.meta.dirname, 'stepping-clock.ts');
/** Of the hopeless: a busy machine takes its time to start a process. */
export const PATIENCE_MS = 300_000;
const PARTITIONS = 3;

/** What can be done harm to; a fault takes what it needs for itself alone. */
export const PARTS = ['agent', 'gateway', 'ingesters', 'store', 'broker'] as const;

export type Part = (typeof PARTS)[number];

/** An ingester and the partitions it was last told to read. */
export class TestIngester {
  readonly process: LeaklineProcess;
  partitions: readonly number[] = [];
  assignments = 0;

  constructor(args: readonly string[], cwd: string) {
    this.process = new LeaklineProcess({ script: INGESTER, args, cwd, onLine: (line) => this.#listen(line) });
  }

  #listen(line: string): void {
    if (!line.includes('partitions assigned')) return;
    this.partitions = (JSON.parse(line) as { partitions: number[] }).partitions;
    this.assignments++;
  }

  async start(): Promise<void> {
    this.partitions = [];
    await this.process.start();
  }
}

export interface FleetOptions {
  /** Matches the command lines of the processes the agent is to watch. */
  readonly marker: string;
  readonly smallDisks: boolean;
}

export class FleetUnderTest {
  readonly oracle: Oracle;
  readonly oracleUrl: string;
  readonly broker: KafkaBroker;
  readonly offsets: GroupOffsets;
  readonly storeProcess: LeaklineProcess;
  readonly gateway: LeaklineProcess;
  readonly agent: LeaklineProcess;
  readonly ingesters: TestIngester[] = [];
  readonly store: Store;
  readonly spool: string;
  readonly disks: ReadonlyMap<Part, SmallDisk>;
  readonly #lifecycle: Lifecycle;
  readonly #directory: string;
  readonly #storeUrl: string;

  static async start({ marker, smallDisks }: FleetOptions): Promise<FleetUnderTest> {
    const lifecycle = createLifecycle(120_000);
    const directory = mkdtempSync(join(tmpdir(), 'leakline-chaos-'));
    lifecycle.onStop('directory', () => rmSync(directory, { recursive: true, force: true }));
    try {
      const disks = new Map<Part, SmallDisk>();
      if (smallDisks)
        for (const [part, sizeMiB] of [
          ['agent', 16],
          ['store', 768],
          ['broker', 768],
        ] as const) {
          const disk = SmallDisk.open(join(directory, part), sizeMiB);
          if (typeof disk === 'string') continue;
          disks.set(part, disk);
          lifecycle.onStop(`disk of ${part}`, () => disk.close());
        }
      const [storePort, gatewayPort] = [await freePort(), await freePort()];
      const oracle = new Oracle(gatewayPort);
      const oracleUrl = await oracle.listen();
      lifecycle.onStop('oracle', () => oracle.close());
      mkdirSync(join(directory, 'broker'), { recursive: true });
      const broker = await startKafka(join(directory, 'broker'));
      lifecycle.onStop('broker', () => broker.stop());
      // A broker in a container has its data elsewhere.
      if (broker.directory === undefined) disks.delete('broker');
      const storeUrl = `http://127.0.0.1:${storePort}`;
      const store = await openStore({ url: storeUrl });
      lifecycle.onStop('store client', () => store.close());
      const fleet = new FleetUnderTest({ lifecycle, directory, disks, oracle, oracleUrl, broker, store, storeUrl, gatewayPort, marker });
      for (const process of [fleet.storeProcess, fleet.gateway, fleet.agent]) {
        lifecycle.onStop('process', () => process.stop());
        await process.start();
      }
      await fleet.useIngesters('sound');
      lifecycle.onStop('ingesters', () => fleet.#stopIngesters());
      return fleet;
    } catch (error) {
      await lifecycle.stop();
      throw error;
    }
  }

  private constructor(parts: {
    lifecycle: Lifecycle;
    directory: string;
    disks: ReadonlyMap<Part, SmallDisk>;
    oracle: Oracle;
    oracleUrl: string;
    broker: KafkaBroker;
    store: Store;
    storeUrl: string;
    gatewayPort: number;
    marker: string;
  }) {
    const { lifecycle, directory, disks, oracle, oracleUrl, broker, store, storeUrl, gatewayPort, marker } = parts;
    this.#lifecycle = lifecycle;
    this.#directory = directory;
    this.#storeUrl = storeUrl;
    this.disks = disks;
    this.oracle = oracle;
    this.oracleUrl = oracleUrl;
    this.broker = broker;
    this.store = store;
    this.offsets = new GroupOffsets(broker.brokers, TOPICS.samples, INGESTER_GROUP);
    this.spool = join(directory, 'agent/data/agent/spool');
    this.storeProcess = new LeaklineProcess({
      args: ['store', '--data', join(directory, 'store/data'), '--listen', new URL(storeUrl).host],
      cwd: this.#room('store'),
      healthUrl: `${storeUrl}/ping`,
    });
    this.gateway = new LeaklineProcess({
      args: ['gateway', '--kafka', broker.brokers.join(','), '--listen', `127.0.0.1:${gatewayPort}`],
      cwd: this.#room('gateway'),
      healthUrl: `http://127.0.0.1:${gatewayPort}/healthz`,
    });
    this.agent = new LeaklineProcess({
      preload: STEPPING_CLOCK,
      args: ['agent', '--to', oracleUrl, '--match', marker, '--interval', '250ms', '--data', join(directory, 'agent/data')],
      cwd: this.#room('agent'),
    });
  }

  /** A folder to run in: no configuration file of the checkout is to be found. */
  #room(name: string): string {
    const room = join(this.#directory, 'rooms', name);
    mkdirSync(room, { recursive: true });
    return room;
  }

  /** One more member of the group; the caller starts and ends it. */
  newIngester(conduct: Conduct = 'sound'): TestIngester {
    return new TestIngester([this.broker.brokers.join(','), this.#storeUrl, conduct], this.#room('ingester'));
  }

  /** Two ingesters of this conduct instead of those that run. */
  async useIngesters(conduct: Conduct): Promise<void> {
    await this.#stopIngesters();
    for (const ingester of [this.newIngester(conduct), this.newIngester(conduct)]) {
      this.ingesters.push(ingester);
      await ingester.start();
    }
    await this.everyPartitionIsRead();
  }

  async #stopIngesters(): Promise<void> {
    await Promise.all(this.ingesters.splice(0).map(({ process }) => process.stop()));
  }

  /** Whatever a run that broke off has left dead, frozen or full. */
  async startAnew(): Promise<void> {
    for (const disk of this.disks.values()) disk.empty();
    const processes = this.ingesters.map(({ process }) => process);
    for (const process of [this.broker, this.storeProcess, this.gateway, this.agent, ...processes]) {
      await process.kill();
      await process.start();
    }
    await this.everyPartitionIsRead();
  }

  /** By any ingester but those. */
  async everyPartitionIsRead(except: readonly TestIngester[] = []): Promise<void> {
    await until(
      'every partition read by an ingester',
      () => Promise.resolve(this.ingesters.filter((ingester) => !except.includes(ingester)).map(({ partitions }) => partitions)),
      (partitions) => new Set(partitions.flat()).size === PARTITIONS,
      PATIENCE_MS,
    );
  }

  async acknowledgesMore(batches: number): Promise<void> {
    const before = this.oracle.acknowledgedBatches;
    await this.comesTo(`${batches} more batches acknowledged`, () => this.oracle.acknowledgedBatches - before >= batches);
  }

  /** What was delivered again has been stored again: only now can be told that nothing is there twice. */
  async hasReadEverything(): Promise<void> {
    await until(
      'the ingesters to have read everything',
      () => this.offsets.read(),
      ({ lag }) => lag === 0,
      PATIENCE_MS,
    );
  }

  /** Waits until it is so; says what the processes said last when it never is. */
  async comesTo(what: string, isSo: () => boolean): Promise<void> {
    const said = () => [this.agent, this.gateway, this.storeProcess].map(({ output }) => output.slice(-1_000)).join('\n');
    await until(
      what,
      () => Promise.resolve(isSo() || said()),
      (seen) => seen === true,
      PATIENCE_MS,
    );
  }

  stop(): Promise<void> {
    return this.#lifecycle.stop();
  }
}
