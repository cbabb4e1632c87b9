/**
 * What the agent costs: CPU-seconds per minute and per 1,000 process-samples, resident and anonymous memory, beside a psutil
 * `memory_info` loop and a naive readFileSync loop over the same processes in the same minute.
 *
 *   npx tsx test/bench/agent-overhead.bench.ts [seconds = 60] [interval seconds = 10] [processes = 50]
 *
 * PSUTIL_PYTHON names a Python that has psutil; without psutil that row is left out, and said to be.
 *
 * CPU is read from schedstat (nanoseconds, all threads). The first 15 s, in which processes are found, are not counted.
 */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { build } from 'esbuild';

const [seconds = 60, intervalSeconds = 10, processes = 50] = process.argv.slice(2).map(Number);
const WARM_UP_MS = 15_000;
const psutilPython = process.env['PSUTIL_PYTHON'] ?? 'python3';
const directory = mkdtempSync(join(tmpdir(), 'leakline-bench-'));
const children: ChildProcess[] = [];

const start = (command: string, args: readonly string[]): ChildProcess => {
  const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  child.stderr.on('data', (chunk: Buffer) => process.stderr.write(`${command}: ${chunk.toString()}`));
  children.push(child);
  return child;
};

function cpuSeconds(pid: number): number {
  let nanoseconds = 0;
  for (const task of readdirSync(`/proc/${pid}/task`)) {
    nanoseconds += Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'utf8').split(' ')[0]);
  }
  return nanoseconds / 1e9;
}

function mebibytes(pid: number): { rss: number; pss: number; anon: number } {
  const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
  const value = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(rollup)?.[1]) / 1024;
  return { rss: value('Rss'), pss: value('Pss'), anon: value('Anonymous') };
}

const TARGET = 'import time\nb=bytearray(5<<20)\nfor i in range(0,len(b),4096): b[i]=1\nwhile True: time.sleep(3600)';
const PSUTIL = `
import psutil, json, sys, time
ps = [psutil.Process(int(p)) for p in open(sys.argv[1]).read().split()]
every = float(sys.argv[2]); out = open("/dev/null", "w"); due = time.monotonic()
while True:
    for p in ps:
        m = p.memory_info(); out.write(json.dumps({"ts": time.time(), "pid": p.pid, "rss": m.rss, "vms": m.vms}) + "\\n")
    out.flush(); due += every; time.sleep(max(0, due - time.monotonic()))
`;
const NAIVE = `
const fs = require('fs'); const pids = fs.readFileSync(process.argv[1], 'utf8').split(/\\s+/); const out = fs.openSync('/dev/null', 'w');
const look = () => { for (const pid of pids) { const status = fs.readFileSync('/proc/' + pid + '/status', 'utf8'); const sample = { ts: Date.now(), pid };
  for (const line of status.split('\\n')) { const [name, value] = line.split(':'); if (/^(VmRSS|RssAnon|VmSwap|Threads)$/.test(name)) sample[name] = parseInt(value); }
  fs.writeSync(out, JSON.stringify(sample) + '\\n'); } };
look(); setInterval(look, Number(process.argv[2]) * 1000);
`;
const AGENT = `
import { startAgent } from ${JSON.stringify(resolve('services/agent/agent.ts'))};
import { httpTransport } from ${JSON.stringify(resolve('services/agent/transport.ts'))};
const [, , url, directory, intervalSeconds] = process.argv;
const log = { debug() {}, info() {}, warn(fields, message) { console.error(message, fields); } };
startAgent({ transport: httpTransport({ url, token: '' }), intervalMs: Number(intervalSeconds) * 1000, directory, spoolBytes: 64 << 20, log,
  match: /bytearray\\(5<<20\\)/, host: 'bench', identity: { service: '', environment: '', version: '', instance: '' } });
`;

async function main(): Promise<void> {
  let received = 0;
  const sink = createServer((request, response) => {
    request.resume().on('end', () => {
      received++;
      response.writeHead(204).end();
    });
  }).listen(0, '127.0.0.1');
  const targets = Array.from({ length: processes }, () => start('python3', ['-c', TARGET]).pid!);
  const pidFile = join(directory, 'pids');
  writeFileSync(pidFile, targets.join('\n'));
  const entry = join(directory, 'agent.mjs');
  await build({
    stdin: { contents: AGENT, resolveDir: process.cwd(), loader: 'ts' },
    bundle: true,
    platform: 'node',
    format: 'esm',
    outfile: entry,
    logLevel: 'error',
  });
  await sleep(2_000);

  const url = `http://127.0.0.1:${(sink.address() as AddressInfo).port}`;
  const every = String(intervalSeconds);
  const contenders = new Map<string, number>([
    ['leakline agent (all of it: find, sample, spool, gzip, HTTP)', start('node', [entry, url, join(directory, 'state'), every]).pid!],
    ['Node readFileSync(status) loop, fixed pids', start('node', ['-e', NAIVE, pidFile, every]).pid!],
    ['idle Node, setInterval only', start('node', ['-e', 'setInterval(() => {}, 1000)']).pid!],
  ]);
  if (spawnSync(psutilPython, ['-c', 'import psutil']).status === 0) {
    contenders.set('psutil memory_info loop, fixed pids', start(psutilPython, ['-c', PSUTIL, pidFile, every]).pid!);
  } else process.stdout.write('(no psutil here: its row is left out)\n');
  await sleep(WARM_UP_MS);
  const before = new Map([...contenders].map(([name, pid]) => [name, cpuSeconds(pid)]));
  const batchesBefore = received;
  await sleep(seconds * 1000);

  const looks = seconds / intervalSeconds;
  process.stdout.write(
    `| | CPU s per minute | % of a core | CPU s per 1,000 samples | RSS | PSS | anon |\n|---|--:|--:|--:|--:|--:|--:|\n`,
  );
  for (const [name, pid] of contenders) {
    const spent = cpuSeconds(pid) - before.get(name)!;
    const { rss, pss, anon } = mebibytes(pid);
    const perThousand = (spent / (looks * processes)) * 1000;
    const cells = [(spent / seconds) * 60, (spent / seconds) * 100, perThousand].map((value) => value.toFixed(4));
    process.stdout.write(`| ${name} | ${cells.join(' | ')} | ${rss.toFixed(1)} | ${pss.toFixed(1)} | ${anon.toFixed(1)} |\n`);
  }
  process.stdout.write(
    `${processes} processes, every ${intervalSeconds} s, ${seconds} s counted, ${received - batchesBefore} batches arrived\n`,
  );
  sink.closeAllConnections();
  sink.close();
}

try {
  await main();
} finally {
  for (const child of children) child.kill('SIGKILL');
  rmSync(directory, { recursive: true, force: true });
}
