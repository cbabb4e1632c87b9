import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { listenersOn, listeningInodes } from '../../../services/agent/listening-port.ts';
import { PrometheusSource } from '../../../services/agent/prometheus.ts';
import type { RuntimeReading, RuntimeTarget } from '../../../services/agent/runtime-source.ts';
import { parseScrapeEntry } from '../../../services/agent/scrape-target.ts';
import { systemClock } from '../../../shared/clock.ts';
import { forbiddenAddress } from '../../../shared/forbidden-address.ts';
import { Metrics } from '../../../shared/metrics.ts';
import { type Program, run } from '../../probes/line-collector.ts';

const PAGE = 'go_memstats_heap_alloc_bytes 5e6\n';
const HAS_GO = spawnSync('go', ['version']).status === 0;

let metrics: Metrics;
let sources: PrometheusSource[];
let servers: Server[];
let programs: Program[];

beforeEach(() => {
  metrics = new Metrics();
  sources = [];
  servers = [];
  programs = [];
});

afterEach(async () => {
  for (const source of sources) await source.close();
  for (const server of servers) {
    server.closeAllConnections();
    server.close();
  }
  for (const program of programs) await program.kill();
});

async function serve(listener: RequestListener): Promise<number> {
  const server = createServer(listener);
  servers.push(server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

function scrape(entries: string[], intervalMs = 100): PrometheusSource {
  const source = new PrometheusSource({ entries, intervalMs, clock: systemClock, metrics });
  sources.push(source);
  return source;
}

const target = (pid = process.pid, service = 'own'): RuntimeTarget => ({ pid, startedAt: 1, runtime: 'native', service });

async function reading(source: PrometheusSource, of: RuntimeTarget, isEnough: (reading: RuntimeReading) => boolean = () => true) {
  for (;;) {
    const found = source.read(of);
    if (found !== undefined && isEnough(found)) return found;
    await new Promise((wake) => setTimeout(wake, 20));
  }
}

async function scrapes(result: string): Promise<number> {
  const { values } = (await metrics.registry.getSingleMetric('leakline_agent_scrapes_total')?.get()) ?? { values: [] };
  return values.find(({ labels }) => labels['result'] === result)?.value ?? 0;
}

async function counted(result: string): Promise<void> {
  while ((await scrapes(result)) === 0) await new Promise((wake) => setTimeout(wake, 20));
}

describe('entries', () => {
  test.each([
    ['http://127.0.0.1:9100/metrics', { port: 9100 }],
    ['https://localhost/metrics', { port: 443 }],
    ['http://[::1]:81', { port: 81 }],
    ['8080=http://10.0.0.5:9404/metrics', { port: 8080 }],
    ['checkout=http://exporter.internal:9404/metrics', { service: 'checkout' }],
  ])('%s', (entry, join) => {
    expect(parseScrapeEntry(entry).join).toEqual(join);
  });

  test('a page without a path is /metrics', () => {
    expect(parseScrapeEntry('http://127.0.0.1:81').url.pathname).toBe('/metrics');
  });

  test.each([
    '',
    'metrics',
    'ftp://127.0.0.1',
    'http://10.0.0.5:9404/metrics',
    '8080=http://169.254.169.254/',
    '8080=http://2852039166/',
    '1=http://[::ffff:a9fe:a9fe]/',
  ])('%s is refused', (entry) => {
    expect(() => parseScrapeEntry(entry)).toThrow(expect.objectContaining({ code: 'LKL_ERR_CONFIG' }) as Error);
  });

  test('a password in an entry is not repeated', () => {
    expect(() => parseScrapeEntry('http://user:hunter22@10.0.0.5/')).toThrow(
      expect.objectContaining({ message: expect.not.stringContaining('hunter22') as string }) as Error,
    );
  });

  test('addresses', () => {
    expect(
      ['169.254.169.254', 'fe80::1', '0.0.0.0', '::', '::ffff:169.254.169.254', 'fd00:ec2::254'].filter(
        (address) => forbiddenAddress(address) !== undefined,
      ),
    ).toHaveLength(6);
    expect(['127.0.0.1', '10.0.0.5', '::1', '192.168.1.1'].filter((address) => forbiddenAddress(address) !== undefined)).toEqual([]);
  });
});

describe('whose page it is', () => {
  test('the one process that listens on the port', async () => {
    const port = await serve((_, response) => response.end(PAGE));
    const source = scrape([`http://127.0.0.1:${String(port)}`]);
    expect(await reading(source, target())).toEqual({ runtime: 'go', heap_used: 5e6 });
    expect(source.read(target(process.ppid))).toBeUndefined();
    expect(source.read({ ...target(), startedAt: 2 })).toBeUndefined();
    expect(listenersOn(port, [process.pid, process.ppid])).toEqual([process.pid]);
  });

  test('the one process of a service, and none when there are two', async () => {
    const port = await serve((_, response) => response.end(PAGE));
    const source = scrape([`own=http://127.0.0.1:${String(port)}`]);
    await reading(source, target());
    while (source.read(target()) !== undefined) {
      source.read(target(process.ppid));
      await new Promise((wake) => setTimeout(wake, 20));
    }
  });

  test('inodes of /proc/net/tcp: listening sockets of that port only', () => {
    const table = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 111 1 0 100 0 0 10 0
   1: 0100007F:1F90 0100007F:9999 01 00000000:00000000 00:00000000 00000000     0        0 222 1 0 100 0 0 10 0
   2: 0100007F:1F91 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 333 1 0 100 0 0 10 0`;
    expect(listeningInodes(table, 8080)).toEqual(['111']);
  });
});

describe('pages that misbehave', () => {
  test('a redirect is not followed', async () => {
    let visited = false;
    const elsewhere = await serve((_, response) => {
      visited = true;
      response.end(PAGE);
    });
    const port = await serve((_, response) => response.writeHead(302, { location: `http://127.0.0.1:${String(elsewhere)}/` }).end());
    scrape([`http://127.0.0.1:${String(port)}`]);
    await counted('refused');
    expect(visited).toBe(false);
  });

  test('a page without end is cut at 8 MiB', async () => {
    let sent = 0;
    const port = await serve((_, response) => {
      const push = () => {
        for (let room = true; room && !response.destroyed; sent += 65_536) room = response.write('x'.repeat(65_535) + '\n');
      };
      response.on('drain', push).on('error', () => undefined);
      push();
    });
    scrape([`http://127.0.0.1:${String(port)}`], 5_000);
    await counted('refused');
    expect(sent).toBeLessThan(24 << 20);
  });

  test('a page that hangs fails in time and is then asked less often', async () => {
    let requests = 0;
    const port = await serve(() => (requests += 1));
    const source = scrape([`http://127.0.0.1:${String(port)}`], 50);
    while ((await scrapes('failed')) < 4) await new Promise((wake) => setTimeout(wake, 20));
    // Four failures wait out 0 + 1 + 3 + 7 intervals; asked every time it would be four intervals.
    expect(requests).toBe(4);
    await source.close();
  });

  test('a page that stopped is stale after three intervals', async () => {
    const port = await serve((_, response) => response.end(PAGE));
    const source = scrape([`http://127.0.0.1:${String(port)}`], 100);
    await reading(source, target());
    servers[0]!.closeAllConnections();
    servers[0]!.close();
    while (source.read(target()) !== undefined) await new Promise((wake) => setTimeout(wake, 20));
  });
});

describe('real clients', () => {
  test('prom-client', async () => {
    const program = run(
      process.execPath,
      [
        '-e',
        `const client = require(${JSON.stringify(resolve('node_modules/prom-client'))});
         client.collectDefaultMetrics();
         const server = require('http').createServer(async (_, response) => response.end(await client.register.metrics()));
         server.listen(0, '127.0.0.1', () => console.log('port=' + server.address().port + ';'));
         setInterval(() => { let a = []; for (let i = 0; i < 1e5; i++) a.push({ i }); }, 20);`,
      ],
      {},
    );
    programs.push(program);
    const port = /port=(\d+)/.exec(await program.printed(';'))![1]!;
    const found = await reading(scrape([`http://127.0.0.1:${port}/metrics`]), target(program.pid), ({ gc_count }) => (gc_count ?? 0) > 0);
    expect(found).toMatchObject({ runtime: 'nodejs', labels: { runtime_version: process.versions.node } });
    expect(found.heap_committed).toBeGreaterThan(found.heap_used! * 0.8);
    expect(found.external).toBeGreaterThan(0);
    expect(found.gc_pause_seconds).toBeGreaterThan(0);
  });

  const goFolder = mkdtempSync(join(tmpdir(), 'leakline-go-'));
  const goService = join(goFolder, 'goservice');
  // The first build on a machine compiles the standard library too.
  beforeAll(async () => {
    if (!HAS_GO) return;
    const build = run('go', ['build', '-o', goService, resolve('test/fleet/goservice/main.go')], {});
    expect(await build.ended).toMatchObject({ code: 0, stderr: '' });
  }, 600_000);
  afterAll(() => {
    rmSync(goFolder, { recursive: true, force: true });
  });

  test.skipIf(!HAS_GO)('a Go program: the live heap grows with a leak and is flat without', async () => {
    const start = async (...args: string[]) => {
      const program = run(goService, ['-mib', '20', ...args], {});
      programs.push(program);
      const url = /http:\S+/.exec(await program.printed('/metrics'))![0];
      return { source: scrape([url]), of: target(program.pid) };
    };
    const [leaky, healthy] = [await start('-leak'), await start()];
    const live = async ({ source, of }: typeof leaky, atLeastCollections: number) =>
      (await reading(source, of, ({ gc_count, heap_live }) => (gc_count ?? 0) >= atLeastCollections && heap_live !== undefined)).heap_live!;
    const before = { leaky: await live(leaky, 1), healthy: await live(healthy, 3) };
    const after = { leaky: await live(leaky, 4), healthy: await live(healthy, 12) };
    expect(after.leaky).toBeGreaterThan(2 * before.leaky);
    // 8 MiB are held by the program for good; stacks and globals blur the solution a little.
    expect(after.healthy / 2 ** 20).toBeGreaterThan(7.5);
    expect(after.healthy / 2 ** 20).toBeLessThan(10);
  });
});
