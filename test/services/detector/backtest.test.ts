import { execFileSync, fork } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { runBacktest } from '../../../services/detector/backtest.ts';
import { createDetector } from '../../../services/detector/detector.ts';
import { policyFor } from '../../../services/detector/policy.ts';
import { summaryOf } from '../../../services/detector/report-summary.ts';
import type { IncidentEvent } from '../../../shared/incident.ts';
import { MB, noise, seriesOf, START } from './series-of.ts';

const folder = mkdtempSync(join(tmpdir(), 'leakline-backtest-'));
afterAll(() => {
  rmSync(folder, { recursive: true });
});

const MINUTE = 60_000;
const DAY = 1440;
const policy = policyFor('production');
const stepMs = 5 * MINUTE;

/** Two days flat, then 20 MB/h from 300 MB towards a limit of 1 GB. */
const leaking = (minute: number) => (300 + Math.max(0, minute - 2 * DAY) * (20 / 60) + 3 * noise(minute)) * MB;
const flat = (minute: number) => (300 + 3 * noise(minute)) * MB;

function lines(service: string, level: (minute: number) => number, days: number): string[] {
  return Array.from(
    { length: days * DAY },
    (_, minute) => `${String((START + minute * MINUTE) / 1000)},${service},${service}-0-0,${String(Math.round(level(minute)))},1000000000`,
  );
}

async function backtest(name: string, rows: readonly string[]) {
  const file = join(folder, name);
  writeFileSync(file, `time,service,instance,rss,limit\n${rows.join('\n')}\n`);
  return runBacktest({ files: [file], stepMs, policy });
}

interface ChildResult {
  readonly rows: number;
  readonly findings: readonly unknown[];
  readonly peakRssBytes: number;
}

/** A stream of so many megabytes, with the labels that exporters add, judged in a process of its own. */
async function child(name: string, megabytes: number): Promise<ChildResult> {
  const pipe = join(folder, `${name}.csv`);
  execFileSync('mkfifo', [pipe]);
  const process = fork(join(import.meta.dirname, 'backtest-child.ts'), [pipe], { execArgv: ['--import', import.meta.resolve('tsx')] });
  const answer = once(process, 'message') as Promise<[ChildResult]>;
  const out = createWriteStream(pipe);
  out.write('time,labels,service,instance,rss,limit\n');
  const labels = `"{cluster=""eu-1"", node=""${'n'.repeat(480)}""}"`;
  for (let minute = 0, bytes = 0; bytes < megabytes * 1e6; minute += 10) {
    let text = '';
    for (let later = minute; later < minute + 10; later += 1) {
      const time = String((START + later * MINUTE) / 1000);
      for (let replica = 0; replica < 10; replica += 1)
        text += `${time},${labels},shop,shop-${String(replica)}-0,${String(Math.round(replica === 3 ? leaking(later) : flat(later + replica * 977)))},1000000000\n`;
    }
    bytes += text.length;
    if (!out.write(text)) await once(out, 'drain');
  }
  out.end();
  const [result] = await answer;
  return result;
}

describe('runBacktest', () => {
  it('finds the leak once, after its onset, and says nothing of the flat service', async () => {
    const { findings, rows } = await backtest('both.csv', [...lines('leaky', leaking, 3), ...lines('flat', flat, 3)]);
    expect(rows).toBe(2 * 3 * DAY);
    expect(findings).toHaveLength(1);
    const [finding] = findings;
    expect(finding).toMatchObject({ service: 'leaky', instances: ['leaky-0-0'], kind: 'unknown' });
    const share = (Date.parse(finding?.detectedAt ?? '') - START - 2 * DAY * MINUTE) / (35 * 60 * MINUTE);
    expect(share).toBeGreaterThan(0);
    expect(share).toBeLessThan(0.2);
    expect(finding?.slopeLow).toBeLessThan(20 * MB);
    expect(finding?.slopeHigh).toBeGreaterThan(20 * MB);
    expect(Math.abs(Date.parse(finding?.exhaustsAt ?? '') - START - (2 * DAY + 35 * 60) * MINUTE)).toBeLessThan(5 * 60 * MINUTE);
  });

  it('says the same whatever the order of the rows', async () => {
    const rows = lines('leaky', leaking, 3);
    const sorted = await backtest('sorted.csv', rows);
    const shuffled = await backtest('reversed.csv', [...rows].reverse());
    expect(shuffled.findings).toEqual(sorted.findings);
  });

  it('takes the used heap for live where a column says that the runtime counts references', async () => {
    const history = async (runtime: string) => {
      const file = join(folder, `${runtime}.csv`);
      const rows = lines('shop', (minute) => (100 + minute / 8) * MB, 3).map(
        (row, minute) => `${row},${String(minute * 120_000)},${runtime}`,
      );
      writeFileSync(file, `time,service,instance,rss,limit,heap_used,runtime\n${rows.join('\n')}\n`);
      const { findings } = await runBacktest({ files: [file], stepMs, policy });
      return findings[0]?.detectedAt ?? 'never';
    };
    expect(await history('jvm')).toBe('never');
    expect(Date.parse(await history('Python'))).toBeLessThan(START + 2.5 * DAY * MINUTE);
  });

  it('sorts rows that come a little late, as collectors send them', async () => {
    const rows = lines('leaky', leaking, 3);
    const late = rows.map((_, index) => rows[index ^ 1] as string);
    expect(late).not.toEqual(rows);
    expect((await backtest('late.csv', late)).findings).toEqual((await backtest('in-time.csv', rows)).findings);
  });

  it('sorts more rows than it holds in memory', async () => {
    // One file per replica, one after the other, as most systems export them; a sample every ten seconds.
    const [days, perDay] = [11, 8640];
    const replicas = Array.from({ length: 3 }, (_, replica) =>
      Array.from({ length: days * perDay }, (__, index) => {
        const level = replica === 1 ? leaking(index / 6 - 5 * DAY) : flat(index / 6 + replica * 977);
        return `${String(START / 1000 + index * 10)},shop,shop-${String(replica)}-0,${String(Math.round(level))},1500000000`;
      }),
    );
    mkdirSync(join(folder, 'replicas'));
    for (const [replica, rows] of replicas.entries())
      writeFileSync(join(folder, 'replicas', `${String(replica)}.csv`), `time,service,instance,rss,limit\n${rows.join('\n')}\n`);
    const sorted = replicas[0]?.flatMap((_, index) => replicas.map((rows) => rows[index] as string)) ?? [];
    const inOrder = await backtest('in-order.csv', sorted);
    const byReplica = await runBacktest({ files: [join(folder, 'replicas')], stepMs, policy });
    expect(byReplica.rows).toBe(3 * days * perDay);
    expect(byReplica.findings).toEqual(inOrder.findings);
    expect(byReplica.findings.map(({ instances }) => instances)).toEqual([['shop-1-0']]);
  });

  it('does not change its mind when every row is there twice', async () => {
    const rows = lines('leaky', leaking, 3);
    const doubled = await backtest(
      'doubled.csv',
      rows.flatMap((row) => [row, row]),
    );
    expect(doubled.findings).toEqual((await backtest('once.csv', rows)).findings);
    expect(doubled).toMatchObject({ repeated: rows.length, conflicting: 0 });
  });

  it('tells when two processes hide behind one instance', async () => {
    const rows = lines('shop', flat, 1);
    const { repeated, conflicting, firstConflict } = await backtest(
      'two.csv',
      rows.flatMap((row) => [row, row.replace(/,\d+,1000000000$/, ',77,1000000000')]),
    );
    expect({ repeated, conflicting }).toEqual({ repeated: DAY, conflicting: DAY });
    expect(firstConflict).toMatch(/service "shop", instance "shop-0-0" at .*: \d+ and 77 bytes/);
  });

  it('says of a service without a memory reading that there was none', async () => {
    const { services, findings } = await backtest(
      'blind.csv',
      lines('shop', flat, 1).map((row) => row.replace(/,\d+,1000000000$/, ',,1000000000')),
    );
    expect(findings).toEqual([]);
    expect(services[0]).toMatchObject({ rows: DAY, rowsWithoutMemory: DAY });
    expect(summaryOf(services[0]!)).toMatchObject({ outcome: 'unread', reason: 'no row has a memory reading' });
  });

  it('is not held up by one row from the end of the century', async () => {
    const rows = lines('leaky', leaking, 3);
    const { findings } = await backtest('far.csv', [...rows, '4000000000,leaky,leaky-0-0,1,1000000000']);
    expect(findings).toHaveLength(1);
  });

  it('judges a folder, and refuses one without histories', async () => {
    const tree = join(folder, 'tree', 'deeper');
    mkdirSync(tree, { recursive: true });
    writeFileSync(join(folder, 'tree', 'readme.txt'), 'no history');
    writeFileSync(join(folder, 'tree', 'flat.csv'), `time,service,instance,rss,limit\n${lines('flat', flat, 1).join('\n')}\n`);
    writeFileSync(join(tree, 'leaky.csv'), `time,service,instance,rss,limit\n${lines('leaky', leaking, 3).join('\n')}\n`);
    const { services, findings } = await runBacktest({ files: [join(folder, 'tree')], stepMs, policy });
    expect(services.map(({ service }) => service).sort()).toEqual(['flat', 'leaky']);
    expect(findings).toHaveLength(1);
    mkdirSync(join(folder, 'empty'));
    await expect(runBacktest({ files: [join(folder, 'empty')], stepMs, policy })).rejects.toThrow(/no history file; expected \.csv/);
    await expect(runBacktest({ files: [join(folder, 'absent.csv')], stepMs, policy })).rejects.toThrow(/cannot read .*absent\.csv: ENOENT/);
  });

  it('reads a pipe once, and says so where the rows would have to be sorted', async () => {
    const pipe = join(folder, 'pipe');
    execFileSync('mkfifo', [pipe]);
    const rows = lines('leaky', leaking, 3);
    const through = async (some: readonly string[]) => {
      const writing = createWriteStream(pipe);
      // The reader may refuse before everything is written.
      writing.on('error', () => undefined);
      writing.end(`time,service,instance,rss,limit\n${some.join('\n')}\n`);
      return runBacktest({ files: [pipe], stepMs, policy });
    };
    expect((await through(rows)).findings).toHaveLength(1);
    await expect(through([...rows].reverse())).rejects.toThrow(/not in order of time, and a pipe cannot be read twice/);
  });

  it('takes the same memory for hundreds of megabytes as for a few', async () => {
    const small = await child('small', 12);
    const large = await child('large', 400);
    expect(large.rows).toBeGreaterThan(20 * small.rows);
    expect(large.findings).toHaveLength(1);
    expect(large.peakRssBytes - small.peakRssBytes).toBeLessThan(80e6);
  }, 180_000);

  it('finds it at the same moment as the detector that watches live', async () => {
    const { findings } = await backtest('live.csv', lines('leaky', leaking, 3));
    const series = seriesOf({
      blockMs: MINUTE,
      count: 3 * DAY,
      identity: { service: 'leaky', instance: 'leaky-0-0', lifetime: 'leaky-0-0' },
      columns: { rssMin: (minute) => Math.round(leaking(minute)), memoryLimitLast: () => 1e9 },
    });
    const events: IncidentEvent[] = [];
    const detector = createDetector({
      policy,
      ports: {
        async *readSeries({ from, to }) {
          await Promise.resolve();
          const first = series.time.findIndex((time) => time >= from);
          const end = series.time.findIndex((time) => time >= to);
          const cut = (column: Float64Array) => column.slice(first, end < 0 ? undefined : end);
          const columns = Object.fromEntries(
            Object.entries(series.columns).map(([name, column]) => [name, cut(column)]),
          ) as typeof series.columns;
          yield [{ ...series, time: cut(series.time), columns }];
        },
        readIncidentEvents: () => Promise.resolve(events),
        appendIncidentEvents: (more) => Promise.resolve(void events.push(...more)),
        saveJudgements: () => Promise.resolve(),
        readJudgedThrough: () => Promise.resolve(undefined),
        saveJudgedThrough: () => Promise.resolve(),
      },
    });
    for (let minute = 5; minute <= 3 * DAY; minute += 5) {
      // What had not arrived is not seen: the watermark trails the clock.
      await detector.evaluate(START + minute * MINUTE + policy.latenessMs);
    }
    const opened = events.filter(({ type }) => type === 'opened');
    expect(opened).toHaveLength(1);
    expect(opened[0]?.at).toBe(Date.parse(findings[0]?.detectedAt ?? ''));
  });

  it('refuses a step of nothing', async () => {
    await expect(runBacktest({ files: [], stepMs: 0, policy })).rejects.toThrow(/step 0 ms/);
  });
});
