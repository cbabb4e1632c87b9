/** `npm start`: three small real programs, two of which leak, and a running account of what the detector makes of them. */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createLogUpdate } from 'log-update';
import type { Judgement } from '../../shared/judgement.ts';
import { readAgents } from '../../shared/store/agents.ts';
import type { Store } from '../../shared/store/store.ts';
import type { Context } from './context.ts';
import { demoFindings, demoProgress, type DemoState } from './demo-view.ts';
import type { Detecting } from './detecting.ts';
import { packageRoot } from './package-root.ts';

interface DemoProgram {
  readonly service: string;
  readonly title: string;
  readonly command: string;
  readonly file: string;
  /** 0 = does not leak. So slow that none is at its limit before all findings are told. */
  readonly leakMibPerSecond: number;
}

const PROGRAMS: readonly DemoProgram[] = [
  {
    service: 'sessions',
    title: 'Node, a session store that never evicts',
    command: process.execPath,
    file: 'leaky-sessions.mjs',
    leakMibPerSecond: 0.7,
  },
  { service: 'pages', title: 'Python, an unbounded cache', command: 'python3', file: 'leaky-cache.py', leakMibPerSecond: 1 },
  {
    service: 'catalogue',
    title: 'Node, healthy: warm-up, garbage collection, a bounded cache',
    command: process.execPath,
    file: 'healthy.mjs',
    leakMibPerSecond: 0,
  },
];

const LOOK_MS = 1_000;
/** On a terminal the picture is redrawn; into a file or pipe it is repeated less often. */
const REPEAT_MS = 10_000;
/** The healthy program fills its cache until then. */
const WARM_UP_MS = 60_000;
const TELL_ANYWAY_MS = 175_000;

/** On the command line of this demo's programs, so that its agent watches them and no others. */
const MARK = `--demo=${process.pid}`;

export const DEMO_MATCH = `${MARK}$`;

/** Keeps one program running: at its limit it is killed, as the kernel would, and started anew. */
export class SupervisedProgram {
  readonly program: DemoProgram;
  readonly #start: () => ChildProcess;
  #child: ChildProcess;

  constructor(program: DemoProgram, start: () => ChildProcess) {
    this.program = program;
    this.#start = start;
    this.#child = start();
  }

  get running(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** True when it had to be killed. */
  async enforce(limitBytes: number): Promise<boolean> {
    const pages = await readFile(`/proc/${this.#child.pid ?? 0}/statm`, 'utf8').then(
      (text) => Number(text.split(' ')[1]),
      () => 0,
    );
    if (pages * PAGE_BYTES <= limitBytes) return false;
    const ended = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await ended;
    this.#child = this.#start();
    return true;
  }

  stop(): Promise<void> {
    return stopChild(this.#child);
  }
}

const PAGE_BYTES = 4096;

/** Starts what can be started; says what cannot. */
export function startDemoPrograms({ config, lifecycle }: Context, socket: string): SupervisedProgram[] {
  const root = packageRoot();
  const env = {
    ...process.env,
    NODE_OPTIONS: `--require ${JSON.stringify(join(root, 'probes/nodejs/leakline.cjs'))}`,
    PYTHONPATH: join(root, 'probes/python'),
    LEAKLINE_SOCKET: socket,
    LEAKLINE_INTERVAL_MS: String(config.agent.interval),
    LEAKLINE_ENVIRONMENT: 'demo',
  };
  return PROGRAMS.flatMap((program) => {
    if (program.command === 'python3' && spawnSync('python3', ['--version']).status !== 0) {
      process.stdout.write(`python3 is missing: going on without "${program.title}"; install it to see a Python leak too\n`);
      return [];
    }
    const supervised = new SupervisedProgram(program, () => {
      const child = spawn(program.command, [join(root, 'test/fleet', program.file), MARK], {
        env: { ...env, LEAKLINE_SERVICE: program.service, LEAK_MIB_PER_SECOND: String(program.leakMibPerSecond) },
        stdio: 'ignore',
      });
      child.on('error', (error) => process.stdout.write(`${program.service} did not start: ${error.message}\n`));
      return child;
    });
    lifecycle.onStop(program.service, () => supervised.stop());
    return [supervised];
  });
}

/** SIGTERM, and after two seconds SIGKILL. */
export async function stopChild(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), 2_000);
  await ended;
  clearTimeout(timer);
}

export async function narrateDemo(
  { clock, config, lifecycle }: Context,
  store: Store,
  detecting: Detecting,
  url: string,
  programs: readonly SupervisedProgram[],
): Promise<void> {
  const startedAt = clock.now();
  const onTerminal = process.stdout.isTTY;
  const redraw = createLogUpdate(process.stdout);
  const say = (text: string) => {
    if (onTerminal) redraw.clear();
    process.stdout.write(text);
  };
  let told = false;
  let saidAt = -Infinity;

  while (!lifecycle.stopping.aborted) {
    for (const supervised of programs) {
      if (await supervised.enforce(config.detector.defaultMemoryLimit))
        say(`${supervised.program.service} reached its memory limit, was killed and started anew\n`);
    }
    const state = await look(store, detecting, url, programs, clock.now() - startedAt);
    if (onTerminal) redraw(demoProgress(state));
    else if (state.elapsedMs - saidAt >= REPEAT_MS) {
      say(`${demoProgress(state)}\n`);
      saidAt = state.elapsedMs;
    }
    if (!told && (programs.every(({ program }) => isSettled(program, state)) || state.elapsedMs > TELL_ANYWAY_MS)) {
      told = true;
      say(demoFindings(state));
    }
    await clock.sleep(LOOK_MS, lifecycle.stopping).catch(() => undefined);
  }
  if (onTerminal) redraw.done();
}

async function look(
  store: Store,
  detecting: Detecting,
  url: string,
  programs: readonly SupervisedProgram[],
  elapsedMs: number,
): Promise<DemoState> {
  const agents = await readAgents(store);
  return {
    elapsedMs,
    url,
    samples: agents.reduce((sum, { samples }) => sum + samples, 0),
    programs: programs.map(({ program: { service, title }, running }) => ({ service, title, running })),
    judgements: new Map<string, Judgement>((detecting.latest()?.pooled ?? []).map((judgement) => [judgement.service, judgement])),
  };
}

/** The findings are told once every leak is found and the healthy program is judged, or when three minutes are nearly over. */
function isSettled({ service, leakMibPerSecond }: DemoProgram, { judgements, elapsedMs }: DemoState): boolean {
  const verdict = judgements.get(service)?.verdict;
  return leakMibPerSecond > 0 ? verdict === 'leak' : elapsedMs > WARM_UP_MS && verdict !== undefined && verdict !== 'undecided';
}
