import { once } from 'node:events';
import { chmodSync, existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openProbeSocket } from '../../../services/agent/probe-socket.ts';
import { readStat } from '../../../services/agent/proc.ts';
import type { RuntimeReading, RuntimeSource, RuntimeTarget } from '../../../services/agent/runtime-source.ts';
import { Metrics } from '../../../shared/metrics.ts';
import { type Program, run } from '../../probes/line-collector.ts';

let folder: string;
let path: string;
let metrics: Metrics;
let nowMs: number;
let source: RuntimeSource | undefined;
let sockets: Socket[];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'leakline-socket-'));
  path = join(folder, 'agent.sock');
  metrics = new Metrics();
  nowMs = 1_000_000;
  sockets = [];
});

afterEach(async () => {
  for (const socket of sockets) socket.destroy();
  await source?.close();
  source = undefined;
  rmSync(folder, { recursive: true, force: true });
});

const open = async (intervalMs = 1_000) => {
  source = await openProbeSocket({ path, intervalMs, clock: { now: () => nowMs, sleep: () => Promise.resolve() }, metrics });
  const opened = source;
  return (target: RuntimeTarget) => opened.read(target) as RuntimeReading | undefined;
};

/** The test's own process is one whose start the kernel confirms. */
const START_TICKS = readStat('/proc', process.pid)!.startTicks;
const own: RuntimeTarget = { pid: process.pid, startedAt: 1, runtime: 'nodejs', service: 'own' };
const lineOf = (more: object = {}) =>
  `${JSON.stringify({ v: 1, pid: process.pid, start_ticks: START_TICKS, runtime: 'nodejs', heap_used: 1, ...more })}\n`;

async function dial(): Promise<Socket> {
  const socket = connect({ path });
  socket.on('error', () => undefined);
  sockets.push(socket);
  await once(socket, 'connect');
  return socket;
}

const linesCounted = async (result: string) => {
  const { values } = await metrics.registry.getSingleMetric('leakline_agent_probe_lines_total')!.get();
  return values.find(({ labels }) => labels['result'] === result)?.value ?? 0;
};

/** Polls because the other side of a socket gives no event; vitest's own limit ends it. */
async function until(isSo: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await isSo())) await new Promise((resume) => setTimeout(resume, 10));
}

describe('who is believed', () => {
  test('a line with the pid and the very start of a watched process', async () => {
    const read = await open();
    (await dial()).write(lineOf({ heap_used: 42 }));
    await until(() => read(own) !== undefined);
    expect(read(own)).toMatchObject({ runtime: 'nodejs', heap_used: 42 });
  });

  test('not with the start of another owner of the pid', async () => {
    const read = await open();
    (await dial()).write(lineOf({ start_ticks: START_TICKS - 1 }));
    await until(async () => (await linesCounted('used')) === 1);
    expect(read(own)).toBeUndefined();
  });

  test('containers have equal pids: the start tells them apart', async () => {
    const read = await open();
    (await dial()).write(lineOf({ pid: 1, start_ticks: 5, heap_used: 1 }));
    (await dial()).write(lineOf({ pid: 1, heap_used: 2 }));
    await until(async () => (await linesCounted('used')) === 2);
    expect(read({ ...own, nsPid: 1 })).toMatchObject({ heap_used: 2 });
  });

  test('a connection speaks for one process, and a process has one voice', async () => {
    const read = await open();
    const first = await dial();
    first.write(lineOf({ heap_used: 1 }));
    await until(() => read(own) !== undefined);
    const second = await dial();
    second.resume().write(lineOf({ heap_used: 666 }));
    await once(second, 'close');
    first.resume().write(lineOf({ pid: 1 }));
    await once(first, 'close');
    expect(await linesCounted('refused')).toBe(2);
    await until(() => read(own) === undefined);
  });
});

describe('what is kept', () => {
  test('nothing of a connection that closed', async () => {
    const read = await open();
    const socket = await dial();
    socket.write(lineOf());
    await until(() => read(own) !== undefined);
    socket.destroy();
    await until(() => read(own) === undefined);
  });

  test('nothing older than three of the probe’s own intervals', async () => {
    const read = await open(1_000);
    const socket = await dial();
    socket.write(lineOf({ heap_used: 1 }));
    await until(() => read(own) !== undefined);
    nowMs += 5_000;
    expect(read(own)).toBeUndefined();
    socket.write(lineOf({ heap_used: 2 }));
    await until(() => read(own)?.heap_used === 2);
    // It reports every 5 s by its own choice: after 14 s that is still its word.
    nowMs += 14_000;
    expect(read(own)).toBeDefined();
    nowMs += 2_000;
    expect(read(own)).toBeUndefined();
  });
});

describe('rude probes', () => {
  test.each([
    ['garbage', 'hello\n'],
    ['a line without end', 'x'.repeat(20_000)],
    ['a line too long', `${JSON.stringify({ v: 1, service: 'x'.repeat(10_000) })}\n`],
  ])('%s: counted once, the connection closed', async (_, text) => {
    await open();
    const socket = await dial();
    socket.resume().write(text);
    await once(socket, 'close');
    expect(await linesCounted('refused')).toBe(1);
  });

  test('a flood is read ten times a second, newest line first', async () => {
    const read = await open();
    const socket = await dial();
    let written = 0;
    const flood = setInterval(() => {
      for (let i = 0; i < 200; i++) socket.write(lineOf({ gc_count: (written += 1) }));
    }, 5);
    await until(() => (read(own)?.gc_count ?? 0) > 2_000);
    clearInterval(flood);
    expect(await linesCounted('used')).toBeLessThan(written / 20);
  });
});

describe('the path', () => {
  test('a probe is told the interval; the socket goes with the agent', async () => {
    await open(7_000);
    const socket = await dial();
    const [hello] = (await once(socket, 'data')) as [Buffer];
    expect(JSON.parse(hello.toString())).toEqual({ v: 1, interval_ms: 7_000 });
    await source?.close();
    source = undefined;
    expect(existsSync(path)).toBe(false);
  });

  test('a socket left by a killed agent is replaced', async () => {
    const dead = run(
      process.execPath,
      ['-e', `require('net').createServer().listen(${JSON.stringify(path)}, () => console.log('up'))`],
      {},
    );
    await dead.printed('up');
    await dead.kill();
    expect(existsSync(path)).toBe(true);
    await open();
    await dial();
  });

  test('a living agent is not pushed aside', async () => {
    await open();
    const second = openProbeSocket({ path, intervalMs: 1, clock: { now: () => 0, sleep: () => Promise.resolve() }, metrics });
    await expect(second).rejects.toMatchObject({ code: 'LKL_ERR_CONFIG', message: expect.stringContaining('another agent') as string });
    await dial();
  });

  test('a file that is no socket is not removed', async () => {
    writeFileSync(path, 'precious');
    await expect(open()).rejects.toMatchObject({ code: 'LKL_ERR_CONFIG' });
    expect(statSync(path).size).toBe(8);
  });

  test('a path longer than a socket may have is refused by name', async () => {
    path = join(folder, 'x'.repeat(120));
    await expect(open()).rejects.toMatchObject({ code: 'LKL_ERR_CONFIG', message: expect.stringContaining('107') as string });
  });

  test('any process that may enter the directory may write', async () => {
    chmodSync(folder, 0o755);
    await open();
    expect(statSync(path).mode & 0o777).toBe(0o666);
  });
});

test('the real probes, as processes the kernel confirms', async () => {
  const read = await open(200);
  const env = { LEAKLINE_SOCKET: path };
  const programs: [RuntimeTarget['runtime'], Program][] = [
    [
      'nodejs',
      run(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], {
        ...env,
        NODE_OPTIONS: `--require=${resolve('probes/nodejs/leakline.cjs')}`,
      }),
    ],
    ['python', run('python3', ['-c', 'import time; time.sleep(60)'], { ...env, PYTHONPATH: resolve('probes/python') })],
  ];
  try {
    for (const [runtime, { pid }] of programs) {
      const target = { pid, startedAt: 1, runtime, service: '' };
      await until(() => read(target) !== undefined);
      expect(read(target)).toMatchObject({ runtime, heap_used: expect.any(Number) as number, gc_count: expect.any(Number) as number });
    }
  } finally {
    for (const [, program] of programs) await program.kill();
  }
});
