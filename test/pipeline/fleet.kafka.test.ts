/** The same story as the demo with every service in a process of its own, over a real broker. */
import { mkdtempSync, rmSync } from 'node:fs';
import { spawn, type ChildProcess } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, inject, it } from 'vitest';
import { ensureTopics } from '../../shared/bus/kafka.ts';
import { createLog } from '../../shared/log.ts';
import { kafkaSettings } from '../harness/kafka-topic.ts';
import { freePort, LeaklineProcess } from '../harness/leakline-process.ts';
import { until } from '../harness/until.ts';

const ROOT = join(import.meta.dirname, '../..');
const PROGRAMS = [
  { service: 'fleet-sessions', command: process.execPath, file: 'leaky-sessions.mjs' },
  { service: 'fleet-pages', command: 'python3', file: 'leaky-cache.py' },
  { service: 'fleet-catalogue', command: process.execPath, file: 'healthy.mjs' },
];
const folder = mkdtempSync(join(tmpdir(), 'leakline-fleet-'));
const socket = join(folder, 'agent.sock');
const started: LeaklineProcess[] = [];
const programs: ChildProcess[] = [];
let consoleUrl = '';

async function start(args: readonly string[], env: Record<string, string> = {}): Promise<string> {
  const port = await freePort();
  const [command = ''] = args;
  const serves = command !== 'agent';
  const leakline = new LeaklineProcess({
    args: [...args, ...(serves ? ['--listen', `127.0.0.1:${port}`] : [])],
    cwd: folder,
    env: { LEAKLINE_PROFILE: 'minutes', LEAKLINE_DETECTOR_DEFAULT_MEMORY_LIMIT: '256MiB', ...env },
    ...(serves ? { healthUrl: `http://127.0.0.1:${port}/${command === 'store' ? 'ping' : 'healthz'}` } : {}),
  });
  started.push(leakline);
  await leakline.start();
  return `http://127.0.0.1:${port}`;
}

beforeAll(async () => {
  const brokers = inject('kafkaBrokers');
  const kafka = ['--kafka', brokers.join(',')];
  await ensureTopics(kafkaSettings(brokers), createLog({ level: 'silent', secrets: [] }));
  const store = ['--store', await start(['store', '--data', join(folder, 'data')])];
  await start(['ingester', ...kafka, ...store]);
  await start(['detector', ...store]);
  consoleUrl = await start(['console', ...store]);
  await start(['agent', ...kafka, '--interval', '1s', '--match', '--fleet-test$', '--data', join(folder, 'agent')], {
    LEAKLINE_AGENT_SOCKET: socket,
  });
  for (const { service, command, file } of PROGRAMS) {
    const env = {
      ...process.env,
      NODE_OPTIONS: `--require ${join(ROOT, 'probes/nodejs/leakline.cjs')}`,
      PYTHONPATH: join(ROOT, 'probes/python'),
      LEAKLINE_SOCKET: socket,
      LEAKLINE_INTERVAL_MS: '1000',
      LEAKLINE_SERVICE: service,
      LEAK_MIB_PER_SECOND: '1',
    };
    programs.push(spawn(command, [join(ROOT, 'test/fleet', file), '--fleet-test'], { env, stdio: 'ignore' }));
  }
});

afterAll(async () => {
  for (const program of programs) program.kill('SIGKILL');
  for (const leakline of started.reverse()) await leakline.stop();
  rmSync(folder, { recursive: true, force: true });
});

it('gives the same incidents as the demo', { timeout: 240_000 }, async () => {
  const answer = await until(
    'incidents of both leaking programs',
    async () => (await (await fetch(`${consoleUrl}/api/v1/incidents`)).json()) as { incidents: { service: string; state: string }[] },
    ({ incidents }) => incidents.filter(({ service }) => service.startsWith('fleet-')).length >= 2,
    200_000,
  );
  const ours = answer.incidents.filter(({ service }) => service.startsWith('fleet-'));
  expect(ours.map(({ service, state }) => `${service} ${state}`).sort()).toEqual(['fleet-pages open', 'fleet-sessions open']);
});
