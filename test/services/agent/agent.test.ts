/** The agent on real processes. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { gunzipSync } from 'node:zlib';
import { buildSync } from 'esbuild';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { LeaklineError } from '../../../shared/errors.ts';
import type { Batch } from '../../../shared/sample.ts';
import { lookOnce, startAgent, type Agent, type AgentOptions } from '../../../services/agent/agent.ts';
import { batchTable } from '../../../services/agent/print.ts';
import type { Transport } from '../../../services/agent/transport.ts';

const NONE = { service: '', environment: '', version: '', instance: '' };
const LEAK = 'const kept = []; setInterval(() => kept.push(Buffer.alloc(1 << 20, 1)), 20); console.log("up")';

let directory: string;
let children: ChildProcess[];
let agents: Agent[];
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'leakline-agent-'));
  children = [];
  agents = [];
});
afterEach(async () => {
  for (const agent of agents) await agent.stop();
  for (const child of children) child.kill('SIGKILL');
  rmSync(directory, { recursive: true, force: true });
});

/** A program with a tag in its command line, so that tests running beside this one are not watched. */
async function run(tag: string, code: string, env: Readonly<Record<string, string>> = {}): Promise<ChildProcess & { pid: number }> {
  const script = join(directory, `${tag}.cjs`);
  writeFileSync(script, code);
  const child = spawn(process.execPath, [script], { env: { PATH: process.env['PATH'], ...env }, stdio: ['ignore', 'pipe', 'inherit'] });
  children.push(child);
  await once(child.stdout, 'data');
  return child as ChildProcess & { pid: number };
}

const unique = (name: string) => `${name}-${process.pid}`;

function collect(): { batches: Batch[]; transport: Transport } {
  const batches: Batch[] = [];
  const send = (payload: Buffer) => {
    batches.push(JSON.parse(gunzipSync(payload).toString()) as Batch);
    return Promise.resolve();
  };
  return { batches, transport: { target: 'test', send, close: () => undefined } };
}

function start(options: Partial<AgentOptions> & Pick<AgentOptions, 'transport' | 'match'>): Agent {
  const ignore = () => undefined;
  const agent = startAgent({
    intervalMs: 100,
    directory: join(directory, 'state'),
    spoolBytes: 8 << 20,
    log: { debug: ignore, info: ignore, warn: ignore },
    identity: NONE,
    host: 'h1',
    ...options,
  });
  agents.push(agent);
  return agent;
}

describe('watching', () => {
  it('sees a process grow, tells who it is, and sees it end', async () => {
    const name = unique('leaky');
    const env = {
      OTEL_SERVICE_NAME: 'shop',
      OTEL_RESOURCE_ATTRIBUTES: 'service.version=1.4.2,deployment.environment=test',
      SECRET_KEY: 'hunter2',
    };
    const child = await run(name, LEAK, env);
    const { batches, transport } = collect();
    start({ transport, match: new RegExp(name) });
    const rss = () => batches.flatMap((batch) => batch.samples.rss ?? []).map(Number);
    await expect.poll(() => rss().length > 3 && rss().at(-1)! > rss()[0]! + (20 << 20), { timeout: 20_000, interval: 50 }).toBe(true);
    child.kill('SIGKILL');
    await expect.poll(() => batches.at(-1)?.exits?.reason, { timeout: 20_000, interval: 50 }).toEqual(['exit']);

    expect(batches.map(({ seq }) => seq)).toEqual(batches.map((_, index) => index));
    const times = batches.flatMap(({ samples }) => samples.time);
    expect(times).toEqual([...times].sort((a, b) => a - b));
    const { processes, samples } = batches[0]!;
    expect(processes).toMatchObject({
      service: ['shop'],
      version: ['1.4.2'],
      environment: ['test'],
      host: ['h1'],
      pid: [child.pid],
      runtime: ['nodejs'],
    });
    expect(Math.abs(processes.process_started_at[0]! - times[0]!)).toBeLessThan(60_000);
    expect(samples.anon![0]).toBeLessThanOrEqual(samples.rss![0]!);
    expect(JSON.stringify(batches)).not.toContain('hunter2');
  });

  it('looks once a beat though timers fire early, and names no two looks alike though the clock stands still', async () => {
    const name = unique('early');
    await run(name, LEAK);
    const { batches, transport } = collect();
    const startedAt = performance.now();
    const clock = {
      now: () => 1_700_000_000_000,
      sleep: (ms: number, signal?: AbortSignal) => sleep(Math.max(0, ms - 5), undefined, signal === undefined ? {} : { signal }),
    };
    const agent = start({ transport, match: new RegExp(name), clock });
    await expect.poll(() => agent.stats().ticks, { timeout: 20_000, interval: 20 }).toBeGreaterThan(12);
    expect(agent.stats().ticks).toBeLessThanOrEqual(Math.floor((performance.now() - startedAt) / 100) + 2);
    await agent.stop();
    const times = batches.flatMap(({ samples }) => samples.time);
    expect(times.length).toBeGreaterThan(12);
    expect(new Set(times).size).toBe(times.length);
  });

  it('names an unnamed Node program after its package, and a restarted one keeps its instance', async () => {
    writeFileSync(join(directory, 'package.json'), JSON.stringify({ name: '@acme/checkout', version: '7.0.1' }));
    const name = unique('main');
    const [a, b] = [await run(name, LEAK), await run(name, LEAK)];
    const { batches, transport } = collect();
    const agent = start({ transport, match: new RegExp(name) });
    const watched = () =>
      new Map(agent.stats().watched.map(({ pid, service, version, instance }) => [pid, `${service} ${version} ${instance}`]));
    await expect.poll(watched, { timeout: 20_000 }).toEqual(
      new Map([
        [a.pid, 'checkout 7.0.1 h1'],
        [b.pid, 'checkout 7.0.1 h1#1'],
      ]),
    );
    a.kill('SIGKILL');
    await once(a, 'exit');
    const c = await run(name, LEAK);
    await expect.poll(watched, { timeout: 20_000 }).toEqual(
      new Map([
        [b.pid, 'checkout 7.0.1 h1#1'],
        [c.pid, 'checkout 7.0.1 h1'],
      ]),
    );
    expect(batches.length).toBeGreaterThan(0);
  });

  it('prints what it sees, sending nothing', async () => {
    const name = unique('printed');
    const child = await run(name, LEAK);
    const batch = await lookOnce({ match: new RegExp(name), identity: NONE, host: 'h1', smapsBudget: 0.5 });
    expect(batch.processes.pid).toEqual([child.pid]);
    expect(batch.samples.pss?.[0]).toBeGreaterThan(1 << 20);
    const table = batchTable(batch);
    expect(table).toMatch(new RegExp(`${name}.* h1 .* ${child.pid} .*nodejs.* MiB`));
  });
});

describe('running', () => {
  it('skips beats it was too slow for instead of catching them up', async () => {
    const name = unique('beat');
    await run(name, LEAK);
    const { transport } = collect();
    let reads = 0;
    // Every look takes 120 ms of a 50 ms beat.
    const slow = { read: () => sleep(120).then(() => (reads++, undefined)), close: () => undefined };
    const agent = start({ transport, match: new RegExp(name), intervalMs: 50, sources: [slow] });
    await expect.poll(() => reads, { timeout: 20_000, interval: 10 }).toBe(1);
    const startMs = performance.now();
    await expect.poll(() => reads, { timeout: 20_000, interval: 10 }).toBe(5);
    // Four looks of 120 ms, each begun on a beat: 150 ms apart.
    expect(performance.now() - startMs).toBeGreaterThan(4 * 130);
    expect(agent.stats().watched).toHaveLength(1);
  });

  it('keeps what cannot be sent for its next run, under the same agent id and boot', async () => {
    const name = unique('later');
    await run(name, LEAK);
    const refuse = () => Promise.reject(new LeaklineError('LKL_ERR_UNREACHABLE', 'nobody there'));
    const first = start({ transport: { target: 'test', send: refuse, close: () => undefined }, match: new RegExp(name) });
    await expect.poll(() => first.stats().spool.batches, { timeout: 20_000 }).toBeGreaterThan(0);
    await expect.poll(() => first.stats().lastError?.message, { timeout: 20_000 }).toBe('nobody there');
    await first.stop();
    const { agent: id, boot } = first.stats();

    const { batches, transport } = collect();
    const second = start({ transport, match: new RegExp(name) });
    expect(await second.delivered()).toBe(true);
    expect(batches[0]).toMatchObject({ agent: id, boot, seq: 0 });
    expect(batches.at(-1)).toMatchObject({ agent: id, boot: second.stats().boot });
    expect(second.stats().boot).not.toBe(boot);
  });

  it('refuses a directory another agent runs on, and one it cannot write to', () => {
    const { transport } = collect();
    start({ transport, match: /nothing-at-all/ });
    expect(() => start({ transport, match: /nothing-at-all/ })).toThrow(/held by process/);
    writeFileSync(join(directory, 'file'), '');
    expect(() => start({ transport, match: /x/, directory: join(directory, 'file') })).toThrow(/cannot be used/);
  });

  it('takes over the lock of an agent that was killed', async () => {
    const { transport } = collect();
    const dead = await run(unique('dead'), LEAK);
    const agent = start({ transport, match: /nothing-at-all/ });
    await agent.stop();
    const lock = join(directory, 'state', 'lock');
    writeFileSync(lock, `some-boot ${dead.pid} 1`);
    start({ transport, match: /nothing-at-all/ });
    expect(readFileSync(lock, 'utf8')).toContain(` ${process.pid} `);
  });
});

describe('kill -9', () => {
  let server: Server;
  afterEach(() => {
    server.closeAllConnections();
    server.close();
  });

  it('whatever was spooled arrives: each batch under its name, always the same bytes, none missing', async () => {
    const name = unique('victim');
    await run(name, LEAK);
    const arrived = new Map<string, string>();
    let requests = 0;
    server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        const text = gunzipSync(Buffer.concat(chunks)).toString();
        const { boot, seq } = JSON.parse(text) as Batch;
        const known = arrived.get(`${boot} ${seq}`);
        if (known !== undefined) expect(text).toBe(known);
        arrived.set(`${boot} ${seq}`, text);
        // Every other request is taken, then answered as if it were not: the agent has to send it again.
        response.writeHead(++requests % 2 === 0 ? 503 : 204).end();
      });
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const script = join(directory, 'agent.mjs');
    buildSync({
      entryPoints: [join(import.meta.dirname, 'agent-process.ts')],
      bundle: true,
      platform: 'node',
      format: 'esm',
      outfile: script,
    });

    const spooled: string[] = [];
    const launch = async () => {
      const child = spawn(process.execPath, [script, url, join(directory, 'state'), name.replaceAll('-', '.')], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      children.push(child);
      child.stdout.on('data', (chunk: Buffer) => spooled.push(...chunk.toString().split('\n').filter(Boolean)));
      await once(child.stdout, 'data');
      return child;
    };
    for (const lifeMs of [0, 30, 300, 700, 2200]) {
      const child = await launch();
      await sleep(lifeMs);
      child.kill('SIGKILL');
      await once(child, 'close');
    }
    await launch();
    await expect.poll(() => spooled.filter((batch) => !arrived.has(batch)), { timeout: 30_000 }).toEqual([]);
    expect(spooled.length).toBeGreaterThanOrEqual(6);
  });
});
