import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { runBacktest } from '../../../services/detector/backtest.ts';
import { createDetector } from '../../../services/detector/detector.ts';
import { policyFor } from '../../../services/detector/policy.ts';
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

  it('does not change its mind when every row is there twice', async () => {
    const rows = lines('leaky', leaking, 3);
    const doubled = await backtest(
      'doubled.csv',
      rows.flatMap((row) => [row, row]),
    );
    expect(doubled.findings).toEqual((await backtest('once.csv', rows)).findings);
  });

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
        readSeries: ({ from, to }) => {
          const first = series.time.findIndex((time) => time >= from);
          const end = series.time.findIndex((time) => time >= to);
          const cut = (column: Float64Array) => column.slice(first, end < 0 ? undefined : end);
          const columns = Object.fromEntries(
            Object.entries(series.columns).map(([name, column]) => [name, cut(column)]),
          ) as typeof series.columns;
          return Promise.resolve([{ ...series, time: cut(series.time), columns }]);
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
