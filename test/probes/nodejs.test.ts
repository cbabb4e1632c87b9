import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { readStat } from '../../services/agent/proc.ts';
import { type Line, LineCollector, type Program, run, stop } from './line-collector.ts';

const PROBE = resolve('probes/nodejs/leakline.cjs');
const FOREVER = 'setInterval(() => {}, 1000)';

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

function node(args: readonly string[], env: Record<string, string> = {}): Program {
  const program = run(process.execPath, args, { NODE_OPTIONS: `--require=${PROBE}`, LEAKLINE_SOCKET: agent.path, ...env });
  programs.push(program);
  return program;
}

function app(name: string, source: string): string {
  const path = join(folder, name);
  writeFileSync(path, source);
  return path;
}

const of = (lines: readonly Line[], pid: number) => lines.filter((line) => line['pid'] === pid);

describe('what it says', () => {
  test('heap, limit, off-heap memory, collections, and who it is', async () => {
    await agent.listen();
    const program = node(['-e', FOREVER], { LEAKLINE_SERVICE: 'checkout', LEAKLINE_VERSION: '1.4.2' });
    const [line] = await agent.until((lines) => lines.length > 0);
    expect(line).toMatchObject({
      v: 1,
      pid: program.pid,
      start_ticks: readStat('/proc', program.pid)?.startTicks,
      runtime: 'nodejs',
      runtime_version: process.versions.node,
      service: 'checkout',
      version: '1.4.2',
      gc_full_count: 0,
    });
    const mebibytes = (name: string) => Number(line?.[name]) / 2 ** 20;
    expect(mebibytes('heap_used')).toBeGreaterThan(2);
    expect(mebibytes('heap_committed')).toBeGreaterThan(mebibytes('heap_used'));
    expect(mebibytes('heap_limit')).toBeGreaterThan(100);
    expect(line).not.toHaveProperty('heap_live');
    expect(line).not.toHaveProperty('requests');
  });

  test('reports as often as the agent asks, and LEAKLINE_INTERVAL_MS overrules it', async () => {
    await agent.listen({ hello: '{"v":1,"interval_ms":3600000}\n' });
    const patient = node(['-e', FOREVER]);
    const eager = node(['-e', FOREVER], { LEAKLINE_INTERVAL_MS: '100' });
    await agent.until((lines) => of(lines, patient.pid).length === 1 && of(lines, eager.pid).length >= 5);
    expect(of(agent.lines, patient.pid)).toHaveLength(1);
  });

  test('names itself by the nearest package.json where nothing else does', async () => {
    await agent.listen();
    writeFileSync(join(folder, 'package.json'), '{"name":"basket","version":"3.0.1"}');
    node([app('main.mjs', FOREVER)]);
    const [line] = await agent.until((lines) => lines.length > 0);
    expect(line).toMatchObject({ service: 'basket', version: '3.0.1' });
  });

  test('OTEL_RESOURCE_ATTRIBUTES overrule package.json', async () => {
    await agent.listen();
    writeFileSync(join(folder, 'package.json'), '{"name":"basket","version":"3.0.1"}');
    node([app('main.mjs', FOREVER)], {
      OTEL_RESOURCE_ATTRIBUTES: 'service.name=cart%20api,deployment.environment=staging,service.instance.id=cart-0',
    });
    const [line] = await agent.until((lines) => lines.length > 0);
    expect(line).toMatchObject({ service: 'cart api', version: '3.0.1', environment: 'staging', instance: 'cart-0' });
  });

  test('counts the requests of an HTTP server', async () => {
    await agent.listen();
    node([
      '-e',
      `const http = require('http');
       const server = http.createServer((_, response) => response.end('ok')).listen(0, '127.0.0.1', async () => {
         for (let i = 0; i < 7; i++) await fetch('http://127.0.0.1:' + server.address().port).then((response) => response.text());
       })`,
    ]);
    await agent.until((lines) => lines.some((line) => line['requests'] === 7));
  });

  test('heap_live is the floor under the sawtooth', async () => {
    await agent.listen();
    node([
      '--expose-gc',
      '-e',
      // A ring of objects that live long enough to be promoted: garbage that only a full collection takes away. Small tasks, for the
      // floor is read in the first one after a collection, and what the tasks before it have made by then is on it.
      `const ring = Array.from({ length: 60_000 }, (_, i) => ({ i, text: 'first ' + i }));
       let turn = 0;
       setInterval(() => { for (let i = 0; i < 3_000; i++) ring[turn++ % ring.length] = { i, text: 'later ' + turn }; }, 10);
       setInterval(() => gc(), 600);`,
    ]);
    await agent.until((lines) => Number(lines.at(-1)?.['gc_full_count']) >= 5);
    const lines = agent.lines.filter((line) => Number(line['gc_full_count']) >= 2);
    const live = lines.map((line) => Number(line['heap_live']));
    const used = lines.map((line) => Number(line['heap_used']));
    // The floor stays within 15 %; the teeth stand at least half as high again above it.
    expect(Math.max(...live)).toBeLessThan(1.15 * Math.min(...live));
    expect(Math.max(...used)).toBeGreaterThan(1.5 * Math.max(...live));
    const last = agent.lines.at(-1);
    expect(Number(last?.['gc_count'])).toBeGreaterThanOrEqual(Number(last?.['gc_full_count']));
    expect(Number(last?.['gc_pause_seconds'])).toBeGreaterThan(0);
  });

  test('a process that collects often is observed in part and the count scaled up', async () => {
    await agent.listen({ hello: '{"v":1,"interval_ms":500}\n' });
    // Counts its own collections by a second observer, which sees every one.
    node([
      '--expose-gc',
      '-e',
      `let own = 0;
       new (require('perf_hooks').PerformanceObserver)((list) => { own += list.getEntries().length; }).observe({ entryTypes: ['gc'] });
       require('http').createServer((_, response) => response.end()).listen(0);
       const channel = require('diagnostics_channel').channel('http.server.request.start');
       let told = 0;
       setInterval(() => { gc({ type: 'minor' }); for (; told < own; told++) channel.publish({}); }, 10);`,
    ]);
    const lines = await agent.until((all) => Number(all.at(-1)?.['requests']) > 400);
    const { gc_count: count, requests: own } = lines.at(-1)!;
    expect(Number(count) / Number(own)).toBeGreaterThan(0.75);
    expect(Number(count) / Number(own)).toBeLessThan(1.25);
  });
});

describe('every kind of app', () => {
  test('workers stay quiet: one process, one connection', async () => {
    await agent.listen();
    const program = node([
      app(
        'main.mjs',
        `import { Worker } from 'node:worker_threads';
         for (let i = 0; i < 3; i++) new Worker('setInterval(() => {}, 1000); require("worker_threads").parentPort.postMessage("up")', { eval: true })
           .on('message', () => console.log('worker up'));`,
      ),
    ]);
    await program.printed('worker up\nworker up\nworker up');
    await agent.until((lines) => lines.length >= 8);
    expect(agent.connections).toBe(1);
  });

  test('each cluster child speaks for itself', async () => {
    await agent.listen();
    const program = node([
      app(
        'main.cjs',
        `const cluster = require('cluster');
         if (cluster.isPrimary) { cluster.fork(); cluster.fork(); }
         else require('http').createServer(() => {}).listen(0);`,
      ),
    ]);
    const pids = (lines: readonly Line[]) => new Set(lines.map((line) => line['pid']));
    await agent.until((lines) => pids(lines).size === 3);
    expect(pids(agent.lines).has(program.pid)).toBe(true);
  });

  test('survives an app that replaces the timers', async () => {
    await agent.listen();
    node([
      '-e',
      `setInterval(() => {}, 1000); globalThis.setTimeout = () => { throw new Error('fake'); }; globalThis.clearTimeout = setTimeout`,
    ]);
    await agent.until((lines) => lines.length >= 3);
  });
});

describe('never in the way', () => {
  const idle = { code: 0, signal: null, stdout: '', stderr: '' };
  const LIVES_700_MS = 'setTimeout(() => {}, 700)';

  test('no socket: the app ends when it is done, silently', async () => {
    expect(await node(['-e', LIVES_700_MS]).ended).toEqual(idle);
  });

  test.each([
    ['speaks', { reads: true }],
    ['says nothing', { hello: '' }],
    ['reads nothing', { reads: false }],
    ['talks garbage', { hello: '\0\xff{"interval_ms":"now"}\n[]\n' }],
    ['never ends its sentence', { hello: 'x'.repeat(100_000) }],
  ])('an agent that %s does not keep the app alive', async (_, manner) => {
    await agent.listen(manner);
    const startedAt = performance.now();
    const ended = await node(['-e', LIVES_700_MS]).ended;
    expect(ended).toEqual(idle);
    expect(agent.connections).toBe(1);
    expect(performance.now() - startedAt).toBeLessThan(5_000);
  });

  test('an agent that takes nothing: the connection is given up, and nothing waits in the app', async () => {
    await agent.listen({ reads: false });
    // Lines this long fill the socket's buffer (208 KiB) within a few intervals.
    const program = node(['-e', 'setTimeout(() => {}, 4000)'], { LEAKLINE_SERVICE: 'x'.repeat(60_000), LEAKLINE_INTERVAL_MS: '100' });
    await agent.connected(2);
    expect(await program.ended).toEqual(idle);
  });

  test('an agent that goes away and comes back is found again', async () => {
    await agent.listen();
    const program = node(['-e', FOREVER]);
    await agent.until((lines) => lines.length >= 2);
    await agent.drop();
    const heardBefore = agent.lines.length;
    await agent.listen();
    await agent.until((lines) => lines.length > heardBefore);
    expect(agent.lines.at(-1)?.['pid']).toBe(program.pid);
  });

  test('an app that throws still dies of its own error', async () => {
    await agent.listen();
    const ended = await node(['-e', `setTimeout(() => { throw new Error('mine') }, 500)`]).ended;
    expect(ended.code).toBe(1);
    expect(ended.stderr).toContain('Error: mine');
    expect(ended.stderr).not.toContain('leakline');
  });
});

test('the demo services stop cleanly on SIGTERM', async () => {
  const fleet = ['leaky-sessions.mjs', 'healthy.mjs', 'leaky-buffers.mjs'].map((name) => node([resolve('test/fleet', name)]));
  await Promise.all(fleet.map((program) => program.printed('\n')));
  for (const program of fleet) expect(await stop(program)).toMatchObject({ code: 0, stderr: '' });
});
