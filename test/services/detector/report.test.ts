import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { backtestLine, backtestTable } from '../../../services/cli/backtest-table.ts';
import { runBacktest, type BacktestResult } from '../../../services/detector/backtest.ts';
import { policyFor } from '../../../services/detector/policy.ts';
import { ReportCurve } from '../../../services/detector/report-curve.ts';
import { reportHtml } from '../../../services/detector/report-html.ts';
import { reportPicture } from '../../../services/detector/report-picture.ts';
import { renderPng } from '../../../services/notifier/chart-png.ts';
import { launchChromium, watchComplaints } from '../../page/chromium.ts';
import { MB, noise, START } from './series-of.ts';

const folder = mkdtempSync(join(tmpdir(), 'leakline-report-'));
afterAll(() => {
  rmSync(folder, { recursive: true });
});

const DAY = 1440;
const STRANGE = '<script>alert(1)</script>';
/** Leaks from the second day on; jumps by 30 % every night and leaks nothing; steady. */
const LEVELS: Readonly<Record<string, (minute: number) => number>> = {
  calm: (minute) => (300 + 3 * noise(minute)) * MB,
  nightly: (minute) => (300 + (minute % DAY < 60 ? 90 : 0) + 3 * noise(minute)) * MB,
  [STRANGE]: (minute) => (300 + Math.max(0, minute - 2 * DAY) / 3 + 3 * noise(minute)) * MB,
};

let result: BacktestResult;
beforeAll(async () => {
  const file = join(folder, 'history.csv');
  const rows = Object.entries(LEVELS).flatMap(([service, level]) =>
    Array.from(
      { length: 3 * DAY },
      (_, minute) => `${String(START + minute * 60_000)},${service},${service}-0,${String(Math.round(level(minute)))},1000000000`,
    ),
  );
  writeFileSync(file, `time,service,instance,rss,limit\n${rows.join('\n')}\n`);
  result = await runBacktest({ files: [file], stepMs: 300_000, policy: policyFor('production'), withCurves: true });
});

describe('the table', () => {
  it('has every service, the most urgent first, with what each rule would have done', () => {
    const lines = backtestTable(result, 1).split('\n');
    const [leaky, nightly, calm] = [STRANGE, 'nightly', 'calm'].map((name) =>
      lines.findIndex((line) => line.startsWith(name.slice(0, 20))),
    );
    expect(lines[leaky!]).toMatch(/ leak +\d+ \w+ \d\d:\d\d +\d+ MB\/h +in /);
    expect(lines[leaky! + 2]).toContain('keeps growing');
    expect(lines[nightly!]).toMatch(/(steady|growing) +[23] alarms +never/);
    expect(lines[calm!]).toMatch(/steady +never +never/);
    expect([leaky, nightly, calm]).toEqual([leaky, nightly, calm].sort((a, b) => a! - b!));
    expect(lines).toContain('Leakline: 1 incident on 1 service');
    expect(lines.find((line) => line.startsWith('predict_linear'))).toMatch(/1 alarm on 1 service, among them 1 of the 1 that leak/);
  });
});

describe('the line beside findings on a pipe', () => {
  it('tells what was judged, whether or not there is a finding', () => {
    expect(backtestLine(result, 1)).toMatch(/^12,960 rows, 3 services, .+, 1\.0 s: 1 incident\n$/);
    expect(backtestLine({ ...result, findings: [] }, 1)).toMatch(/ 3 services, .+: no leak found\n$/);
  });
});

describe('the report', () => {
  it('opens offline in a browser, complains of nothing and shows curves, finding, limit and alarms', async () => {
    const file = join(folder, 'report.html');
    writeFileSync(file, reportHtml(result));
    const browser = await launchChromium();
    try {
      const context = await browser.newContext({ offline: true });
      const page = await context.newPage();
      const complaints = watchComplaints(page);
      const requests: string[] = [];
      page.on('request', (request) => requests.push(request.url()));
      await page.goto(pathToFileURL(file).href);
      expect(await page.locator('tbody tr td.name').allTextContents()).toEqual([STRANGE, 'nightly', 'calm']);
      const first = page.locator('section.card').first();
      const said = (await first.textContent()) ?? '';
      for (const part of ['keeps growing', 'found ', 'limit 1.0 GB', 'full in ', '+15 %: never', 'predict_linear: 1×'])
        expect(said).toContain(part);
      expect(await page.locator('section.card').count()).toBe(2);
      expect(await page.evaluate('document.documentElement.scrollWidth <= innerWidth')).toBe(true);
      expect(requests).toHaveLength(1);
      expect(complaints).toEqual([]);
    } finally {
      await browser.close();
    }
  });

  it('stays small', () => {
    expect(reportHtml(result).length).toBeLessThan(60_000);
  });

  it('is a picture too', async () => {
    const png = await renderPng(reportPicture(result));
    expect(png.subarray(1, 4).toString()).toBe('PNG');
    expect(png.readUInt32BE(16)).toBe(2 * (760 + 48));
    expect(reportPicture(result)).not.toContain('<script>');
  });
});

describe('a curve', () => {
  it('keeps its lowest and highest values in a bounded number of points, however long it is', () => {
    const curve = new ReportCurve();
    for (let minute = 0; minute < 400 * DAY; minute += 1)
      curve.add(START + minute * 60_000, minute === 77_777 ? 900 : minute === 222_222 ? 100 : 500);
    const { time, bytes } = curve.points();
    expect(time.length).toBeLessThanOrEqual(512);
    expect([Math.min(...bytes), Math.max(...bytes)]).toEqual([100, 900]);
    expect(time.every((at, index) => index === 0 || at > time[index - 1]!)).toBe(true);
    expect(time.at(-1)! - time[0]!).toBeGreaterThan(398 * DAY * 60_000);
  });
});
