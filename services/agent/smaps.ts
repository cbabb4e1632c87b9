/**
 * PSS and USS through smaps_rollup, the one read that costs the watched process something: it walks all its page tables
 * under its mmap lock, about 53 ns per 4 KiB page (2 GB: 28 ms), where every other read is microseconds.
 * So it is rationed: a share of a core for all together, the stalest process first, and none whose read would last
 * longer than MAX_STALL_MS. How stale the oldest figure is can be asked; samples carry the figure only when it was just read.
 */
import { DENIED, GONE, numberOfLine, ProcFile } from './proc-file.ts';
import { scratch } from './proc.ts';

/** What the ration keeps per watched process. */
export interface SmapsState {
  /** Milliseconds of the monotonic clock; −Infinity = never. */
  readAt: number;
  /** Measured at this process; huge pages make it 200 times less than the first guess. */
  nanosecondsPerPage: number;
  /** Refused once (another user's process without CAP_SYS_PTRACE): not tried again in this lifetime. */
  denied: boolean;
  pssBytes: number;
  ussBytes: number;
}

export interface SmapsTarget {
  readonly pid: number;
  readonly rssBytes: number;
  readonly smaps: SmapsState;
}

export interface SmapsStats {
  reads: number;
  spentMs: number;
  /** Lifetimes that refused. */
  denied: number;
  /** At the last tick: processes left out because one read would have stalled them too long. */
  tooLarge: number;
  /** At the last tick: age of the oldest figure among those that are read at all; NaN when there is none. */
  stalestMs: number;
}

const NS_PER_PAGE = 53;
const FIXED_NS = 60_000;
const MAX_STALL_MS = 5;
/** An unspent ration is kept for this long, so that a small share still affords a read of a large process now and then. */
const SAVED_MS = 600_000;
/** Shared pages change slowly: no process is read more often than this, however much ration is left. */
const MIN_AGE_MS = 300_000;
/** What is there to spend at the start, so that the first figures come at once. */
const FIRST_MS = 60_000;
const PSS = Buffer.from('Pss:');
const PRIVATE_CLEAN = Buffer.from('Private_Clean:');
const PRIVATE_DIRTY = Buffer.from('Private_Dirty:');

export const newSmapsState = (): SmapsState => ({
  readAt: -Infinity,
  nanosecondsPerPage: NS_PER_PAGE,
  denied: false,
  pssBytes: NaN,
  ussBytes: NaN,
});

export class SmapsRation {
  readonly stats: SmapsStats = { reads: 0, spentMs: 0, denied: 0, tooLarge: 0, stalestMs: NaN };
  readonly #procRoot: string;
  readonly #share: number;
  readonly #pageBytes: number;
  readonly #nowMs: () => number;
  #savedMs: number;
  #lastTickMs: number;

  /** `share` of one core; `nowMs` is a monotonic clock. */
  constructor(procRoot: string, share: number, pageBytes: number, nowMs: () => number) {
    this.#procRoot = procRoot;
    this.#share = share;
    this.#pageBytes = pageBytes;
    this.#nowMs = nowMs;
    this.#lastTickMs = nowMs();
    this.#savedMs = FIRST_MS * share;
  }

  expectedMs(target: SmapsTarget): number {
    return (FIXED_NS + (target.rssBytes / this.#pageBytes) * target.smaps.nanosecondsPerPage) / 1e6;
  }

  /** Reads as many targets as the ration affords and returns them; their `smaps` hold the new figures. */
  spend(targets: Iterable<SmapsTarget>): SmapsTarget[] {
    const now = this.#nowMs();
    this.#savedMs = Math.min(this.#savedMs + (now - this.#lastTickMs) * this.#share, SAVED_MS * this.#share);
    this.#lastTickMs = now;
    if (this.#share === 0) return [];
    const queue = this.#queue(targets, now);
    const read: SmapsTarget[] = [];
    for (const target of queue) {
      if (this.expectedMs(target) > this.#savedMs) break;
      if (this.#read(target)) read.push(target);
    }
    return read;
  }

  #queue(targets: Iterable<SmapsTarget>, now: number): SmapsTarget[] {
    const queue: SmapsTarget[] = [];
    let oldest = Infinity;
    this.stats.tooLarge = 0;
    for (const target of targets) {
      if (target.smaps.denied) continue;
      if (this.expectedMs(target) > MAX_STALL_MS) {
        this.stats.tooLarge++;
        continue;
      }
      if (target.smaps.readAt > -Infinity) oldest = Math.min(oldest, target.smaps.readAt);
      if (now - target.smaps.readAt >= MIN_AGE_MS) queue.push(target);
    }
    this.stats.stalestMs = oldest === Infinity ? NaN : now - oldest;
    return queue.sort((a, b) => (a.smaps.readAt < b.smaps.readAt ? -1 : a.smaps.readAt > b.smaps.readAt ? 1 : 0));
  }

  #read(target: SmapsTarget): boolean {
    const { smaps } = target;
    const before = this.#nowMs();
    const length = new ProcFile(`${this.#procRoot}/${String(target.pid)}/smaps_rollup`, false).read(scratch);
    const spentMs = this.#nowMs() - before;
    this.#savedMs -= spentMs;
    this.stats.spentMs += spentMs;
    smaps.readAt = before;
    if (length === DENIED) {
      smaps.denied = true;
      this.stats.denied++;
    }
    if (length === GONE || length === DENIED || length === 0) return false;
    this.stats.reads++;
    const measured = Math.max(0, spentMs * 1e6 - FIXED_NS) / Math.max(1, target.rssBytes / this.#pageBytes);
    // Being preempted in between makes a read look dear, never cheap: believe cheap ones sooner.
    smaps.nanosecondsPerPage += (measured - smaps.nanosecondsPerPage) * (measured < smaps.nanosecondsPerPage ? 0.5 : 0.2);
    smaps.pssBytes = numberOfLine(scratch, length, PSS) * 1024;
    smaps.ussBytes = (numberOfLine(scratch, length, PRIVATE_CLEAN) + numberOfLine(scratch, length, PRIVATE_DIRTY)) * 1024;
    return true;
  }
}
