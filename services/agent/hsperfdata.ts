/**
 * Heap and collections of HotSpot JVMs with nothing inside them: the performance counters each JVM keeps in
 * /tmp/hsperfdata_USER/PID (32 KiB, memory-mapped by the JVM; layout: HotSpot's perfMemory.hpp).
 * A JVM run with -XX:-UsePerfData or -XX:+PerfDisableSharedMem keeps no such file and has to be scraped instead.
 */
import { closeSync, constants, fstatSync, openSync, readdirSync, readSync } from 'node:fs';
import type { RuntimeReading, RuntimeSource, RuntimeTarget } from './runtime-source.ts';

const MAX_FILE_BYTES = 1 << 20;
const MAX_ENTRIES = 8_192;
const MAX_TRACKED = 4_096;
/** A file that was not there is looked for again after this many reads. */
const RETRY_READS = 12;
/** Clock granularity of the process start against the JVM's own; a file left by an earlier owner of the pid is older. */
const START_SLACK_MS = 2_000;

type Counters = ReadonlyMap<string, number | string>;

/** Every counter of one file; undefined when it is not one, or not filled yet. */
export function parseHsperfdata(bytes: Buffer): Counters | undefined {
  if (bytes.length < 32 || bytes.readUInt32BE(0) !== 0xcafec0c0 || bytes[5] !== 2 || bytes[7] !== 1) return undefined;
  const isLittle = bytes[4] === 1;
  const int = (at: number) => (isLittle ? bytes.readInt32LE(at) : bytes.readInt32BE(at));
  const long = (at: number) => Number(isLittle ? bytes.readBigInt64LE(at) : bytes.readBigInt64BE(at));
  const counters = new Map<string, number | string>();
  let at = int(24);
  try {
    for (let left = Math.min(int(28), MAX_ENTRIES); left > 0; left--) {
      const length = int(at);
      if (length < 20) return undefined;
      const nameAt = at + int(at + 4);
      const dataAt = at + int(at + 16);
      const name = bytes.toString('latin1', nameAt, bytes.indexOf(0, nameAt));
      if (bytes[at + 12] === 0x4a) counters.set(name, long(dataAt));
      else counters.set(name, bytes.toString('latin1', dataAt, dataAt + int(at + 8)).replace(/\0.*$/s, ''));
      at += length;
    }
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
  return counters;
}

/** What one JVM's counters add up to. */
interface HeapCounters {
  readonly usedBytes: number;
  readonly oldUsedBytes: number;
  readonly committedBytes: number;
  readonly limitBytes: number;
  readonly collections: number;
  readonly pauseSeconds: number;
  /** Finished stop-the-world collections of the whole heap; undefined for ZGC and Shenandoah, which count pauses only. */
  readonly fullCollections: number | undefined;
  /** G1: concurrent cycles that ended; remark and cleanup are counted as a pause each. */
  readonly cycles: number;
}

export function summariseHeap(counters: Counters): HeapCounters {
  const get = (name: string) => {
    const value = counters.get(`sun.gc.${name}`);
    return typeof value === 'number' ? value : 0;
  };
  const usedOf = (generation: number) => [0, 1, 2].reduce((sum, space) => sum + get(`generation.${generation}.space.${space}.used`), 0);
  const sum = (name: string) => [0, 1, 2].reduce((total, collector) => total + get(`collector.${collector}.${name}`), 0);
  // G1's young and old may each grow to the whole heap; the generations of the others share it.
  const isG1 = counters.get('sun.gc.policy.name') === 'GarbageFirst';
  const hasFull = isG1 || /full|MSC|sweep/i.test(String(counters.get('sun.gc.collector.1.name') ?? ''));
  const isConcurrent = /^(Z|Shenandoah)/.test(
    String(counters.get('sun.gc.collector.1.name') ?? counters.get('sun.gc.collector.2.name') ?? ''),
  );
  // HotSpot counts a collection when it begins; until it ends, the sizes are those from before.
  const isCollecting = get('collector.1.lastExitTime') < get('collector.1.lastEntryTime');
  const frequency = Number(counters.get('sun.os.hrt.frequency') ?? 1e9);
  return {
    usedBytes: usedOf(0) + usedOf(1),
    oldUsedBytes: usedOf(1),
    committedBytes: get('generation.0.capacity') + get('generation.1.capacity'),
    limitBytes: isG1 ? get('generation.1.maxCapacity') : get('generation.0.maxCapacity') + get('generation.1.maxCapacity'),
    collections: isG1 ? get('collector.0.invocations') + get('collector.1.invocations') : sum('invocations'),
    pauseSeconds: sum('time') / frequency,
    fullCollections: hasFull && !isConcurrent ? get('collector.1.invocations') - Number(isCollecting) : undefined,
    cycles: isG1 ? Math.floor(get('collector.2.invocations') / 2) : 0,
  };
}

/**
 * The live heap, from readings at intervals.
 * Serial and Parallel: old generation in use at the first reading after a full collection.
 * G1 hardly ever collects fully. After each concurrent cycle its mixed collections bring the old generation down to what is
 * live plus what was not worth evacuating (at most G1HeapWastePercent, 5 %, of the heap): the lowest value between one cycle
 * and the next is that floor, known when the next cycle begins.
 * ZGC and Shenandoah never publish the heap right after a cycle: unknown.
 */
export class LiveHeap {
  #fullCollections: number | undefined;
  #cycles: number | undefined;
  #lowestBytes = Infinity;
  #liveBytes: number | undefined;

  update(heap: HeapCounters): number | undefined {
    const isFirst = this.#cycles === undefined;
    const collected = !isFirst && heap.fullCollections !== undefined && heap.fullCollections !== this.#fullCollections;
    const cycled = !isFirst && heap.cycles !== this.#cycles;
    if (cycled && this.#lowestBytes !== Infinity && !collected) this.#liveBytes = this.#lowestBytes;
    if (collected) this.#liveBytes = heap.oldUsedBytes;
    if (cycled || collected) this.#lowestBytes = heap.oldUsedBytes;
    else this.#lowestBytes = Math.min(this.#lowestBytes, heap.oldUsedBytes);
    if (heap.cycles === 0) this.#lowestBytes = Infinity;
    this.#fullCollections = heap.fullCollections;
    this.#cycles = heap.cycles;
    return this.#liveBytes;
  }
}

function toReading(counters: Counters, live: LiveHeap): RuntimeReading {
  const heap = summariseHeap(counters);
  const liveBytes = live.update(heap);
  const version = counters.get('java.property.java.version');
  return {
    runtime: 'jvm',
    heap_used: heap.usedBytes,
    heap_committed: heap.committedBytes,
    heap_limit: heap.limitBytes,
    gc_count: heap.collections,
    gc_pause_seconds: heap.pauseSeconds,
    ...(heap.fullCollections === undefined ? {} : { gc_full_count: heap.fullCollections }),
    ...(liveBytes === undefined ? {} : { heap_live: liveBytes }),
    ...(typeof version === 'string' ? { labels: { runtime_version: version } } : {}),
  };
}

interface Tracked {
  path: string | undefined;
  readsUntilRetry: number;
  readonly live: LiveHeap;
}

export class HsperfdataSource implements RuntimeSource {
  readonly #procRoot: string;
  readonly #tracked = new Map<string, Tracked>();

  constructor(procRoot = '/proc') {
    this.#procRoot = procRoot;
  }

  read(target: RuntimeTarget): RuntimeReading | undefined {
    if (target.runtime !== 'jvm') return undefined;
    const tracked = this.#touch(`${target.pid}:${target.startedAt}`);
    if (tracked.path === undefined) {
      if (tracked.readsUntilRetry-- > 0) return undefined;
      tracked.path = this.#locate(target);
      tracked.readsUntilRetry = RETRY_READS;
    }
    const bytes = tracked.path === undefined ? undefined : readRegularFile(tracked.path);
    const counters = bytes === undefined ? undefined : parseHsperfdata(bytes);
    const beganAt = counters?.get('sun.rt.createVmBeginTime');
    if (counters === undefined || typeof beganAt !== 'number' || beganAt < target.startedAt - START_SLACK_MS) {
      tracked.path = undefined;
      return undefined;
    }
    return toReading(counters, tracked.live);
  }

  close(): void {
    this.#tracked.clear();
  }

  /** Keeps the most recently read ones: processes that are gone fall out by themselves. */
  #touch(key: string): Tracked {
    const tracked = this.#tracked.get(key) ?? { path: undefined, readsUntilRetry: 0, live: new LiveHeap() };
    this.#tracked.delete(key);
    this.#tracked.set(key, tracked);
    if (this.#tracked.size > MAX_TRACKED) this.#tracked.delete(this.#tracked.keys().next().value!);
    return tracked;
  }

  #locate(target: RuntimeTarget): string | undefined {
    const folder = `${this.#procRoot}/${target.pid}/root/tmp`;
    const name = String(target.nsPid ?? target.pid);
    try {
      for (const entry of readdirSync(folder)) {
        const path = `${folder}/${entry}/${name}`;
        if (entry.startsWith('hsperfdata_') && readRegularFile(path) !== undefined) return path;
      }
    } catch {
      return undefined; // not ours to read, or gone
    }
    return undefined;
  }
}

/** The file is in the watched process's hands: no link is followed, no pipe waited on, no more than its due read. */
function readRegularFile(path: string): Buffer | undefined {
  let fd = -1;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    const stat = fstatSync(fd);
    if (!stat.isFile() || stat.size < 32 || stat.size > MAX_FILE_BYTES) return undefined;
    const bytes = Buffer.allocUnsafe(stat.size);
    return bytes.subarray(0, readSync(fd, bytes, 0, bytes.length, 0));
  } catch {
    return undefined;
  } finally {
    if (fd >= 0) closeSync(fd);
  }
}
