/** The agent's end of the probe socket, bare: keeps what probes write, and can be as rude to them as an agent never is. */
import { spawn, type ChildProcess } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export type Line = Readonly<Record<string, number | string | undefined>>;

export class LineCollector {
  readonly lines: Line[] = [];
  readonly directory = mkdtempSync(join(tmpdir(), 'leakline-probe-'));
  readonly path = join(this.directory, 'agent.sock');
  readonly #sockets = new Set<Socket>();
  readonly #heard = new EventEmitter();
  #server: Server | undefined;
  connections = 0;

  /** `hello` is what each probe is told first; `reads: false` takes nothing, so that the probe's side fills up. */
  async listen({ hello = '{"v":1,"interval_ms":100}\n', reads = true } = {}): Promise<this> {
    this.#server = createServer((socket) => {
      this.connections += 1;
      this.#heard.emit('line');
      this.#sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => this.#sockets.delete(socket));
      if (hello !== '') socket.write(hello);
      if (reads) this.#collect(socket);
    });
    this.#server.listen(this.path);
    await once(this.#server, 'listening');
    return this;
  }

  #collect(socket: Socket): void {
    let rest = '';
    socket.setEncoding('utf8').on('data', (chunk: string) => {
      const complete = (rest + chunk).split('\n');
      rest = complete.pop() ?? '';
      this.lines.push(...complete.map((line) => JSON.parse(line) as Line));
      this.#heard.emit('line');
    });
  }

  /** Resolves as soon as the lines so far satisfy `isEnough`. */
  async until(isEnough: (lines: readonly Line[]) => boolean): Promise<readonly Line[]> {
    while (!isEnough(this.lines)) await once(this.#heard, 'line');
    return this.lines;
  }

  async connected(count: number): Promise<void> {
    while (this.connections < count) await once(this.#heard, 'line');
  }

  async drop(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (server === undefined) return;
    const closed = once(server, 'close');
    server.close();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  async close(): Promise<void> {
    await this.drop();
    rmSync(this.directory, { recursive: true, force: true });
  }
}

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Program {
  readonly child: ChildProcess;
  readonly pid: number;
  readonly ended: Promise<Ended>;
  /** Ends it and its children for good, and waits. */
  kill(): Promise<Ended>;
  /** Resolves with what was printed so far once it contains `text`. */
  printed(text: string): Promise<string>;
}

/** Runs a real program. Only what is given (and PATH) is in its environment. */
export function run(command: string, args: readonly string[], env: Readonly<Record<string, string>>): Program {
  const child = spawn(command, args, { detached: true, env: { PATH: process.env['PATH'] ?? '', HOME: process.env['HOME'] ?? '', ...env } });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const ended: Promise<Ended> = once(child, 'close').then(() => ({ code: child.exitCode, signal: child.signalCode, stdout, stderr }));
  const printed = async (text: string) => {
    while (!stdout.includes(text)) {
      if (child.exitCode !== null) throw new Error(`ended without printing ${text}: ${stderr}`);
      await Promise.race([once(child.stdout, 'data'), ended]);
    }
    return stdout;
  };
  const kill = () => {
    try {
      process.kill(-child.pid!, 'SIGKILL');
    } catch {
      // the whole group has ended
    }
    return ended;
  };
  return { child, pid: child.pid!, ended, printed, kill };
}

/** Ends a program the way an operator does, and waits for it. */
export async function stop(program: Program): Promise<Ended> {
  program.child.kill('SIGTERM');
  return program.ended;
}
