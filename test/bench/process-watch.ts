/** CPU time and resident memory of other processes and of the machine, from /proc. */
import { readdirSync, readFileSync } from 'node:fs';

const PAGE_BYTES = 4096;
const TICKS_PER_SECOND = 100;

/** User + system time of all threads of a process, seconds. */
export function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /, '')
    .split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

/** Time all processors of the machine have worked, whoever for, seconds. */
export function machineCpuSeconds(): number {
  const ticks = readFileSync('/proc/stat', 'utf8').split(/\s+/).slice(1, 9).map(Number);
  const [IDLE, WAITING_FOR_DISK] = [3, 4];
  return ticks.filter((_, index) => index !== IDLE && index !== WAITING_FOR_DISK).reduce((sum, spent) => sum + spent, 0) / TICKS_PER_SECOND;
}

export const residentBytes = (pid: number): number => Number(readFileSync(`/proc/${pid}/statm`, 'utf8').split(' ')[1]) * PAGE_BYTES;

/** The program whose command line begins and goes on so; throws when there is none. */
export function findProcess(program: string, argument: string): number {
  for (const name of readdirSync('/proc').filter((entry) => /^\d+$/.test(entry))) {
    try {
      const [first = '', ...rest] = readFileSync(`/proc/${name}/cmdline`, 'utf8').split('\0');
      if (first.endsWith(program) && rest.some((word) => word.startsWith(argument))) return Number(name);
    } catch {
      // It has ended meanwhile.
    }
  }
  throw new Error(`no ${program} with ${argument} runs`);
}

export interface MemoryTrend {
  readonly firstThirdMiB: number;
  readonly lastThirdMiB: number;
  readonly maxMiB: number;
  /** Least squares over the last two thirds. */
  readonly slopeMiBPerMinute: number;
}

const MIB = 2 ** 20;
const meanOf = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

/** `rssBytes`: one reading a second. */
export function memoryTrend(rssBytes: readonly number[]): MemoryTrend {
  const third = Math.floor(rssBytes.length / 3);
  const late = rssBytes.slice(third);
  const [middle, mean] = [(late.length - 1) / 2, meanOf(late)];
  const covariance = late.reduce((sum, value, second) => sum + (value - mean) * (second - middle), 0);
  const variance = late.reduce((sum, _, second) => sum + (second - middle) ** 2, 0);
  const mib = (bytes: number) => Math.round(bytes / MIB);
  return {
    firstThirdMiB: mib(meanOf(rssBytes.slice(0, third))),
    lastThirdMiB: mib(meanOf(rssBytes.slice(-third))),
    maxMiB: mib(Math.max(...rssBytes)),
    slopeMiBPerMinute: Number((((covariance / variance) * 60) / MIB).toFixed(2)),
  };
}
