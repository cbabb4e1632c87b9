import { readFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { resolve } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import { HsperfdataSource, LiveHeap, parseHsperfdata, summariseHeap } from '../../../services/agent/hsperfdata.ts';
import { readStat } from '../../../services/agent/proc.ts';
import type { RuntimeReading, RuntimeTarget } from '../../../services/agent/runtime-source.ts';
import { type Program, run } from '../../probes/line-collector.ts';

const MIB = 2 ** 20;
const source = new HsperfdataSource();
let programs: Program[] = [];
let bootMs = 0;

beforeAll(() => {
  bootMs = Number(/^btime (\d+)/m.exec(readFileSync('/proc/stat', 'utf8'))?.[1]) * 1000;
});

afterEach(async () => {
  for (const program of programs) await program.kill();
  programs = [];
});

async function jvm(flags: readonly string[], kind: 'leaky' | 'healthy', ...pace: readonly number[]): Promise<RuntimeTarget> {
  const program = run('java', [...flags, resolve('test/fleet/Cache.java'), kind, ...pace.map(String)], {});
  programs.push(program);
  await program.printed('cache:');
  const startedAt = bootMs + readStat('/proc', program.pid)!.startTicks * 10;
  return { pid: program.pid, startedAt, runtime: 'jvm', service: 'cache' };
}

/** Reads as the agent does, here ten times a second, until the readings are enough. */
async function readings(target: RuntimeTarget, isEnough: (all: RuntimeReading[]) => boolean): Promise<RuntimeReading[]> {
  const all: RuntimeReading[] = [];
  while (!isEnough(all)) {
    const reading = source.read(target);
    if (reading !== undefined) all.push(reading);
    await new Promise((wake) => setTimeout(wake, 100));
  }
  return all;
}

const liveValues = (all: readonly RuntimeReading[]) => [
  ...new Set(all.map((reading) => reading.heap_live ?? NaN).filter((live) => live > 0)),
];

describe('real JVMs', () => {
  // Serial and Parallel collect fully when told to, every second; G1 is left to its concurrent cycles.
  test.each([
    ['Serial', [10, 1]],
    ['Parallel', [10, 1]],
    ['G1', [20]],
  ])('%s: a leak raises the live heap', async (collector, pace) => {
    const target = await jvm(['-Xmx128m', '-Xmn16m', `-XX:+Use${collector}GC`, '-XX:InitiatingHeapOccupancyPercent=20'], 'leaky', ...pace);
    const all = await readings(target, (so) => liveValues(so).length >= 3);
    const live = liveValues(all);
    expect(live).toEqual([...live].sort((a, b) => a - b));
    const last = all.at(-1)!;
    expect(last).toMatchObject({ runtime: 'jvm', labels: { runtime_version: expect.stringMatching(/^\d+/) as string } });
    expect(last.heap_limit! / MIB).toBeGreaterThan(110);
    expect(last.heap_limit! / MIB).toBeLessThan(130);
    expect(last.heap_used).toBeLessThanOrEqual(last.heap_committed!);
    expect(last.gc_count).toBeGreaterThan(last.gc_full_count!);
    expect(last.gc_pause_seconds).toBeGreaterThan(0);
  });

  test('Serial: the live heap of a bounded cache is the floor under its sawtooth', async () => {
    // At this pace little is promoted before a look that comes late on a busy machine.
    const target = await jvm(['-Xmx48m', '-Xmn8m', '-XX:+UseSerialGC'], 'healthy', 30);
    const all = await readings(target, (so) => so.length > 0 && so.at(-1)!.gc_full_count! - so[0]!.gc_full_count! >= 5);
    const settled = all.filter((reading) => reading.gc_full_count! - all[0]!.gc_full_count! >= 2);
    const live = settled.map((reading) => reading.heap_live!);
    expect(Math.max(...live)).toBeLessThan(1.5 * Math.min(...live));
    expect(Math.max(...settled.map((reading) => reading.heap_used!))).toBeGreaterThan(1.5 * Math.max(...live));
  });

  test('Z: heap and pauses, no claim about what it cannot know', async () => {
    const target = await jvm(['-Xmx128m', '-XX:+UseZGC'], 'healthy', 200);
    const [reading] = await readings(target, (so) => (so.at(-1)?.gc_count ?? 0) > 0);
    expect(reading?.heap_used).toBeGreaterThan(MIB);
    expect(reading).not.toHaveProperty('heap_live');
    expect(reading).not.toHaveProperty('gc_full_count');
  });

  test('without the counter file there is no reading, and a file of an earlier owner of the pid is not believed', async () => {
    const silent = await jvm(['-XX:-UsePerfData'], 'healthy');
    expect(source.read(silent)).toBeUndefined();
    const target = await jvm([], 'healthy');
    await readings(target, (so) => so.length > 0);
    expect(source.read({ ...target, startedAt: target.startedAt + 3_600_000 })).toBeUndefined();
  });

  test('bytes cut off or flipped anywhere never throw', async () => {
    const target = await jvm([], 'healthy');
    await readings(target, (so) => so.length > 0);
    const bytes = readFileSync(`/proc/${String(target.pid)}/root/tmp/hsperfdata_${userInfo().username}/${String(target.pid)}`);
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.nat(255), fc.nat(bytes.length), (at, value, length) => {
        const mutated = Buffer.from(bytes);
        mutated[at] = value;
        parseHsperfdata(mutated);
        parseHsperfdata(mutated.subarray(0, length));
      }),
    );
  });
});

describe('the live heap', () => {
  const heap = (oldUsedBytes: number, fullCollections: number, cycles: number) => ({
    ...summariseHeap(new Map()),
    oldUsedBytes,
    fullCollections,
    cycles,
  });

  test('unknown until a full collection is seen, then what it left, until the next', () => {
    const live = new LiveHeap();
    expect([heap(50, 3, 0), heap(60, 3, 0), heap(20, 4, 0), heap(40, 4, 0), heap(25, 5, 0)].map((at) => live.update(at))).toEqual([
      undefined,
      undefined,
      20,
      20,
      25,
    ]);
  });

  test('G1: the lowest between one concurrent cycle and the next, known at the next', () => {
    const live = new LiveHeap();
    const seen = [heap(50, 0, 0), heap(90, 0, 1), heap(60, 0, 1), heap(30, 0, 1), heap(70, 0, 1), heap(95, 0, 2), heap(35, 0, 2)];
    expect(seen.map((at) => live.update(at))).toEqual([undefined, undefined, undefined, undefined, undefined, 30, 30]);
  });

  test('G1: a full collection counts at once', () => {
    const live = new LiveHeap();
    expect([heap(50, 0, 1), heap(20, 1, 1), heap(40, 1, 2)].map((at) => live.update(at))).toEqual([undefined, 20, 20]);
  });
});
