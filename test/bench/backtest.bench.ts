/**
 * Rows per CPU-second of `leakline backtest` as a whole process, its start included: `npm run build && npx tsx test/bench/backtest.bench.ts`.
 * A million rows of ten ordinary services: five replicas, a sample a minute for two weeks, in order of time. A row of the result for
 * reading alone too, so that it shows what judging costs.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readHistory } from '../../services/detector/history-file.ts';

const MAIN = join(import.meta.dirname, '../../dist/services/main.js');
const MINUTES = 14 * 1440;
const [SERVICES, REPLICAS] = [10, 5];
const RUNS = 3;

async function generate(file: string): Promise<void> {
  let seed = 12_345;
  const random = (): number => (seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0) / 2 ** 32;
  const replicas = Array.from({ length: SERVICES * REPLICAS }, () => ({ level: 2e8 + random() * 3e8, wander: 0 }));
  const out = createWriteStream(file);
  out.write('time,service,instance,rss,limit\n');
  for (let minute = 0; minute < MINUTES; minute += 1) {
    let text = '';
    for (const [index, replica] of replicas.entries()) {
      replica.wander = 0.95 * replica.wander + (random() - 0.5) * 4e6;
      const rss = replica.level + 8e7 * (1 - Math.exp(-minute / 90)) + replica.wander + 2e7 * Math.sin((2 * Math.PI * minute) / 1440);
      const service = `svc-${String(Math.floor(index / REPLICAS))}`;
      text += `${String(1_760_000_000 + minute * 60)},${service},${service}-${String(index % REPLICAS)}-0,${String(Math.round(rss))},1000000000\n`;
    }
    if (!out.write(text)) await once(out, 'drain');
  }
  out.end();
  await once(out, 'finish');
}

/** Reading alone, in a child of its own: `backtest.bench.ts FILE`. */
async function readOnly(file: string): Promise<void> {
  await readHistory(file, () => undefined, { rows: 0, skipped: 0, firstSkipped: '' });
}

/** CPU-seconds of a whole child process. */
async function cpuSecondsOf(module: string, args: readonly string[], execArgv: string[]): Promise<number> {
  const child = fork(module, [...args], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'], execArgv });
  const used = once(child, 'message') as Promise<[NodeJS.CpuUsage]>;
  const [{ user, system }] = await used;
  return (user + system) / 1e6;
}

/** Loaded into the child: tells at its end what it used. */
const TELL = `data:text/javascript,process.on('exit', () => process.send(process.cpuUsage()))`;

async function main(): Promise<void> {
  const [file] = process.argv.slice(2);
  if (file !== undefined) return readOnly(file);
  const folder = mkdtempSync(join(tmpdir(), 'leakline-bench-'));
  const history = join(folder, 'history.csv');
  try {
    await generate(history);
    const rows = MINUTES * SERVICES * REPLICAS;
    const cases: Readonly<Record<string, () => Promise<number>>> = {
      'leakline backtest': () => cpuSecondsOf(MAIN, ['backtest', history], ['--import', TELL]),
      'reading alone (and tsx)': () => cpuSecondsOf(import.meta.filename, [history], ['--import', 'tsx', '--import', TELL]),
    };
    for (const [name, run] of Object.entries(cases)) {
      const seconds: number[] = [];
      for (let index = 0; index < RUNS; index += 1) seconds.push(await run());
      const [best, worst] = [Math.min(...seconds), Math.max(...seconds)];
      console.log(
        JSON.stringify({
          case: name,
          rows,
          cpuSeconds: [best, worst],
          rowsPerCpuSecond: [Math.round(rows / worst), Math.round(rows / best)],
        }),
      );
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

await main();
