/**
 * Memory of the control groups around watched processes, each read once per tick however many processes it holds.
 * working_set = usage − inactive file pages (as kubelet reckons it); limit = that of the nearest ancestor that has one.
 */
import { existsSync } from 'node:fs';
import { ancestors, parseMembership, parseMounts, resolveDirectory, type CgroupMount } from './cgroup-path.ts';
import { numberAt, numberOfLine, ProcFile, readText } from './proc-file.ts';
import { scratch } from './proc.ts';
import type { ExitReason } from '../../shared/sample.ts';

/** NaN = not known. Filled in place on every read. */
export interface CgroupReading {
  workingSetBytes: number;
  anonBytes: number;
  /** 0 = none. */
  limitBytes: number;
  oomKills: number;
}

/** v1 writes "no limit" as the largest page-aligned 63-bit number. */
const UNLIMITED_FROM = 2 ** 60;
const CURRENT_FILE = { 1: 'memory.usage_in_bytes', 2: 'memory.current' } as const;
const LIMIT_FILE = { 1: 'memory.limit_in_bytes', 2: 'memory.max' } as const;
const EVENTS_FILE = { 1: 'memory.oom_control', 2: 'memory.events' } as const;
const LINES = {
  1: { inactiveFile: Buffer.from('total_inactive_file '), anon: Buffer.from('total_rss ') },
  2: { inactiveFile: Buffer.from('inactive_file '), anon: Buffer.from('anon ') },
} as const;
const OOM_KILL = Buffer.from('oom_kill ');

export class Cgroup {
  readonly directory: string;
  readonly reading: CgroupReading = { workingSetBytes: NaN, anonBytes: NaN, limitBytes: NaN, oomKills: NaN };
  /** The tick it was last read in. */
  lastTick = -1;
  /** How many watched processes are in it. */
  members = 0;
  readonly #version: 1 | 2;
  /** The root of the hierarchy is the whole host: its memory is nobody's working set and it has no limit. */
  readonly #isRoot: boolean;
  readonly #current: ProcFile;
  readonly #stat: ProcFile;
  readonly #events: ProcFile;
  readonly #parentEvents: ProcFile | undefined;
  readonly #limits: readonly ProcFile[];
  #parentOomKills = NaN;
  #killsKnown = false;
  /** Kills counted in this tick or the one before that no vanished member has been found for yet. */
  #unclaimedKills = 0;
  #killTick = -1;

  constructor(mount: CgroupMount, directory: string) {
    this.directory = directory;
    this.#version = mount.version;
    const atTop = directory === mount.mountPoint;
    this.#isRoot = atTop && (mount.version === 2 ? !existsSync(`${directory}/memory.current`) : existsSync(`${directory}/release_agent`));
    const lineage = ancestors(mount.mountPoint, directory);
    this.#current = new ProcFile(`${directory}/${CURRENT_FILE[mount.version]}`, true);
    this.#stat = new ProcFile(`${directory}/memory.stat`, true);
    this.#events = new ProcFile(`${directory}/${EVENTS_FILE[mount.version]}`, true);
    this.#parentEvents = mount.version === 2 && lineage[1] !== undefined ? new ProcFile(`${lineage[1]}/memory.events`, true) : undefined;
    this.#limits = lineage.map((ancestor) => new ProcFile(`${ancestor}/${LIMIT_FILE[mount.version]}`, false));
  }

  /**
   * To be called after the processes of the same tick were read: a kill is counted before its victim disappears, so the
   * kill of a victim found missing is then always in sight. `withLimits`: also look the limit up, which rarely changes.
   */
  read(tick: number, withLimits: boolean): void {
    const { reading } = this;
    this.lastTick = tick;
    this.#countOomKills(tick);
    if (this.#isRoot) {
      reading.limitBytes = 0;
      return;
    }
    const usage = readNumber(this.#current);
    const length = this.#stat.read(scratch);
    const lines = LINES[this.#version];
    reading.workingSetBytes = Math.max(0, usage - (length > 0 ? numberOfLine(scratch, length, lines.inactiveFile) : NaN));
    reading.anonBytes = length > 0 ? numberOfLine(scratch, length, lines.anon) : NaN;
    if (withLimits || Number.isNaN(reading.limitBytes)) reading.limitBytes = this.#readLimit();
  }

  /** How a member that is gone ended, as far as the counter tells; each counted kill explains one member. */
  claimEnd(): ExitReason {
    if (this.#unclaimedKills > 0) {
      this.#unclaimedKills--;
      return 'oom';
    }
    return this.#killsKnown ? 'exit' : 'unknown';
  }

  #countOomKills(tick: number): void {
    const own = readOomKills(this.#events);
    const parent = this.#parentEvents === undefined ? NaN : readOomKills(this.#parentEvents);
    // A container killed as a whole takes its cgroup with it; on v2 the parent's counter includes its kills and outlives it.
    const risen = Number.isNaN(own) ? parent - this.#parentOomKills : own - this.reading.oomKills;
    this.#killsKnown = !Number.isNaN(own) || !Number.isNaN(risen);
    if (risen > 0) {
      this.#unclaimedKills += risen;
      this.#killTick = tick;
    } else if (tick - this.#killTick > 1) this.#unclaimedKills = 0;
    if (!Number.isNaN(own)) this.reading.oomKills = own;
    this.#parentOomKills = parent;
  }

  #readLimit(): number {
    for (const file of this.#limits) {
      const limit = readNumber(file);
      if (limit < UNLIMITED_FROM) return limit;
    }
    return 0;
  }

  close(): void {
    for (const file of [this.#current, this.#stat, this.#events, ...(this.#parentEvents === undefined ? [] : [this.#parentEvents])])
      file.close();
  }
}

/** NaN for `max` and for what cannot be read. */
function readNumber(file: ProcFile): number {
  const length = file.read(scratch);
  return length > 0 ? numberAt(scratch, 0, length) : NaN;
}

function readOomKills(file: ProcFile): number {
  const length = file.read(scratch);
  return length > 0 ? numberOfLine(scratch, length, OOM_KILL) : NaN;
}

/** Finds and shares the Cgroup of each process. */
export class CgroupTable {
  readonly #mounts: readonly CgroupMount[];
  readonly #byDirectory = new Map<string, Cgroup>();

  constructor(procRoot: string) {
    this.#mounts = parseMounts(readText(`${procRoot}/self/mountinfo`) ?? '');
  }

  /** The memory cgroup of a process whose /proc/PID/cgroup reads so; undefined when it is not mounted here. */
  join(cgroupFile: string): Cgroup | undefined {
    for (const mount of this.#mounts) {
      const path = parseMembership(cgroupFile, mount.version);
      const directory = path === undefined ? undefined : resolveDirectory(mount, path);
      if (directory === undefined) continue;
      let cgroup = this.#byDirectory.get(directory);
      if (cgroup === undefined) {
        // A hybrid host mounts v2 without the memory controller: nothing to read there.
        if (!existsSync(`${directory}/memory.stat`)) continue;
        cgroup = new Cgroup(mount, directory);
        this.#byDirectory.set(directory, cgroup);
      }
      cgroup.members++;
      return cgroup;
    }
    return undefined;
  }

  leave(cgroup: Cgroup): void {
    cgroup.members--;
    if (cgroup.members > 0) return;
    cgroup.close();
    this.#byDirectory.delete(cgroup.directory);
  }

  all(): Iterable<Cgroup> {
    return this.#byDirectory.values();
  }

  close(): void {
    for (const cgroup of this.#byDirectory.values()) cgroup.close();
    this.#byDirectory.clear();
  }
}
