/**
 * The unix socket the probes inside Node and Python processes write to. Who may connect is decided by the mode of its
 * directory: the default one is ours alone (0700). A line counts only for a watched process with the claimed pid and the
 * very start time, and one connection speaks for one process. A probe that floods is read ten times a second at most.
 */
import { chmodSync, lstatSync, mkdirSync, unlinkSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { dirname } from 'node:path';
import type { Clock } from '../../shared/clock.ts';
import { LeaklineError } from '../../shared/errors.ts';
import type { Metrics } from '../../shared/metrics.ts';
import { MAX_LINE_BYTES, parseProbeLine, type ProbeLine } from './probe-line.ts';
import { readStat } from './proc.ts';
import type { RuntimeReading, RuntimeSource, RuntimeTarget } from './runtime-source.ts';

export interface ProbeSocketOptions {
  /** Empty: /tmp/leakline-UID/agent.sock, where probes look without being told. */
  readonly path: string;
  /** Told to each probe on connect. */
  readonly intervalMs: number;
  readonly clock: Clock;
  readonly metrics: Metrics;
  readonly procRoot?: string;
}

const MAX_CONNECTIONS = 4_096;
/** sun_path holds 108 bytes with its final zero. */
const MAX_PATH_BYTES = 107;
const READ_PAUSE_MS = 100;
/** A probe may miss this many of its own intervals (a blocked event loop) before its last word is stale. */
const STALE_INTERVALS = 3;

/** What one connection said last. */
interface Speaker {
  readonly pid: number;
  readonly startTicks: number;
  reading: RuntimeReading;
  heardAt: number;
  /** Longest of the agent's interval and the gap the probe itself keeps. */
  gapMs: number;
}

export async function openProbeSocket(options: ProbeSocketOptions): Promise<RuntimeSource & { readonly path: string }> {
  const path = options.path === '' ? defaultPath() : options.path;
  await preparePath(path);
  const speakers = new SpeakerTable(options);
  const server = createServer((socket) => serve(socket, speakers, options));
  server.maxConnections = MAX_CONNECTIONS;
  await listen(server, path);
  // The directory's mode is the gate; processes of other users that may pass it must be able to write.
  chmodSync(path, 0o666);
  return { path, read: (target) => speakers.read(target), close: () => speakers.close(server) };
}

function defaultPath(): string {
  const uid = process.getuid?.() ?? 0;
  const directory = `/tmp/leakline-${String(uid)}`;
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    const stat = lstatSync(directory);
    if (stat.isDirectory() && stat.uid === uid && (stat.mode & 0o077) === 0) return `${directory}/agent.sock`;
  } catch (cause) {
    throw unusable(directory, 'cannot be made', cause);
  }
  throw unusable(directory, 'must be a directory of this user with mode 0700: remove it');
}

function unusable(path: string, problem: string, cause?: unknown): LeaklineError {
  return new LeaklineError('LKL_ERR_CONFIG', `probe socket: ${path} ${problem}, or set agent.socket to another path`, {
    cause,
    details: { path },
  });
}

async function preparePath(path: string): Promise<void> {
  if (Buffer.byteLength(path) > MAX_PATH_BYTES)
    throw unusable(path, `is longer than the ${String(MAX_PATH_BYTES)} bytes a socket may have`);
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    if (!lstatSync(path, { throwIfNoEntry: false })?.isSocket()) return;
  } catch (cause) {
    throw unusable(path, 'cannot be used', cause);
  }
  if (await answers(path)) throw unusable(path, 'is in use by another agent: stop that one');
  unlinkSync(path);
}

const answers = (path: string): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect({ path });
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });

const listen = (server: Server, path: string): Promise<void> =>
  new Promise((resolve, reject) => {
    server.once('error', (cause) => reject(unusable(path, 'cannot be listened on', cause)));
    server.listen({ path }, resolve);
  });

class SpeakerTable {
  readonly #options: ProbeSocketOptions;
  readonly #speakers = new Map<Socket, Speaker>();
  readonly #byPid = new Map<number, Set<Speaker>>();
  readonly #sockets = new Set<Socket>();

  constructor(options: ProbeSocketOptions) {
    this.#options = options;
  }

  add(socket: Socket): void {
    this.#sockets.add(socket);
  }

  remove(socket: Socket): void {
    this.#sockets.delete(socket);
    const speaker = this.#speakers.get(socket);
    if (speaker === undefined) return;
    this.#speakers.delete(socket);
    const namesakes = this.#byPid.get(speaker.pid);
    namesakes?.delete(speaker);
    if (namesakes?.size === 0) this.#byPid.delete(speaker.pid);
  }

  /** False when the connection may not say this: it spoke for another process before, or that process has its own. */
  hear(socket: Socket, line: ProbeLine): boolean {
    const now = this.#options.clock.now();
    const known = this.#speakers.get(socket);
    if (known === undefined) {
      if (this.#find(line.pid, line.startTicks) !== undefined) return false;
      const speaker = { ...line, heardAt: now, gapMs: this.#options.intervalMs };
      this.#speakers.set(socket, speaker);
      const namesakes = this.#byPid.get(line.pid);
      if (namesakes === undefined) this.#byPid.set(line.pid, new Set([speaker]));
      else namesakes.add(speaker);
      return true;
    }
    if (known.pid !== line.pid || known.startTicks !== line.startTicks) return false;
    known.gapMs = Math.max(this.#options.intervalMs, now - known.heardAt);
    known.heardAt = now;
    known.reading = line.reading;
    return true;
  }

  read(target: RuntimeTarget): RuntimeReading | undefined {
    const pid = target.nsPid ?? target.pid;
    if (!this.#byPid.has(pid)) return undefined;
    // Containers have equal pids: the start, in ticks since the host's boot, tells them apart.
    const startTicks = readStat(this.#options.procRoot ?? '/proc', target.pid)?.startTicks;
    const speaker = startTicks === undefined ? undefined : this.#find(pid, startTicks);
    if (speaker === undefined) return undefined;
    return this.#options.clock.now() - speaker.heardAt > STALE_INTERVALS * speaker.gapMs ? undefined : speaker.reading;
  }

  #find(pid: number, startTicks: number): Speaker | undefined {
    for (const speaker of this.#byPid.get(pid) ?? []) if (speaker.startTicks === startTicks) return speaker;
    return undefined;
  }

  close(server: Server): Promise<void> {
    return new Promise((resolve) => {
      server.close(() => resolve());
      for (const socket of this.#sockets) socket.destroy();
    });
  }
}

function serve(socket: Socket, speakers: SpeakerTable, { intervalMs, metrics }: ProbeSocketOptions): void {
  const lines = metrics.counter(
    'leakline_agent_probe_lines_total',
    'Lines that probes wrote to the socket, by whether they could be used',
    ['result'],
  );
  let rest = '';
  let resume: NodeJS.Timeout | undefined;
  speakers.add(socket);
  socket.setEncoding('utf8');
  socket.on('error', () => undefined);
  socket.on('close', () => {
    clearTimeout(resume);
    speakers.remove(socket);
  });
  socket.on('data', (chunk: string) => {
    const complete = (rest + chunk).split('\n');
    rest = complete.pop() ?? '';
    // Of several lines the last is the newest; a line is a state, not an increment, so nothing is lost.
    const newest = complete.at(-1);
    const line = newest === undefined || newest.length > MAX_LINE_BYTES ? undefined : parseProbeLine(newest);
    const isGood = newest === undefined ? rest.length <= MAX_LINE_BYTES : line !== undefined && speakers.hear(socket, line);
    if (newest !== undefined || !isGood) lines.inc({ result: isGood ? 'used' : 'refused' });
    if (!isGood) {
      socket.destroy();
      return;
    }
    socket.pause();
    resume = setTimeout(() => socket.resume(), READ_PAUSE_MS).unref();
  });
  socket.write(`${JSON.stringify({ v: 1, interval_ms: intervalMs })}\n`);
}
