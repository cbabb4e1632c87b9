import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { readKernel } from '../../../services/agent/kernel.ts';
import { isDead, isKernelThread, parseStat, parseStatm, ProcessFiles, readStat } from '../../../services/agent/proc.ts';
import { numberAt, numberOfLine, readBytes, skipFields } from '../../../services/agent/proc-file.ts';
import { FakeProc } from './fake-proc.ts';

const kernel = readKernel('/proc');

describe('parsing', () => {
  it('finds the fields of stat behind any command name', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 16 }), fc.nat(), fc.nat(), fc.nat(), fc.nat(), (comm, utime, stime, threads, startTicks) => {
        const line = Buffer.from(`7 (${comm}) S 1 2 3 0 -1 4194560 1 2 3 4 ${utime} ${stime} 0 0 20 0 ${threads} 0 ${startTicks} 99 5\n`);
        expect(parseStat(line, line.length)).toEqual({ state: 'S', flags: 4_194_560, cpuTicks: utime + stime, threads, startTicks });
      }),
    );
  });

  it('takes arbitrary bytes for what they are: no stat line, or whole numbers', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        const stat = parseStat(Buffer.from(bytes), bytes.length);
        if (stat !== undefined) expect([stat.cpuTicks, stat.threads, stat.startTicks].every((value) => value >= 0)).toBe(true);
        const out = { residentPages: 0, anonPages: 0 };
        if (parseStatm(Buffer.from(bytes), bytes.length, out)) expect(out.anonPages).toBeGreaterThanOrEqual(0);
      }),
    );
  });

  it('reads numbers and lines without going past the end of what was read', () => {
    const buffer = Buffer.from('anon 12\ninactive_anon 3\nanonymous 9\nVmSwap:\t   77 kB\n888');
    expect(numberOfLine(buffer, buffer.length, Buffer.from('anon '))).toBe(12);
    expect(numberOfLine(buffer, buffer.length, Buffer.from('inactive_anon '))).toBe(3);
    expect(numberOfLine(buffer, buffer.length, Buffer.from('VmSwap:'))).toBe(77);
    expect(numberOfLine(buffer, 7, Buffer.from('inactive_anon '))).toBeNaN();
    expect(numberAt(Buffer.from('12345'), 0, 3)).toBe(123);
    expect(numberAt(Buffer.from('max'), 0, 3)).toBeNaN();
    expect(skipFields(Buffer.from('a bb'), 0, 4, 9)).toBe(4);
  });

  it('never lets shared pages counted ahead of resident ones make memory negative', () => {
    const out = { residentPages: 0, anonPages: 0 };
    const line = Buffer.from('900 100 103 1 0 1 0\n');
    expect(parseStatm(line, line.length, out)).toBe(true);
    expect(out).toEqual({ residentPages: 100, anonPages: 0 });
  });
});

describe('a real process', () => {
  it('is read as /proc/PID/status tells it, and is ended once it has ended', async () => {
    const child = spawn(process.execPath, [
      '-e',
      'const kept = Buffer.alloc(30 << 20, 1); console.log("up"); setInterval(() => kept[0]++, 1e6)',
    ]);
    await once(child.stdout, 'data');
    const pid = child.pid!;
    const { startTicks } = readStat('/proc', pid)!;
    const files = new ProcessFiles('/proc', pid, startTicks, kernel, true);
    expect(files.read(true, true)).toBe('ok');
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    const kib = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(status)?.[1]);
    const { reading } = files;
    expect(Math.abs(reading.rssBytes / 1024 - kib('VmRSS'))).toBeLessThan(2048);
    expect(Math.abs(reading.anonBytes / 1024 - kib('RssAnon'))).toBeLessThan(2048);
    expect(reading.anonBytes).toBeGreaterThan(30 << 20);
    expect(reading.threads).toBe(kib('Threads'));
    expect(reading.openFds).toBeGreaterThan(2);
    expect(reading.cpuSeconds).toBeGreaterThan(0);

    child.kill('SIGKILL');
    await once(child, 'exit');
    expect(files.read(true, true)).toBe('ended');
    files.close();
  });

  it('that nobody has waited for is ended: a zombie holds no memory', async () => {
    // The shell starts a child and becomes `sleep`, which never waits for it.
    const parent = spawn('sh', ['-c', 'sleep 0.2 & echo $!; exec sleep 60']);
    const [line] = (await once(parent.stdout, 'data')) as [Buffer];
    const pid = Number(line.toString());
    try {
      await expect.poll(() => readStat('/proc', pid)?.state, { interval: 5 }).toBe('Z');
      expect(isDead(readStat('/proc', pid)!)).toBe(true);
    } finally {
      parent.kill('SIGKILL');
    }
  });
});

describe('a process tree of our own', () => {
  let fake: FakeProc | undefined;
  afterEach(() => fake?.remove());

  it('gives memory in bytes, and tells a reused pid from the process it belonged to', () => {
    fake = new FakeProc();
    fake.process(40, { startTicks: 500, residentPages: 1000, sharedPages: 200 });
    const files = new ProcessFiles(fake.root, 40, 500, readKernel(fake.root), false);
    expect(files.read(true, false)).toBe('ok');
    expect(files.reading).toMatchObject({ rssBytes: 4_096_000, anonBytes: 3_276_800, swapBytes: 12_288, cpuSeconds: 2, threads: 7 });
    expect(files.reading.openFds).toBeNaN();
    fake.process(40, { startTicks: 900 });
    expect(files.read(true, false)).toBe('ended');
  });

  it('marks kernel threads by their flag, whatever their name', () => {
    fake = new FakeProc({ seesHost: true });
    expect(isKernelThread(readStat(fake.root, 2)!)).toBe(true);
    expect(readKernel(fake.root).seesHost).toBe(true);
  });

  it('reads files longer than one page whole, and stops at the limit', () => {
    fake = new FakeProc();
    fake.write('long', 'x'.repeat(100_000));
    expect(readBytes(`${fake.root}/long`, 1 << 20)).toHaveLength(100_000);
    expect(readBytes(`${fake.root}/long`, 50_000)).toHaveLength(50_000);
    expect(readBytes(`${fake.root}/none`, 50)).toBeUndefined();
  });
});
