/** `leakline backtest`: what would have been found in a history, and when, beside what the rules in use would have said. */
import { writeFileSync } from 'node:fs';
import { systemClock } from '../../shared/clock.ts';
import type { Config } from '../../shared/config.ts';
import { LeaklineError } from '../../shared/errors.ts';
import { backtestRows, type BacktestResult } from '../detector/backtest.ts';
import { policyFor } from '../detector/policy.ts';
import { reportHtml } from '../detector/report-html.ts';
import { reportPicture } from '../detector/report-picture.ts';
import { renderPng } from '../notifier/chart-png.ts';
import { durationOf, sourceOf, type SourceFlags } from './backtest-source.ts';
import { createProgress } from './backtest-progress.ts';
import { backtestLine, backtestTable } from './backtest-table.ts';

export interface BacktestFlags extends SourceFlags {
  readonly step: string;
  readonly out?: string;
  readonly json?: boolean;
  /** .html or .png. */
  readonly report?: string;
}

export async function runBacktestCommand(config: Config, files: readonly string[], flags: BacktestFlags): Promise<void> {
  const stepMs = durationOf('--step', flags.step);
  if (flags.report !== undefined && !/\.(html?|png)$/i.test(flags.report))
    throw new LeaklineError('LKL_ERR_USAGE', `--report ${flags.report}: must end in .html or .png`);
  const startedAt = performance.now();
  const source = sourceOf(flags, files, config.backtest.prometheusToken, systemClock.now());
  const progress = createProgress(process.stderr, () => performance.now());
  const result = await backtestRows(source, {
    stepMs,
    policy: policyFor(config.profile, config.detector.alerts),
    withCurves: flags.report !== undefined,
    onProgress: (state) => progress.show(state),
  }).finally(() => progress.clear());

  const lines = result.findings.map((finding) => `${JSON.stringify(finding)}\n`).join('');
  if (flags.out !== undefined) writeFileSync(flags.out, lines);
  if (flags.report !== undefined)
    writeFileSync(flags.report, /png$/i.test(flags.report) ? await renderPng(reportPicture(result)) : reportHtml(result));
  const seconds = (performance.now() - startedAt) / 1000;
  if (flags.json === true || (flags.out === undefined && !process.stdout.isTTY)) {
    process.stdout.write(lines);
    process.stderr.write(backtestLine(result, seconds));
  } else process.stdout.write(backtestTable(result, seconds));
  process.stderr.write(leftOut(result));
}

/** Good data beside bad is judged, and what was left out is told. */
function leftOut(result: BacktestResult): string {
  const lines: string[] = [];
  if (result.skipped > 0)
    lines.push(`${result.skipped} of ${result.rows + result.skipped} rows were left out; the first: ${result.firstSkipped}`);
  if (result.repeated > 0) lines.push(`${result.repeated} rows repeat a time of their instance; the first of each was taken`);
  if (result.conflicting > 0) {
    lines.push(
      `${result.conflicting} of them say something else; the first: ${result.firstConflict}. If these are two processes, give each its own instance`,
    );
  }
  const blind = result.services.reduce((sum, { rowsWithoutMemory }) => sum + rowsWithoutMemory, 0);
  if (blind > 0) lines.push(`${blind} rows have no memory reading`);
  return lines.map((line) => `${line}\n`).join('');
}
