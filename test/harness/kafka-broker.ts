/**
 * A real Kafka broker on a free loopback port: in Docker where a daemon answers and has the image, from Maven's jars
 * (infra/kafka) otherwise. Says on stderr which, and why not the other. Throws when neither works: what needs a broker fails without one.
 */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { GenericContainer, getContainerRuntimeClient, Wait } from 'testcontainers';

export interface KafkaBroker {
  readonly brokers: string[];
  /** Where its data is; undefined: inside a container. */
  readonly directory: string | undefined;
  /** SIGKILL: what was acknowledged must still be there after start(). */
  kill(): Promise<void>;
  /** After kill(): the same address, the same data. */
  start(): Promise<void>;
  /** Stops cleanly and starts again. */
  restart(): Promise<void>;
  /** Stops for good and removes the data. */
  stop(): Promise<void>;
}

const IMAGE = 'apache/kafka:4.1.0';
const READY_TIMEOUT_MS = 120_000;
/** A registry that does not answer must not hold up a run that has another way. */
const PULL_TIMEOUT_MS = 300_000;

/** `parent`: the folder its data goes to, where it does not run in a container. */
export async function startKafka(parent: string = tmpdir()): Promise<KafkaBroker> {
  const failures: string[] = [];
  for (const [name, start] of [
    ['Docker', startContainer],
    ['Maven', startFromMaven],
  ] as const) {
    try {
      const broker = await start(await freePortPair(), parent);
      const why = failures.length === 0 ? '' : ` (${failures.join('; ')})`;
      process.stderr.write(`kafka: ${name} broker on ${broker.brokers.join(',')}${why}\n`);
      return broker;
    } catch (error) {
      failures.push(`${name}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  throw new Error(`no Kafka broker could be started:\n  ${failures.join('\n  ')}`);
}

/** A port that is free together with the next one, which the controller takes. */
async function freePortPair(): Promise<number> {
  for (;;) {
    const first = createServer().listen(0, '127.0.0.1');
    await once(first, 'listening');
    const { port } = first.address() as { port: number };
    const second = createServer().listen(port + 1, '127.0.0.1');
    const free = await new Promise<boolean>((resolve) => second.once('listening', () => resolve(true)).once('error', () => resolve(false)));
    await Promise.all([first, second].map((server) => new Promise((resolve) => server.close(resolve))));
    if (free) return port;
  }
}

function docker(args: readonly string[], timeout: number): { ok: boolean; said: string } {
  const { status, stderr, error } = spawnSync('docker', args, { timeout, encoding: 'utf8' });
  return { ok: status === 0, said: error?.message ?? stderr.trim().split('\n').at(-1) ?? '' };
}

function requireImage(): void {
  if (!docker(['version'], 10_000).ok) throw new Error('no Docker daemon answers');
  if (docker(['image', 'inspect', IMAGE], 10_000).ok) return;
  const pull = docker(['pull', '--quiet', IMAGE], PULL_TIMEOUT_MS);
  if (!pull.ok) throw new Error(`the daemon answers but cannot get ${IMAGE}: ${pull.said}`);
}

async function startContainer(port: number): Promise<KafkaBroker> {
  requireImage();
  const container = await new GenericContainer(IMAGE)
    .withExposedPorts({ container: port, host: port })
    .withEnvironment({
      KAFKA_NODE_ID: '1',
      KAFKA_PROCESS_ROLES: 'broker,controller',
      KAFKA_CONTROLLER_QUORUM_VOTERS: `1@localhost:${port + 1}`,
      KAFKA_CONTROLLER_LISTENER_NAMES: 'CONTROLLER',
      KAFKA_LISTENERS: `PLAINTEXT://:${port},CONTROLLER://:${port + 1}`,
      KAFKA_ADVERTISED_LISTENERS: `PLAINTEXT://127.0.0.1:${port}`,
      KAFKA_LISTENER_SECURITY_PROTOCOL_MAP: 'PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT',
      KAFKA_INTER_BROKER_LISTENER_NAME: 'PLAINTEXT',
      KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR: '1',
      KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR: '1',
      KAFKA_TRANSACTION_STATE_LOG_MIN_ISR: '1',
      KAFKA_AUTO_CREATE_TOPICS_ENABLE: 'false',
      KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS: '100',
      KAFKA_GROUP_MIN_SESSION_TIMEOUT_MS: '1000',
      KAFKA_MESSAGE_MAX_BYTES: '8388608',
    })
    .withWaitStrategy(Wait.forLogMessage(/Kafka Server started/))
    .withStartupTimeout(READY_TIMEOUT_MS)
    .start();
  const client = await getContainerRuntimeClient();
  const raw = client.container.getById(container.getId());
  const start = async () => {
    await raw.start();
    await listening(port);
  };
  return {
    brokers: [`127.0.0.1:${port}`],
    directory: undefined,
    kill: async () => {
      await raw.kill({ signal: 'SIGKILL' });
    },
    start,
    restart: async () => {
      await raw.stop({ t: 30 });
      await start();
    },
    stop: async () => {
      await container.stop();
    },
  };
}

async function startFromMaven(port: number, parent: string): Promise<KafkaBroker> {
  const data = mkdtempSync(join(parent, 'leakline-kafka-'));
  let broker: ChildProcess | undefined;
  const start = async () => {
    broker = await launch(port, data);
  };
  const end = async (signal: NodeJS.Signals) => {
    const ending = broker;
    broker = undefined;
    if (ending?.exitCode !== null || ending.signalCode !== null) return;
    const exited = once(ending, 'exit');
    // The whole group: a killed script would leave its Java behind.
    process.kill(signal === 'SIGKILL' ? -ending.pid! : ending.pid!, signal);
    await exited;
  };
  const killGroupAtExit = () => {
    if (broker?.pid !== undefined && broker.exitCode === null) process.kill(-broker.pid, 'SIGKILL');
  };
  process.once('exit', killGroupAtExit);
  await start();
  return {
    brokers: [`127.0.0.1:${port}`],
    directory: data,
    kill: () => end('SIGKILL'),
    start,
    restart: async () => {
      await end('SIGTERM');
      await start();
    },
    stop: async () => {
      await end('SIGTERM');
      process.off('exit', killGroupAtExit);
      rmSync(data, { recursive: true, force: true });
    },
  };
}

async function launch(port: number, data: string): Promise<ChildProcess> {
  const script = join(import.meta.dirname, '../../infra/kafka/start.sh');
  const child = spawn(script, [String(port), data], { detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
  let complaint = '';
  child.stderr.on('data', (chunk: Buffer) => (complaint = (complaint + chunk.toString()).slice(-2000)));
  const ready = new Promise<void>((resolve, reject) => {
    createInterface(child.stdout).on('line', (line) => {
      if (line.startsWith('kafka ready')) resolve();
    });
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`infra/kafka/start.sh ended with ${String(code)}: ${complaint.trim()}`)));
    setTimeout(() => reject(new Error(`infra/kafka/start.sh was not ready in time: ${complaint.trim()}`)), READY_TIMEOUT_MS).unref();
  });
  try {
    await ready;
  } catch (error) {
    if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, 'SIGKILL');
    throw error;
  }
  return child;
}

async function listening(port: number): Promise<void> {
  const deadline = performance.now() + READY_TIMEOUT_MS;
  for (;;) {
    const socket = connect(port, '127.0.0.1');
    const open = await new Promise<boolean>((resolve) => socket.once('connect', () => resolve(true)).once('error', () => resolve(false)));
    socket.destroy();
    if (open) return;
    if (performance.now() > deadline) throw new Error(`nothing listens on ${port}`);
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}
