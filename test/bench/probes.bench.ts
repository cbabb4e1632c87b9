/**
 * What the probes cost the process they sit in: `npx tsx test/bench/probes.bench.ts [ROUNDS = 11] [--write]`.
 * Busy: the same fixed work with and without the probe, beside a second run without (A/A), in random order each round; the
 * figure is the median of the paired differences in CPU-seconds of the whole process, its start included. Idle: CPU of a
 * minute at the default interval, and memory. `--write` puts the result into the section "Probes" of docs/benchmarks.md.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { arch, cpus, loadavg, release } from 'node:os';
import { resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { LineCollector } from '../probes/line-collector.ts';

const ROUNDS = Number(process.argv.slice(2).find((argument) => /^\d+$/.test(argument)) ?? 11);
const IDLE_SECONDS = 60;
const BUSY_INTERVAL_MS = '1000';

/** ~1.5 s of JSON, dictionaries and short-lived garbage; the last line printed is the CPU the process took. */
const NODE_WORK = `
const rows = Array.from({ length: 200 }, (_, i) => ({ i, name: 'row ' + i, tags: ['a', 'b', 'c'] }));
let left = 6000;
const turn = () => {
  for (let i = 0; i < 10; i++) JSON.parse(JSON.stringify(rows));
  if ((left -= 10) > 0) return setImmediate(turn);
  const { user, system } = process.cpuUsage();
  console.log((user + system) / 1e6);
  process.exit();
};
turn();`;
const PYTHON_WORK = `
import json, time
rows = [{"i": i, "name": "row %d" % i, "tags": ["a", "b", "c"]} for i in range(200)]
keep = []
for i in range(2500):
    copy = json.loads(json.dumps(rows))
    keep.append({"copy": copy[i % 200], "self": [copy[0]]})
print(time.process_time())`;

interface Runtime {
  readonly name: string;
  readonly command: string;
  readonly work: readonly string[];
  readonly idle: readonly string[];
  readonly probe: Readonly<Record<string, string>>;
}

const RUNTIMES: readonly Runtime[] = [
  {
    name: 'Node',
    command: process.execPath,
    work: ['-e', NODE_WORK],
    idle: ['-e', 'setInterval(() => {}, 1000)'],
    probe: { NODE_OPTIONS: `--require=${resolve('probes/nodejs/leakline.cjs')}` },
  },
  {
    name: 'Python',
    command: 'python3',
    work: ['-c', PYTHON_WORK],
    idle: ['-c', 'import time\nwhile True: time.sleep(1)'],
    probe: { PYTHONPATH: resolve('probes/python'), PYTHONDONTWRITEBYTECODE: '1' },
  },
];

const VARIANTS = ['control', 'control again', 'probe'] as const;

function start(runtime: Runtime, args: readonly string[], env: Readonly<Record<string, string>>) {
  return spawn(runtime.command, args, {
    env: { PATH: process.env['PATH'] ?? '', HOME: process.env['HOME'] ?? '', ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
}

async function busyCpuSeconds(runtime: Runtime, env: Readonly<Record<string, string>>): Promise<number> {
  const child = start(runtime, runtime.work, env);
  let printed = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (printed += text));
  await once(child, 'close');
  return Number(printed.trim());
}

const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)]!;
const percent = (value: number): string => `${value >= 0 ? '+' : ''}${(value * 100).toFixed(1)} %`;

async function measureBusy(runtime: Runtime, probeEnv: Readonly<Record<string, string>>): Promise<string[]> {
  const differences = { 'control again': [] as number[], probe: [] as number[] };
  const fastest = { control: Infinity, 'control again': Infinity, probe: Infinity };
  for (let round = 0; round < ROUNDS; round++) {
    const took: Partial<Record<(typeof VARIANTS)[number], number>> = {};
    const order = VARIANTS.map((variant) => ({ variant, at: Math.random() })).sort((a, b) => a.at - b.at);
    for (const { variant } of order) took[variant] = await busyCpuSeconds(runtime, variant === 'probe' ? probeEnv : {});
    for (const variant of VARIANTS) fastest[variant] = Math.min(fastest[variant], took[variant]!);
    for (const variant of ['control again', 'probe'] as const) differences[variant].push(took[variant]! / took.control! - 1);
  }
  return (['control again', 'probe'] as const).map((variant) => {
    const all = differences[variant].sort((a, b) => a - b);
    const quartiles = [all[Math.floor(all.length / 4)]!, all[Math.floor((all.length * 3) / 4)]!].map(percent).join(' … ');
    const label = variant === 'probe' ? 'probe, a line a second' : 'A/A control';
    return `| ${runtime.name} | ${label} | ${percent(median(all))} | ${quartiles} | ${percent(fastest[variant] / fastest.control - 1)} | ${fastest.control.toFixed(2)} |`;
  });
}

/** Nanoseconds of CPU of all threads, exactly; /proc/PID/stat counts ticks. */
function cpuSeconds(pid: number): number {
  const tasks = readdirSync(`/proc/${String(pid)}/task`);
  return (
    tasks.reduce((sum, task) => sum + Number(readFileSync(`/proc/${String(pid)}/task/${task}/schedstat`, 'utf8').split(' ')[0]), 0) / 1e9
  );
}

const anonMebibytes = (pid: number) => Number(/RssAnon:\s+(\d+)/.exec(readFileSync(`/proc/${String(pid)}/status`, 'utf8'))?.[1]) / 1024;

async function measureIdle(probeEnvOf: (runtime: Runtime) => Readonly<Record<string, string>>): Promise<string[]> {
  const children = RUNTIMES.flatMap((runtime) => [
    { runtime, label: 'no probe', child: start(runtime, runtime.idle, {}) },
    { runtime, label: 'probe, a line in 10 s', child: start(runtime, runtime.idle, probeEnvOf(runtime)) },
  ]);
  await sleep(5_000);
  const before = children.map(({ child }) => cpuSeconds(child.pid!));
  await sleep(IDLE_SECONDS * 1000);
  const rows = children.map(({ runtime, label, child }, at) => {
    const milliseconds = (cpuSeconds(child.pid!) - before[at]!) * 1000;
    return `| ${runtime.name} | ${label} | ${milliseconds.toFixed(1)} | ${anonMebibytes(child.pid!).toFixed(1)} |`;
  });
  for (const { child } of children) child.kill('SIGKILL');
  return rows;
}

function writeSection(section: string): void {
  const path = 'docs/benchmarks.md';
  const page = existsSync(path) ? readFileSync(path, 'utf8') : '# Benchmarks\n';
  const from = page.indexOf('\n## Probes\n');
  const to = page.indexOf('\n## ', from + 1);
  const before = from < 0 ? page : page.slice(0, from + 1);
  writeFileSync(path, `${before.trimEnd()}\n\n${section}${from < 0 || to < 0 ? '' : page.slice(to)}`);
}

const busyAgent = await new LineCollector().listen({ hello: '' });
const idleAgent = await new LineCollector().listen({ hello: '{"v":1,"interval_ms":10000}\n' });
try {
  const busy: string[] = [];
  for (const runtime of RUNTIMES)
    busy.push(
      ...(await measureBusy(runtime, { ...runtime.probe, LEAKLINE_SOCKET: busyAgent.path, LEAKLINE_INTERVAL_MS: BUSY_INTERVAL_MS })),
    );
  const idle = await measureIdle((runtime) => ({ ...runtime.probe, LEAKLINE_SOCKET: idleAgent.path }));
  const section = `## Probes

\`npx tsx test/bench/probes.bench.ts ${String(ROUNDS)} --write\`, Node ${process.versions.node}, Linux ${release()} ${arch()}, ${String(cpus().length)} cores, load average ${loadavg()[2]!.toFixed(0)}.
Fixed work of JSON and short-lived objects, ${String(ROUNDS)} rounds in random order; differences are within a round, in CPU-seconds of the whole
process, its start included. The A/A row is the noise: an effect below it is not resolved. What bounds the cost by construction: Node
observes at most 5 collections a second (~0.1 ms each), Python 200 (~2.4 us each), and reading Python's allocators may take 0.1 % of the time.

| runtime | busy | median | middle half | fastest runs | fastest control, CPU s |
| --- | --- | --: | --: | --: | --: |
${busy.join('\n')}

| runtime | idle for ${String(IDLE_SECONDS)} s | CPU ms | anon MiB |
| --- | --- | --: | --: |
${idle.join('\n')}
`;
  process.stdout.write(section);
  if (process.argv.includes('--write')) writeSection(section);
} finally {
  await busyAgent.close();
  await idleAgent.close();
}
