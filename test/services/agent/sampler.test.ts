/** The whole look at processes, over a /proc tree made for the test. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { decodeBatch, encodeBatch } from '../../../shared/wire.ts';
import type { Batch } from '../../../shared/sample.ts';
import { BatchBuilder } from '../../../services/agent/batch-builder.ts';
import type { RuntimeReading, RuntimeSource } from '../../../services/agent/runtime-source.ts';
import { Sampler, type SamplerOptions } from '../../../services/agent/sampler.ts';
import { FakeProc, writeFiles } from './fake-proc.ts';

const START = 1_700_000_000_000;
let fake: FakeProc;
let nowMs: number;
let seq: number;
let builder: BatchBuilder;
beforeEach(() => {
  fake = new FakeProc();
  nowMs = 0;
  seq = 0;
  builder = new BatchBuilder();
});
afterEach(() => fake.remove());

function sampler(more: Partial<SamplerOptions> = {}): Sampler {
  return new Sampler(
    {
      procRoot: fake.root,
      match: undefined,
      identity: { service: '', environment: '', version: '', instance: '' },
      host: 'h1',
      environmentAllow: [],
      smapsBudget: 0,
      sources: [],
      instancesFile: undefined,
      monotonicMs: () => nowMs,
      ...more,
    },
    builder,
  );
}

/** One tick, ten seconds after the last; what it saw, through the real wire format. */
async function look(from: Sampler): Promise<Batch> {
  nowMs += 10_000;
  const at = START + 1_000_000_000 + nowMs;
  await from.tick(at);
  const batch = builder.take({ agent: 'a', boot: 'b', seq: seq++, sent_at: at });
  const { batch: decoded, problems } = decodeBatch(encodeBatch(batch), { at, maxFutureMs: 1000, maxAgeMs: 1000 });
  expect([...problems.refused, ...problems.cleared, ...problems.normalised]).toEqual([]);
  return decoded;
}

const named = (batch: Batch) =>
  batch.processes.service.map((service, row) => `${service} ${batch.processes.instance[row]} ${batch.processes.pid[row]}`);
const endings = (batch: Batch) =>
  batch.exits?.process.map((process, row) => `${batch.processes.service[process]} ${batch.exits?.reason[row]}`);

describe('which processes', () => {
  it('a sidecar watches its pod: all but itself, launchers, the pause container and zombies', async () => {
    fake.process(1, { argv: ['/pause'], comm: 'pause' });
    fake.process(7, { argv: ['/tini', '--', 'node', 'shop.js'], comm: 'tini' });
    fake.process(8, { argv: ['node', '/srv/shop.js'], comm: 'node' });
    fake.process(9, { argv: ['sh', '-c', 'node cart.js'], comm: 'sh' });
    fake.process(10, { argv: ['node', '/srv/cart.js'], comm: 'node', state: 'Z' });
    fake.process(11, { argv: ['leakline'], comm: 'leakline' });
    fake.link('self/../11/own', 'x');
    rmSync(join(fake.root, 'self'), { recursive: true });
    fake.link('self', '11');
    const one = sampler();
    expect(one.scope).toBe('pod');
    expect(named(await look(one))).toEqual(['shop h1 8']);
    one.close();
  });

  it('on a host: no kernel threads, and nothing younger than 30 s', async () => {
    fake.remove();
    fake = new FakeProc({ seesHost: true, uptimeSeconds: 1000 });
    fake.process(30, { argv: ['/bin/old'], startTicks: 96_000 });
    fake.process(31, { argv: ['/bin/young'], startTicks: 99_000 });
    const one = sampler();
    expect(one.scope).toBe('host');
    expect(named(await look(one))).toEqual(['old h1 30']);
    fake.write('uptime', '1030.00 1.00\n');
    expect(named(await look(one))).toEqual(['old h1 30', 'young h1 31']);
    one.close();
  });

  it('by pattern: what matches, also when it only begins to match by exec', async () => {
    fake.process(20, { argv: ['/bin/loader'], startTicks: 9_999_900 });
    fake.process(21, { argv: ['node', 'shop.js'], comm: 'node' });
    const one = sampler({ match: /shop/ });
    expect(named(await look(one))).toEqual(['shop h1 21']);
    fake.process(20, { argv: ['python3', 'shopper.py'], comm: 'python3', startTicks: 9_999_900 });
    expect(named(await look(one)).sort()).toEqual(['shop h1 21', 'shopper h1 20']);
    one.close();
  });

  it('an exec gives a watched process its new name within the same lifetime', async () => {
    const startTicks = (START / 1000 + 1_000_000 - 1_700_000_000) * 100;
    fake.write('uptime', `${startTicks / 100}.00 1.00\n`);
    fake.process(20, { argv: ['/bin/setup'], startTicks });
    const one = sampler();
    const before = await look(one);
    fake.process(20, { argv: ['/bin/orders'], startTicks });
    const after = await look(one);
    expect([named(before), named(after)]).toEqual([['setup h1 20'], ['orders h1 20']]);
    expect(after.processes.lifetime).toEqual(before.processes.lifetime);
    one.close();
  });
});

describe('lifetimes', () => {
  it('a reused pid is a new lifetime of the same instance, and the old one has ended', async () => {
    fake.process(20, { argv: ['/bin/orders'], startTicks: 1000 });
    const one = sampler();
    const before = await look(one);
    fake.end(20);
    fake.process(20, { argv: ['/bin/orders'], startTicks: 2000 });
    const after = await look(one);
    expect(before.processes.lifetime[0]).toMatch(/^[0-9a-f]{16}$/);
    expect(new Set([...before.processes.lifetime, ...after.processes.lifetime]).size).toBe(2);
    expect(after.processes.instance).toEqual(['h1', 'h1']);
    expect(after.samples.process).toHaveLength(1);
    expect(endings(after)).toEqual(['orders exit']);
    expect(after.processes.process_started_at).toEqual([START + 10_000, START + 20_000]);
    one.close();
  });

  it('two replicas are two instances, and keep their names over restarts of theirs and of the agent', async () => {
    const state = mkdtempSync(join(tmpdir(), 'leakline-state-'));
    const instancesFile = join(state, 'instances.json');
    fake.process(20, { argv: ['/bin/orders'], startTicks: 1000 });
    fake.process(21, { argv: ['/bin/orders'], startTicks: 1001 });
    const first = sampler({ instancesFile });
    expect(named(await look(first))).toEqual(['orders h1 20', 'orders h1#1 21']);
    fake.end(20);
    fake.process(44, { argv: ['/bin/orders'], startTicks: 5000 });
    const batch = await look(first);
    expect(batch.samples.process.map((row) => named(batch)[row])).toEqual(['orders h1#1 21', 'orders h1 44']);
    first.close();

    const second = sampler({ instancesFile });
    expect(named(await look(second)).sort()).toEqual(['orders h1 44', 'orders h1#1 21']);
    second.close();
    rmSync(state, { recursive: true });
  });

  it('ended by the OOM killer: the largest of those that vanished, as often as its cgroup counted', async () => {
    const directory = join(fake.mountCgroup(2), 'c');
    writeFiles(directory, {
      'memory.current': 1000,
      'memory.stat': 'anon 400\ninactive_file 300',
      'memory.max': 4096,
      'memory.events': 'oom_kill 0',
    });
    const cgroup = '0::/c\n';
    fake.process(20, { argv: ['/bin/small'], residentPages: 10, sharedPages: 0, cgroup });
    fake.process(21, { argv: ['/bin/large'], residentPages: 99, sharedPages: 0, cgroup });
    fake.process(22, { argv: ['/bin/other'], cgroup });
    const one = sampler();
    const first = await look(one);
    expect(first.samples.working_set).toEqual([700, 700, 700]);
    expect(first.samples.memory_limit).toEqual([4096, 4096, 4096]);
    fake.end(20);
    fake.end(21);
    writeFiles(directory, { 'memory.events': 'oom_kill 1' });
    const second = await look(one);
    expect(endings(second)).toEqual(['large oom', 'small exit']);
    expect(second.samples.oom_kills).toEqual([1]);
    one.close();
  });
});

describe('what samples carry', () => {
  it('absent stays absent: no cgroup, no PSS, no runtime', async () => {
    fake.process(20, {});
    const one = sampler();
    const { samples } = await look(one);
    expect(samples).toEqual({
      process: [0],
      time: [START + 1_000_010_000],
      rss: [4_096_000],
      anon: [3_276_800],
      swap: [0],
      cpu_seconds: [2],
      threads: [7],
    });
    one.close();
  });

  it('what sources know, sync or async; a source that throws, rejects or hangs costs its own values alone', async () => {
    fake.process(20, { argv: ['/bin/a'] });
    fake.process(21, { argv: ['/bin/b'], environ: { LEAKLINE_SERVICE: 'bee' } });
    const source = (read: RuntimeSource['read']): RuntimeSource => ({ read, close: () => undefined });
    const reading: RuntimeReading = {
      heap_used: 5,
      rss: 1,
      labels: { flavour: 'x password=y' },
      runtime: 'python',
      service: 'said',
      version: '9',
    };
    const one = sampler({
      sources: [
        source(({ pid }) => (pid === 20 ? reading : undefined)),
        source(({ pid }) => Promise.resolve(pid === 21 ? { heap_live: 6, requests: 7 } : undefined)),
        source(() => Promise.reject(new Error('no'))),
        source(() => {
          throw new Error('never');
        }),
        source(() => new Promise(() => undefined)),
      ],
    });
    const { samples, processes } = await look(one);
    expect(samples).toMatchObject({ heap_used: [5, null], heap_live: [null, 6], requests: [null, 7], rss: [4_096_000, 4_096_000] });
    expect(processes).toMatchObject({
      service: ['said', 'bee'],
      version: ['9', ''],
      runtime: ['python', 'native'],
      labels: [{ flavour: 'x password=[redacted]' }, {}],
    });
    expect(one.sourceErrors).toBe(4);
    one.close();
  });

  it('flags go before what a process says of itself', async () => {
    fake.process(20, {});
    const one = sampler({
      identity: { service: 'flagged', environment: 'prod', version: '', instance: '' },
      sources: [{ read: () => ({ service: 'said', environment: 'said', version: '2' }), close: () => undefined }],
    });
    const { processes } = await look(one);
    expect(processes).toMatchObject({ service: ['flagged'], environment: ['prod'], version: ['2'] });
    one.close();
  });

  it('what cannot be read is counted once per lifetime and not sampled', async () => {
    fake.process(20, {});
    fake.process(21, {});
    const one = sampler();
    expect((await look(one)).samples.process).toHaveLength(2);
    fake.write('21/statm', '');
    rmSync(join(fake.root, '20/environ'));
    for (let tick = 0; tick < 3; tick++) expect((await look(one)).samples.process).toHaveLength(1);
    expect(one.unreadable).toEqual({ processes: 1, environments: 0 });
    one.close();
  });
});

it('10,000 processes: all seen, and looked at again without looking anything up again', async () => {
  // Above the kernel's largest pid, so that none is the one this test runs as.
  for (let pid = 5_000_000; pid < 5_010_000; pid++) {
    fake.write(`${pid}/stat`, `${pid} (w) S 1 1 1 0 -1 0 0 0 0 0 1 1 0 0 20 0 1 0 ${pid} 1 1\n`);
    fake.write(`${pid}/statm`, '10 5 1 0 0 0 0\n');
    fake.write(`${pid}/cmdline`, '/bin/w\0');
  }
  const one = sampler({ identity: { service: 'w', environment: '', version: '', instance: '' } });
  const cpuSeconds: number[] = [];
  const batches: Batch[] = [];
  for (let count = 0; count < 5; count++) {
    const before = process.cpuUsage();
    batches.push(await look(one));
    const { user, system } = process.cpuUsage(before);
    cpuSeconds.push((user + system) / 1e6);
  }
  expect(batches[0]!.processes.lifetime).toHaveLength(10_000);
  expect(new Set(batches[0]!.processes.instance).size).toBe(10_000);
  expect(batches.map(({ samples }) => samples.rss?.length)).toEqual([10_000, 10_000, 10_000, 10_000, 10_000]);
  // 6 s of CPU to find out who they are, then 0.3 s a look: looking it all up again would cost the same each time.
  expect(Math.min(...cpuSeconds.slice(2))).toBeLessThan(cpuSeconds[0]! / 3);
  one.close();
});
