/**
 * What /proc says of one process: memory, CPU, threads, descriptors, start.
 * statm is exact for both figures that matter and 6 times cheaper than status: resident − shared = RssAnon
 * (fs/proc/task_mmu.c, task_statm). status is read for VmSwap alone, and only on hosts that have swap.
 */
import { readdirSync, statSync } from 'node:fs';
import type { Kernel } from './kernel.ts';
import { DENIED, GONE, numberAt, numberOfLine, ProcFile, skipFields } from './proc-file.ts';

/** One line of /proc/PID/stat, as far as it is used. */
export interface ProcessStat {
  state: string;
  flags: number;
  cpuTicks: number;
  threads: number;
  startTicks: number;
}

/** Filled in place on every read; NaN = not known. */
export interface ProcessReading {
  rssBytes: number;
  anonBytes: number;
  swapBytes: number;
  cpuSeconds: number;
  threads: number;
  openFds: number;
}

const PF_KTHREAD = 0x0020_0000;
const RIGHT_PAREN = 0x29;
const VM_SWAP = Buffer.from('VmSwap:');

export const isKernelThread = (stat: ProcessStat): boolean => (stat.flags & PF_KTHREAD) !== 0;
/** A zombie holds no memory: its life as a consumer of memory is over, though its pid is still taken. */
export const isDead = (stat: ProcessStat): boolean => stat.state === 'Z' || stat.state === 'X' || stat.state === 'x';

/** The command name may itself hold spaces, parentheses and newlines: fields are counted from the last `)`. */
export function parseStat(buffer: Buffer, length: number): ProcessStat | undefined {
  const close = length > 0 ? buffer.lastIndexOf(RIGHT_PAREN, length - 1) : -1;
  if (close < 0 || close + 2 >= length) return undefined;
  const flagsAt = skipFields(buffer, close + 2, length, 6);
  const utimeAt = skipFields(buffer, flagsAt, length, 5);
  const stimeAt = skipFields(buffer, utimeAt, length, 1);
  const threadsAt = skipFields(buffer, stimeAt, length, 5);
  const startAt = skipFields(buffer, threadsAt, length, 2);
  const stat: ProcessStat = {
    state: String.fromCharCode(buffer[close + 2]!),
    flags: numberAt(buffer, flagsAt, length),
    cpuTicks: numberAt(buffer, utimeAt, length) + numberAt(buffer, stimeAt, length),
    threads: numberAt(buffer, threadsAt, length),
    startTicks: numberAt(buffer, startAt, length),
  };
  return Number.isNaN(stat.startTicks + stat.cpuTicks + stat.threads) ? undefined : stat;
}

/** Resident and anonymous pages, written into `out`; false when the line is not one of statm. */
export function parseStatm(buffer: Buffer, length: number, out: { residentPages: number; anonPages: number }): boolean {
  const residentAt = skipFields(buffer, 0, length, 1);
  out.residentPages = numberAt(buffer, residentAt, length);
  const shared = numberAt(buffer, skipFields(buffer, residentAt, length, 1), length);
  // The kernel sums per-CPU counters without a lock, so shared may pass resident by a few pages for a moment.
  out.anonPages = Math.max(0, out.residentPages - shared);
  return !Number.isNaN(out.anonPages);
}

/** Shared by every read of one agent: reads are synchronous, so no two of them overlap. */
export const scratch = Buffer.allocUnsafe(64 << 10);
const pages = { residentPages: NaN, anonPages: NaN };

/** Reads /proc/PID/stat once, without keeping it open. */
export function readStat(procRoot: string, pid: number): ProcessStat | undefined {
  const length = new ProcFile(`${procRoot}/${String(pid)}/stat`, false).read(scratch);
  return length > 0 ? parseStat(scratch, length) : undefined;
}

export type ReadOutcome = 'ok' | 'ended' | 'unreadable';

/** The files of one process lifetime. Costs two descriptors (three with swap) while kept. */
export class ProcessFiles {
  readonly reading: ProcessReading = { rssBytes: NaN, anonBytes: NaN, swapBytes: NaN, cpuSeconds: NaN, threads: NaN, openFds: NaN };
  readonly #directory: string;
  readonly #kernel: Kernel;
  readonly #startTicks: number;
  readonly #stat: ProcFile;
  readonly #statm: ProcFile;
  readonly #status: ProcFile;
  #listsFds = true;

  constructor(procRoot: string, pid: number, startTicks: number, kernel: Kernel, kept: boolean) {
    this.#directory = `${procRoot}/${String(pid)}`;
    this.#kernel = kernel;
    this.#startTicks = startTicks;
    this.#stat = new ProcFile(`${this.#directory}/stat`, kept);
    this.#statm = new ProcFile(`${this.#directory}/statm`, kept);
    this.#status = new ProcFile(`${this.#directory}/status`, kept);
  }

  /** Brings `reading` up to date. `listFds`: on kernels before 6.2 also count descriptors by listing them, which is dear. */
  read(swap: boolean, listFds: boolean): ReadOutcome {
    const length = this.#stat.read(scratch);
    if (length === GONE || length === 0) return 'ended';
    if (length === DENIED) return 'unreadable';
    const stat = parseStat(scratch, length);
    if (stat === undefined) return 'unreadable';
    if (stat.startTicks !== this.#startTicks || isDead(stat)) return 'ended';
    const statmLength = this.#statm.read(scratch);
    if (statmLength === GONE) return 'ended';
    if (statmLength <= 0 || !parseStatm(scratch, statmLength, pages)) return 'unreadable';
    const { reading } = this;
    reading.rssBytes = pages.residentPages * this.#kernel.pageBytes;
    reading.anonBytes = pages.anonPages * this.#kernel.pageBytes;
    reading.cpuSeconds = stat.cpuTicks / this.#kernel.ticksPerSecond;
    reading.threads = stat.threads;
    reading.swapBytes = swap ? this.#readSwap() : 0;
    reading.openFds = this.#kernel.countsFds ? this.#fdCount() : listFds ? this.#listFds() : NaN;
    return 'ok';
  }

  #readSwap(): number {
    const length = this.#status.read(scratch);
    return length > 0 ? numberOfLine(scratch, length, VM_SWAP) * 1024 : NaN;
  }

  #fdCount(): number {
    try {
      return statSync(`${this.#directory}/fd`).size;
    } catch {
      return NaN;
    }
  }

  /** Another user's descriptors cannot be listed: one refusal and it is not tried again in this lifetime. */
  #listFds(): number {
    if (!this.#listsFds) return NaN;
    try {
      return readdirSync(`${this.#directory}/fd`).length;
    } catch {
      this.#listsFds = false;
      return NaN;
    }
  }

  close(): void {
    this.#stat.close();
    this.#statm.close();
    this.#status.close();
  }
}
