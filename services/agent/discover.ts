/**
 * Which processes to watch. A scan lists /proc and examines only what it does not know yet; what it once passed over is looked at
 * again while young (exec changes the command line) and then in rotation (its pid may have been reused).
 */
import { createHash } from 'node:crypto';
import { readdirSync, readlinkSync } from 'node:fs';
import { isLauncher } from './command-line.ts';
import { readCommandLine } from './inspect.ts';
import type { Kernel } from './kernel.ts';
import { readText } from './proc-file.ts';
import { isDead, isKernelThread, readStat } from './proc.ts';

/** Why these: a command line that matches, everything in the own pod or container (sidecar), everything on the host. */
export type Scope = 'match' | 'pod' | 'host';

export interface Candidate {
  readonly pid: number;
  readonly startTicks: number;
  /** 16 hex digits of host boot, pid namespace, pid and start. */
  readonly lifetime: string;
  /** Milliseconds UTC. */
  readonly startedAt: number;
}

interface PassedOver {
  readonly startTicks: number;
  /** Old enough that its command line is not expected to change. */
  readonly settled: boolean;
  lastScan: number;
}

/** Processes of a host come and go by the thousand; only those that stay are worth a series. A pod's are all of interest. */
const MIN_AGE_ON_HOST_S = 30;
const SETTLED_AGE_S = 60;
/** Of those passed over, at least so many are looked at again per scan, and all of them within so many scans (10 minutes at 10 s). */
const MIN_RECHECKS = 16;
const SCANS_PER_ROTATION = 60;
/** Bounds the agent's memory (about 2 KiB a process) and one message of the wire. */
export const MAX_WATCHED = 20_000;

export function lifetimeOf(kernel: Kernel, pid: number, startTicks: number): string {
  return createHash('sha256')
    .update(`${kernel.bootId}:${kernel.pidNamespace}:${String(pid)}:${String(startTicks)}`)
    .digest('hex')
    .slice(0, 16);
}

/** The pattern stands in the command line of the agent (and of the shell that started it), which it must not match by that. */
export function commandMatches(match: RegExp, argv: readonly string[]): boolean {
  const source = match.source.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  return match.test(argv.join(' ').replace(new RegExp(`--match[ =]['"]?${source}['"]?`, 'g'), ''));
}

function ownPid(procRoot: string): number {
  try {
    return Number(readlinkSync(`${procRoot}/self`));
  } catch {
    return process.pid;
  }
}

export class Discovery {
  readonly scope: Scope;
  /** Processes that would have been watched but for MAX_WATCHED, at the last scan. */
  beyondLimit = 0;
  readonly #procRoot: string;
  readonly #kernel: Kernel;
  readonly #match: RegExp | undefined;
  readonly #self: number;
  readonly #passedOver = new Map<number, PassedOver>();
  #scan = 0;
  #recheckFrom = 0;

  constructor(procRoot: string, kernel: Kernel, match: RegExp | undefined) {
    this.#procRoot = procRoot;
    this.#kernel = kernel;
    this.#match = match;
    this.#self = ownPid(procRoot);
    this.scope = match !== undefined ? 'match' : kernel.seesHost ? 'host' : 'pod';
  }

  /** Processes to begin watching, oldest first; `listed` tells of every pid there is whether it is still there. */
  scan(watched: ReadonlyMap<number, unknown>): { appeared: Candidate[]; listed: ReadonlySet<number> } {
    this.#scan++;
    const uptimeSeconds = Number.parseFloat(readText(`${this.#procRoot}/uptime`) ?? '0');
    const listed = new Set<number>();
    const appeared: Candidate[] = [];
    const recheck = this.#pidsToRecheck();
    for (const name of readdirSync(this.#procRoot)) {
      const pid = Number(name);
      if (!Number.isInteger(pid)) continue;
      listed.add(pid);
      if (watched.has(pid)) continue;
      const known = this.#passedOver.get(pid);
      if (known?.settled === true && !recheck.has(pid)) {
        known.lastScan = this.#scan;
        continue;
      }
      const candidate = this.#examine(pid, uptimeSeconds);
      if (candidate !== undefined) appeared.push(candidate);
    }
    for (const [pid, { lastScan }] of this.#passedOver) if (lastScan !== this.#scan) this.#passedOver.delete(pid);
    appeared.sort((a, b) => a.startTicks - b.startTicks || a.pid - b.pid);
    const room = Math.max(0, MAX_WATCHED - watched.size);
    this.beyondLimit = Math.max(0, appeared.length - room);
    return { appeared: appeared.slice(0, room), listed };
  }

  #pidsToRecheck(): Set<number> {
    const pids = [...this.#passedOver.keys()];
    const from = this.#recheckFrom < pids.length ? this.#recheckFrom : 0;
    this.#recheckFrom = from + Math.max(MIN_RECHECKS, Math.ceil(pids.length / SCANS_PER_ROTATION));
    return new Set(pids.slice(from, this.#recheckFrom));
  }

  #examine(pid: number, uptimeSeconds: number): Candidate | undefined {
    const stat = readStat(this.#procRoot, pid);
    if (stat === undefined) return undefined;
    const { startTicks } = stat;
    const ageSeconds = uptimeSeconds - startTicks / this.#kernel.ticksPerSecond;
    if (!isKernelThread(stat) && !isDead(stat) && this.#wants(pid, ageSeconds)) {
      this.#passedOver.delete(pid);
      return {
        pid,
        startTicks,
        lifetime: lifetimeOf(this.#kernel, pid, startTicks),
        startedAt: Math.round(this.#kernel.bootTimeMs + (startTicks * 1000) / this.#kernel.ticksPerSecond),
      };
    }
    const settled = isKernelThread(stat) || pid === this.#self || ageSeconds > SETTLED_AGE_S;
    this.#passedOver.set(pid, { startTicks, settled, lastScan: this.#scan });
    return undefined;
  }

  #wants(pid: number, ageSeconds: number): boolean {
    if (this.#match === undefined && pid === this.#self) return false;
    if (this.scope === 'host' && ageSeconds < MIN_AGE_ON_HOST_S) return false;
    const argv = readCommandLine(this.#procRoot, pid);
    return !isLauncher(argv) && (this.#match === undefined || commandMatches(this.#match, argv));
  }
}
