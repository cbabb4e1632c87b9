/** The `leakline` command, or a script beside it, as a process of its own from the sources: started, frozen, killed, started again. */
import { execFile, fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

const MAIN = join(import.meta.dirname, '../../services/main.ts');
/** Deadlines of the hopeless, not expectations: a machine may be busy with ten other things. */
const UP_TIMEOUT_MS = 300_000;
const STOP_TIMEOUT_MS = 20_000;

const FROM_SOURCES = ['--import', import.meta.resolve('tsx')];

/** Arguments of node for the `leakline` command. */
export const LEAKLINE = [...FROM_SOURCES, MAIN];

/** Nothing of the project's or the test's own settings. */
export const inherited = () =>
  Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(LEAKLINE_|VITEST|NODE_OPTIONS|NODE_ENV)/.test(name)));

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

export interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A command that ends by itself, run to its end. */
export async function runLeakline(args: readonly string[], cwd: string): Promise<Ended> {
  return new Promise((resolve) => {
    const child = execFile(process.execPath, [...LEAKLINE, ...args], { cwd, env: inherited() }, (_error, stdout, stderr) =>
      resolve({ code: child.exitCode ?? -1, stdout, stderr }),
    );
  });
}

export interface LeaklineCommand {
  /** Default: the `leakline` command. */
  readonly script?: string;
  /** Loaded before the script. */
  readonly preload?: string;
  readonly args: readonly string[];
  /** Where it runs: no configuration file of the checkout is to be found. */
  readonly cwd: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Answers once it works; none = it is up when it runs. */
  readonly healthUrl?: string;
  readonly onLine?: (line: string) => void;
}

export class LeaklineProcess {
  readonly #command: LeaklineCommand;
  #child: ChildProcess | undefined;
  #output = '';

  constructor(command: LeaklineCommand) {
    this.#command = command;
  }

  /** The last it said, for messages of failed tests. */
  get output(): string {
    return this.#output;
  }

  async start(): Promise<void> {
    const { script = MAIN, preload, args, cwd, env = {}, healthUrl, onLine } = this.#command;
    const child = fork(script, [...args], {
      cwd,
      env: { ...inherited(), ...env },
      execArgv: preload === undefined ? FROM_SOURCES : [...FROM_SOURCES, '--import', preload],
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    });
    this.#child = child;
    const listen = (chunk: Buffer) => (this.#output = (this.#output + chunk.toString()).slice(-6000));
    child.stdout?.on('data', listen);
    child.stderr?.on('data', listen);
    if (onLine !== undefined) createInterface(child.stderr!).on('line', onLine);
    if (healthUrl !== undefined) await this.#untilHealthy(child, healthUrl);
  }

  get isRunning(): boolean {
    return this.#child?.exitCode === null && this.#child.signalCode === null;
  }

  /** SIGSTOP: it neither runs nor ends, and nobody is told. */
  freeze(): void {
    this.#child?.kill('SIGSTOP');
  }

  /** SIGCONT: it goes on as if no time had passed. */
  thaw(): void {
    this.#child?.kill('SIGCONT');
  }

  /** To what the preload listens for. */
  tell(message: string): void {
    this.#child?.send(message);
  }

  /** SIGKILL. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL');
  }

  /** SIGTERM; SIGKILL and an error when it does not end in time. */
  async stop(): Promise<void> {
    await this.#end('SIGTERM');
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child?.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill(signal);
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS);
    const [, killedBy] = (await exited) as [number | null, NodeJS.Signals | null];
    clearTimeout(timer);
    if (signal === 'SIGTERM' && killedBy === 'SIGKILL')
      throw new Error(`leakline ${this.#command.args.join(' ')} did not stop in time: ${this.#output}`);
  }

  async #untilHealthy(child: ChildProcess, url: string): Promise<void> {
    const deadline = performance.now() + UP_TIMEOUT_MS;
    for (;;) {
      if (child.exitCode !== null || child.signalCode !== null)
        throw new Error(`leakline ${this.#command.args.join(' ')} ended at once: ${this.#output}`);
      const answer = await fetch(url, { signal: AbortSignal.timeout(2_000) }).catch(() => undefined);
      await answer?.arrayBuffer().catch(() => undefined);
      if (answer?.ok === true) return;
      if (performance.now() > deadline) throw new Error(`${url} does not answer: ${this.#output}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

export interface Service {
  readonly process: LeaklineProcess;
  readonly url: string;
}

/** What says that a service works; of others that it answers at all. */
const HEALTH: Readonly<Record<string, string>> = { store: 'ping', up: 'readyz' };

/** A service on a free port, once it is up. */
export async function startService(command: Omit<LeaklineCommand, 'healthUrl'>): Promise<Service> {
  const listen = `127.0.0.1:${String(await freePort())}`;
  const url = `http://${listen}`;
  const health = HEALTH[command.args[0] ?? ''] ?? 'healthz';
  const process = new LeaklineProcess({ ...command, args: [...command.args, '--listen', listen], healthUrl: `${url}/${health}` });
  try {
    await process.start();
  } catch (error) {
    await process.kill();
    throw error;
  }
  return { process, url };
}
