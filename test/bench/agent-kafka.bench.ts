/**
 * CPU of `leakline agent --kafka` at a 10 s interval with 50 processes, over a minute, against a real broker.
 * `npm run build && npx tsx test/bench/agent-kafka.bench.ts [SECONDS] [PROCESSES]`
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { ensureTopics } from '../../shared/bus/kafka.ts';
import { createLog } from '../../shared/log.ts';
import { startKafka } from '../harness/kafka-broker.ts';
import { kafkaSettings } from '../harness/kafka-topic.ts';

const [seconds = 60, processes = 50] = process.argv.slice(2).map(Number);
const TICKS_PER_SECOND = 100;
const SETTLE_MS = 20_000;
const folder = mkdtempSync(join(tmpdir(), 'leakline-bench-'));

function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

function mebibytes(pid: number, name: string): number {
  return Math.round(Number(new RegExp(`${name}:\\s+(\\d+)`).exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024);
}

const broker = await startKafka();
await ensureTopics(kafkaSettings(broker.brokers), createLog({ level: 'silent', secrets: [] }));
const targets = Array.from({ length: processes }, () =>
  spawn('python3', ['-c', 'import time\nb = bytearray(5 << 20)\nwhile True: time.sleep(10)', 'leakline-bench-target'], { stdio: 'ignore' }),
);
const main = join(import.meta.dirname, '../../dist/services/main.js');
const args = ['agent', '--kafka', broker.brokers.join(','), '--interval', '10s', '--match', 'leakline-bench-target$', '--data', folder];
const agent = spawn(process.execPath, [main, ...args], {
  stdio: 'inherit',
  env: { ...process.env, LEAKLINE_AGENT_SOCKET: join(folder, 'agent.sock') },
});
const pid = agent.pid ?? 0;
await delay(SETTLE_MS);
const before = cpuSeconds(pid);
await delay(seconds * 1000);
const spent = cpuSeconds(pid) - before;
process.stdout.write(
  `${spent.toFixed(2)} CPU s in ${seconds} s = ${((100 * spent) / seconds).toFixed(2)} % of a core; ` +
    `RSS ${mebibytes(pid, 'VmRSS')} MiB, anon ${mebibytes(pid, 'RssAnon')} MiB; ${processes} processes every 10 s\n`,
);
agent.kill('SIGTERM');
for (const target of targets) target.kill('SIGKILL');
await broker.stop();
rmSync(folder, { recursive: true, force: true });
process.exit();
