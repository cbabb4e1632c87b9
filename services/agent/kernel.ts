/** What has to be known once about the kernel the agent runs on: units of /proc, boot id, whose pids it sees. */
import { readlinkSync, statSync } from 'node:fs';
import { readBytes, readText } from './proc-file.ts';

export interface Kernel {
  readonly bootId: string;
  /** Inode of the pid namespace whose numbers /proc shows; '' in the initial namespace (or where unknown). */
  readonly pidNamespace: string;
  readonly pageBytes: number;
  readonly ticksPerSecond: number;
  /** Milliseconds UTC. */
  readonly bootTimeMs: number;
  /** Since Linux 6.2 the size of /proc/PID/fd is the number of open descriptors: one stat instead of a listing. */
  readonly countsFds: boolean;
  /** Kernel threads exist in the initial pid namespace alone: without them the agent sees one container or pod. */
  readonly seesHost: boolean;
  /** How many descriptors may be kept open for watched processes: half of what the agent may have at all. */
  readonly keptFds: number;
}

/** PROC_PID_INIT_INO in the kernel's include/linux/proc_ns.h. */
const INITIAL_PID_NAMESPACE = '4026531836';
const AT_PAGESZ = 6n;
const AT_CLKTCK = 17n;

function auxiliaryVector(procRoot: string): Map<bigint, number> {
  const bytes = readBytes(`${procRoot}/self/auxv`, 4096) ?? Buffer.alloc(0);
  const entries = new Map<bigint, number>();
  for (let at = 0; at + 16 <= bytes.length; at += 16) entries.set(bytes.readBigUInt64LE(at), Number(bytes.readBigUInt64LE(at + 8)));
  return entries;
}

function pidNamespace(procRoot: string): string {
  try {
    const inode = /\[(\d+)\]/.exec(readlinkSync(`${procRoot}/self/ns/pid`))?.[1] ?? '';
    return inode === INITIAL_PID_NAMESPACE ? '' : inode;
  } catch {
    return '';
  }
}

function fdCountIsSize(procRoot: string): boolean {
  try {
    return statSync(`${procRoot}/self/fd`).size > 0;
  } catch {
    return false;
  }
}

export function readKernel(procRoot: string): Kernel {
  const auxiliary = auxiliaryVector(procRoot);
  const bootSeconds = Number(/^btime (\d+)/m.exec(readText(`${procRoot}/stat`) ?? '')?.[1] ?? 0);
  const openFiles = Number(/^Max open files\s+(\d+)/m.exec(readText(`${procRoot}/self/limits`) ?? '')?.[1] ?? 1024);
  return {
    bootId: readText(`${procRoot}/sys/kernel/random/boot_id`)?.trim() ?? '',
    pidNamespace: pidNamespace(procRoot),
    pageBytes: auxiliary.get(AT_PAGESZ) ?? 4096,
    ticksPerSecond: auxiliary.get(AT_CLKTCK) ?? 100,
    bootTimeMs: bootSeconds * 1000,
    countsFds: fdCountIsSize(procRoot),
    seesHost: readText(`${procRoot}/2/comm`)?.trim() === 'kthreadd',
    keptFds: Math.floor(openFiles / 2),
  };
}

/** Whether pages can be swapped out at all; where they cannot, `VmSwap` is 0 without looking. */
export function hasSwap(procRoot: string): boolean {
  return (readText(`${procRoot}/swaps`) ?? '').trim().split('\n').length > 1;
}

/** OOM kills on the whole host since boot; NaN where the kernel does not count them (before 4.13). */
export function hostOomKills(procRoot: string): number {
  return Number(/^oom_kill (\d+)/m.exec(readText(`${procRoot}/vmstat`) ?? '')?.[1] ?? NaN);
}
