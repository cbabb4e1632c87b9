import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { readStat } from '../../services/agent/proc.ts';
import { type Line, LineCollector, type Program, run, stop } from './line-collector.ts';

const PROBES = resolve('probes/python');
const FOREVER = 'import time\nwhile True: time.sleep(1)';
const MIB = 2 ** 20;

let agent: LineCollector;
let programs: Program[];
let folder: string;

beforeEach(() => {
  agent = new LineCollector();
  programs = [];
  folder = mkdtempSync(join(tmpdir(), 'leakline-app-'));
});

afterEach(async () => {
  for (const program of programs) await program.kill();
  await agent.close();
  rmSync(folder, { recursive: true, force: true });
});

/** -W error: a warning raised anywhere, the probe included, would end the program. */
function python(args: readonly string[], env: Record<string, string> = {}): Program {
  const program = run('python3', ['-W', 'error', ...args], { PYTHONPATH: PROBES, LEAKLINE_SOCKET: agent.path, ...env });
  programs.push(program);
  return program;
}

const of = (lines: readonly Line[], pid: number) => lines.filter((line) => line['pid'] === pid);
const values = (lines: readonly Line[], name: string) => lines.map((line) => Number(line[name])).filter((value) => !Number.isNaN(value));
describe('what it says', () => {
  test('blocks, heap, collections, and who it is', async () => {
    await agent.listen();
    const program = python(['-c', FOREVER], {
      LEAKLINE_SERVICE: 'search',
      OTEL_RESOURCE_ATTRIBUTES: 'service.version=7,deployment.environment.name=prod',
    });
    const [line] = await agent.until((lines) => lines.length > 0);
    expect(line).toMatchObject({
      v: 1,
      pid: program.pid,
      start_ticks: readStat('/proc', program.pid)?.startTicks,
      runtime: 'python',
      service: 'search',
      version: '7',
      environment: 'prod',
      gc_full_count: 0,
    });
    expect(line?.['runtime_version']).toMatch(/^3\.\d+\.\d+$/);
    expect(Number(line?.['objects'])).toBeGreaterThan(10_000);
    expect(Number(line?.['heap_used'])).toBeGreaterThan(1 * MIB);
    expect(Number(line?.['heap_committed'])).toBeGreaterThanOrEqual(Number(line?.['heap_used']));
  });

  test('LEAKLINE_INTERVAL_MS overrules the agent', async () => {
    await agent.listen({ hello: '{"v":1,"interval_ms":3600000}\n' });
    python(['-c', FOREVER], { LEAKLINE_INTERVAL_MS: '100' });
    await agent.until((lines) => lines.length >= 5);
  });

  test('a cache of pages grows in the heap, by what it holds', async () => {
    await agent.listen();
    const { heap, anon } = await growthOf(python([resolve('test/fleet/leaky-cache.py')], { LEAK_MIB_PER_SECOND: '8' }));
    expect(heap).toBeGreaterThan(0.7 * anon);
    expect(heap).toBeLessThan(1.4 * anon);
  });

  test('large objects count as heap too', async () => {
    await agent.listen();
    const program = python(['-c', 'import time\nkept = []\nwhile True:\n  time.sleep(0.05)\n  kept.append(b"x" * 100_000)\n']);
    const { heap, anon } = await growthOf(program);
    expect(heap).toBeGreaterThan(0.7 * anon);
    expect(heap).toBeLessThan(1.4 * anon);
  });

  test('what a C library leaks is not heap', async () => {
    await agent.listen();
    const program = python([resolve('test/fleet/leaky-native.py')], { LEAK_MIB_PER_SECOND: '8' });
    const { heap, anon } = await growthOf(program);
    expect(Math.abs(heap)).toBeLessThan(0.2 * anon);
  });

  test('a reading torn by a collection of another thread is left out, and the next one counts', async () => {
    const said = [
      'import sys',
      'from leakline_heap import Heap',
      'heap = Heap()',
      'read = lambda stale=0: heap.read(sys.getallocatedblocks() + stale)',
      // Four in a row, twice: blocks that were counted before they were freed.
      'for _ in range(2): print([read(stale) is None for stale in (0, 1e6, 1e6, 1e6, 1e6, 0)])',
      'for _ in range(4): read(1e6)',
      'try: read(1e6)',
      'except OSError as error: print(error)',
    ];
    const program = python(['-c', said.join('\n')], { LEAKLINE_SOCKET: '/nowhere' });
    const torn = '[False, True, True, True, True, False]\n';
    expect(await program.ended).toMatchObject({ code: 0, stdout: `${torn}${torn}malloc is not glibc's\n` });
  });

  test('heap_live is the floor under the sawtooth', async () => {
    await agent.listen();
    python([resolve('test/fleet/healthy.py')], { GARBAGE_MIB_PER_SECOND: '30', FULL_COLLECTION_SECONDS: '0.8' });
    // Not said before it is known which blocks are Python's; a sawtooth needs some readings for that.
    const collectionsOf = (line: Line | undefined) => Number(line?.['gc_full_count']);
    const withLive = (all: readonly Line[]) => all.filter((line) => line['heap_live'] !== undefined);
    await agent.until((all) => collectionsOf(all.at(-1)) >= collectionsOf(withLive(all)[0]) + 8);
    const lines = withLive(agent.lines);
    const live = values(lines, 'heap_live');
    expect(Math.max(...live)).toBeLessThan(1.02 * Math.min(...live));
    expect(Math.max(...values(lines, 'heap_used'))).toBeGreaterThan(1.5 * Math.max(...live));
    expect(Number(agent.lines.at(-1)?.['gc_pause_seconds'])).toBeGreaterThan(0);
  });
});

/** What heap_used and anonymous memory gained from the 5th reading of the heap to the 22nd, or a later one if the latter gained 8 MiB by then only. */
async function growthOf(program: Program): Promise<{ heap: number; anon: number }> {
  const heaps = (lines: readonly Line[]) => values(lines, 'heap_used');
  await agent.until((lines) => heaps(lines).length >= 5);
  const [heapBefore, anonBefore] = [heaps(agent.lines).at(-1)!, anonBytes(program.pid)];
  await agent.until((lines) => heaps(lines).length >= 21 && anonBytes(program.pid) > anonBefore + 8 * MIB);
  const told = heaps(agent.lines).length;
  await agent.until((lines) => heaps(lines).length > told);
  return { heap: heaps(agent.lines).at(-1)! - heapBefore, anon: anonBytes(program.pid) - anonBefore };
}

const anonBytes = (pid: number) => Number(/RssAnon:\s+(\d+)/.exec(readFileSync(`/proc/${String(pid)}/status`, 'utf8'))?.[1]) * 1024;

describe('every kind of app', () => {
  test('`import leakline` without PYTHONPATH tricks', async () => {
    await agent.listen();
    const program = python(['-c', `import sys; sys.path.insert(0, ${JSON.stringify(PROBES)}); import leakline\n${FOREVER}`], {
      PYTHONPATH: '',
    });
    await agent.until((lines) => of(lines, program.pid).length > 0);
  });

  test('the sitecustomize it hides still runs, and sees itself', async () => {
    mkdirSync(join(folder, 'site'));
    writeFileSync(
      join(folder, 'site', 'sitecustomize.py'),
      'import sys\nprint("mine", sys.modules["sitecustomize"].__file__ == __file__, flush=True)\n',
    );
    await agent.listen();
    const program = python(['-c', FOREVER], { PYTHONPATH: `${PROBES}:${join(folder, 'site')}` });
    await program.printed('mine True\n');
    await agent.until((lines) => lines.length > 0);
  });

  test('multiprocessing by fork: each child speaks for itself, with counts of its own', async () => {
    await agent.listen();
    const program = python([
      '-c',
      `import gc, multiprocessing, time
for _ in range(50): gc.collect()
def work(): time.sleep(60)
context = multiprocessing.get_context("fork")
children = [context.Process(target=work, daemon=True) for _ in range(3)]
for child in children: child.start()
time.sleep(60)`,
    ]);
    const pids = (lines: readonly Line[]) => new Set(lines.map((line) => line['pid']));
    await agent.until((lines) => pids(lines).size === 4);
    const child = agent.lines.find((line) => line['pid'] !== program.pid);
    expect(Number(child?.['gc_full_count'])).toBeLessThan(10);
    await agent.until((lines) => Number(of(lines, program.pid).at(-1)?.['gc_full_count']) >= 50);
  });

  test('a prefork server whose master dies: its workers speak on', async () => {
    await agent.listen();
    const program = python([
      '-c',
      `import os, time
pids = []
for _ in range(2):
  pid = os.fork()
  if pid == 0:
    time.sleep(4)
    os._exit(0)
time.sleep(0.5)`,
    ]);
    await program.printed('').catch(() => undefined);
    const workers = (lines: readonly Line[]) => new Set(lines.filter((line) => line['pid'] !== program.pid).map((line) => line['pid']));
    await agent.until((lines) => workers(lines).size === 2);
  });

  test('two hundred forks in a row: no warning, no deadlock, little delay', async () => {
    await agent.listen();
    const program = python([
      '-c',
      `import os, sys, time
time.sleep(0.6)
started = time.monotonic()
for _ in range(200):
  pid = os.fork()
  if pid == 0:
    import decimal, ctypes
    os._exit(0)
  assert os.waitpid(pid, 0)[1] == 0
print("forked", flush=True)
time.sleep(60)`,
    ]);
    await program.printed('forked');
    const heard = of(agent.lines, program.pid).length;
    await agent.until((lines) => of(lines, program.pid).length > heard);
  });

  test('the extra thread is not seen by threading', async () => {
    await agent.listen();
    const program = python(['-c', 'import threading, time\ntime.sleep(0.6)\nprint(threading.active_count(), flush=True)']);
    expect((await program.ended).stdout).toBe('1\n');
    expect(agent.lines.length).toBeGreaterThan(0);
  });
});

describe('never in the way', () => {
  const silent = { code: 0, signal: null, stdout: '', stderr: '' };
  const LIVES_700_MS = 'import time; time.sleep(0.7)';

  test('no socket: the app ends when it is done, silently', async () => {
    expect(await python(['-X', 'dev', '-c', LIVES_700_MS]).ended).toEqual(silent);
  });

  test.each([
    ['speaks', { reads: true }],
    ['says nothing', { hello: '' }],
    ['reads nothing', { reads: false }],
    ['talks garbage', { hello: '\0\xff{"interval_ms":"now"}\n[]\n' }],
    ['never ends its sentence', { hello: 'x'.repeat(100_000) }],
  ])('an agent that %s does not keep the app alive', async (_, manner) => {
    await agent.listen(manner);
    expect(await python(['-X', 'dev', '-c', LIVES_700_MS]).ended).toEqual(silent);
    expect(agent.connections).toBe(1);
  });

  test('an agent that takes nothing: the connection is given up', async () => {
    await agent.listen({ reads: false });
    const program = python(['-c', 'import time; time.sleep(5)'], { LEAKLINE_SERVICE: 'x'.repeat(60_000), LEAKLINE_INTERVAL_MS: '100' });
    await agent.connected(2);
    expect(await program.ended).toEqual(silent);
  });

  test('an agent that goes away and comes back is found again', async () => {
    await agent.listen();
    python(['-c', FOREVER]);
    await agent.until((lines) => lines.length >= 2);
    await agent.drop();
    const heardBefore = agent.lines.length;
    await agent.listen();
    await agent.until((lines) => lines.length > heardBefore);
  });

  test('an app that raises still dies of its own error', async () => {
    await agent.listen();
    const ended = await python(['-c', 'import time; time.sleep(0.5); raise ValueError("mine")']).ended;
    expect(ended.code).toBe(1);
    expect(ended.stderr).toContain('ValueError: mine');
    expect(ended.stderr).not.toContain('leakline');
  });

  test('a probe that is broken is no reason not to start', async () => {
    writeFileSync(join(folder, 'leakline.py'), 'raise RuntimeError("broken")');
    const program = python(['-c', 'print("up")'], { PYTHONPATH: `${folder}:${PROBES}` });
    expect(await program.ended).toMatchObject({ code: 0, stdout: 'up\n', stderr: '' });
  });
});

test('the demo service stops cleanly on SIGTERM', async () => {
  const program = python([resolve('test/fleet/leaky-cache.py')]);
  await program.printed('leaky-cache: leaking');
  expect(await stop(program)).toMatchObject({ code: 0, stderr: '' });
});
