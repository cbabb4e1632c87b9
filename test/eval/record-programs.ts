/**
 * `npm run eval:record`: runs the programs in accelerated time, a second standing for a minute, watched by the project's own
 * agent, and keeps what it saw. Needs python3, a JDK and Go; scoring the recordings needs none of them.
 */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { setPriority, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { gzipSync } from 'node:zlib';
import type { Batch, MetricName } from '../../shared/sample.ts';
import { freePort } from '../harness/leakline-process.ts';
import type { Part } from './corpus.ts';
import { PROGRAMS, type Program } from './program-roster.ts';
import { addToIndex, fileOf, type Recording } from './recording.ts';

const { values: flags } = parseArgs({
  options: {
    program: { type: 'string', default: '.' },
    part: { type: 'string', default: 'dev,held' },
    seconds: { type: 'string', default: '1080' },
    jobs: { type: 'string', default: '8' },
  },
});

const ROOT = join(import.meta.dirname, '..', '..');
const SOURCES = join(import.meta.dirname, 'programs');
const MAIN = join(ROOT, 'services', 'main.ts');
/** On the command line of what is recorded now, so that the agent watches that and nothing else. */
const MARK = `--recorded-by=${String(process.pid)}`;
const METRICS = ['rss', 'anon', 'heap_used', 'heap_live', 'heap_committed', 'heap_limit'] as const satisfies MetricName[];
/** Starting runtimes costs CPU that the ones already running need. */
const STAGGER_MS = 1_500;
const SEEDS: Record<Part, number> = { dev: 11, held: 9_100 };

type Truth = Pick<Recording, 'leak' | 'kind' | 'limitBytes' | 'onsetAt' | 'exhaustsAt'>;
type Row = { time: number; requests: number } & Record<(typeof METRICS)[number], number>;

/** One program while it runs. */
interface Take {
  readonly name: string;
  readonly program: Program;
  readonly part: Part;
  readonly port: number;
  readonly rows: Row[];
  truth: Truth | undefined;
  child: ChildProcess | undefined;
  endedAt: number | undefined;
}

function build(folder: string): void {
  const java = join(SOURCES, 'jvm');
  const files = readdirSync(java).map((file) => join(java, file));
  execFileSync('javac', ['-d', join(folder, 'jvm'), ...files], { stdio: 'inherit' });
  execFileSync('go', ['build', '-o', join(folder, 'go-programs'), '.'], { cwd: join(SOURCES, 'go'), stdio: 'inherit' });
}

function commandOf({ program: { runtime, start, flags: options = [] } }: Take, built: string): [string, string[]] {
  switch (runtime) {
    case 'nodejs':
      return [process.execPath, [join(SOURCES, 'node', start)]];
    case 'python':
      return ['python3', ['-B', join(SOURCES, 'python', start)]];
    case 'jvm':
      return ['java', ['-XX:TieredStopAtLevel=1', ...options, '-cp', join(built, 'jvm'), start]];
    case 'go':
      return [join(built, 'go-programs'), [start]];
  }
}

function startTake(take: Take, built: string, session: string): void {
  const { name, program, part, port } = take;
  const parameters = Object.entries(program.parameters[part]).map(([key, value]) => [key, String(value)]);
  const [command, args] = commandOf(take, built);
  const child = spawn(command, [...args, MARK], {
    env: {
      PATH: process.env['PATH'] ?? '',
      HOME: process.env['HOME'] ?? '',
      NODE_OPTIONS: `--require ${JSON.stringify(join(ROOT, 'probes/nodejs/leakline.cjs'))}`,
      PYTHONPATH: join(ROOT, 'probes/python'),
      LEAKLINE_SOCKET: join(session, 'agent.sock'),
      LEAKLINE_SERVICE: name,
      SEED: String(SEEDS[part]),
      PORT: String(port),
      ...(Object.fromEntries(parameters) as Record<string, string>),
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  take.child = child;
  createInterface({ input: child.stdout }).on('line', (line) => {
    // The JVM names the error that ends it.
    if (line.startsWith('{')) take.truth = JSON.parse(line) as Truth;
  });
  child.on('exit', () => (take.endedAt ??= Date.now()));
}

/** A real agent, printing its batches instead of sending them. */
function startAgent(takes: readonly Take[], session: string): ChildProcess {
  const scraped = takes.filter(({ program }) => program.runtime === 'go').map(({ port }) => `http://127.0.0.1:${String(port)}/metrics`);
  const inherited = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(LEAKLINE_|NODE_OPTIONS)/.test(name)));
  const agent = spawn(process.execPath, ['--import', import.meta.resolve('tsx'), MAIN, 'agent', '--print', '--json', '--interval', '1s'], {
    cwd: session,
    env: {
      ...inherited,
      LEAKLINE_AGENT_MATCH: `${MARK}$`,
      LEAKLINE_AGENT_SOCKET: join(session, 'agent.sock'),
      LEAKLINE_AGENT_SCRAPE: scraped.join(','),
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const byName = new Map(takes.map((take) => [take.name, take]));
  createInterface({ input: agent.stdout }).on('line', (line) => {
    if (line.startsWith('{')) keep(JSON.parse(line) as Batch, byName);
  });
  return agent;
}

function keep({ processes, samples }: Batch, takes: ReadonlyMap<string, Take>): void {
  for (const [index, process] of samples.process.entries()) {
    const take = takes.get(processes.service[process] ?? '');
    if (take?.endedAt !== undefined || take === undefined) continue;
    const valueOf = (metric: MetricName) => samples[metric]?.[index] ?? Number.NaN;
    const figures = Object.fromEntries(METRICS.map((metric) => [metric, valueOf(metric)])) as Record<(typeof METRICS)[number], number>;
    const time = samples.time[index] as number;
    take.rows.push({ time, requests: valueOf('requests'), ...figures });
    // As the kernel would.
    if (take.truth !== undefined && figures.rss >= take.truth.limitBytes) {
      take.endedAt = time;
      take.child?.kill('SIGKILL');
    }
  }
}

const cell = (value: number) => (Number.isNaN(value) ? '' : String(Math.round(value)));

function csvOf({ name, rows, truth }: Take): string {
  const lines = [`time,service,instance,${METRICS.join(',')},limit,requests_per_second`];
  for (const [index, row] of rows.entries()) {
    const before = rows[index - 1];
    const rate = before === undefined ? Number.NaN : ((row.requests - before.requests) * 1_000) / (row.time - before.time);
    const cells = METRICS.map((metric) => cell(row[metric]));
    lines.push([row.time, name, `${name}-0`, ...cells, truth?.limitBytes ?? '', Number.isNaN(rate) ? '' : rate.toFixed(2)].join(','));
  }
  return `${lines.join('\n')}\n`;
}

function recordingOf({ name, program, part, truth, rows, endedAt }: Take): Recording {
  if (truth === undefined) throw new Error(`${name} ended without saying what it does`);
  const { name: title, runtime, parameters } = program;
  const last = rows.at(-1)?.time ?? 0;
  const reachedLimit = endedAt !== undefined;
  if (reachedLimit && !truth.leak) throw new Error(`${name} should have lived, and ended after ${String(rows.length)} samples`);
  const base = { name, program: title, runtime, part, parameters: parameters[part], ...truth };
  return truth.leak ? { ...base, reachedLimit, exhaustsAt: reachedLimit ? last : (truth.exhaustsAt ?? 0) } : base;
}

async function stop(child: ChildProcess | undefined): Promise<void> {
  if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), 5_000);
  await ended;
  clearTimeout(timer);
}

async function record(takes: readonly Take[], built: string, session: string, seconds: number): Promise<void> {
  mkdirSync(session);
  const agent = startAgent(takes, session);
  try {
    for (const take of takes) {
      await delay(STAGGER_MS);
      startTake(take, built, session);
    }
    // The agent makes way for others; here its beat is what is measured, so it makes way no more than they do.
    if (agent.pid !== undefined && process.getuid?.() === 0) setPriority(agent.pid, 0);
    const deadline = Date.now() + seconds * 1_000;
    while (Date.now() < deadline && takes.some(({ endedAt }) => endedAt === undefined)) await delay(1_000);
  } finally {
    await stop(agent);
    for (const { child } of takes) child?.removeAllListeners('exit');
    await Promise.all(takes.map(({ child }) => stop(child)));
  }
  const made: Recording[] = [];
  for (const take of takes) {
    try {
      made.push(recordingOf(take));
      writeFileSync(fileOf(take.name), gzipSync(csvOf(take), { level: 9 }));
      process.stdout.write(`${take.name}: ${String(take.rows.length)} samples\n`);
    } catch (error) {
      process.stdout.write(`${error instanceof Error ? error.message : String(error)}\n`);
      process.exitCode = 1;
    }
  }
  addToIndex(made);
}

const folder = mkdtempSync(join(tmpdir(), 'leakline-programs-'));
try {
  build(folder);
  const takes: Take[] = [];
  for (const program of PROGRAMS.filter(({ name }) => new RegExp(flags.program).test(name))) {
    for (const part of flags.part.split(',') as Part[]) {
      takes.push({
        name: `${program.name}-${part}`,
        program,
        part,
        port: await freePort(),
        rows: [],
        truth: undefined,
        child: undefined,
        endedAt: undefined,
      });
    }
  }
  const jobs = Number(flags.jobs);
  for (let from = 0; from < takes.length; from += jobs) {
    await record(takes.slice(from, from + jobs), folder, join(folder, String(from)), Number(flags.seconds));
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
