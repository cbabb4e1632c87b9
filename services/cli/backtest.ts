/** `leakline backtest`: what would have been found in a history, and when. */
import { writeFileSync } from 'node:fs';
import Table from 'cli-table3';
import ms, { type StringValue } from 'ms';
import { bytesText } from '../../shared/bytes-text.ts';
import type { Config } from '../../shared/config.ts';
import { LeaklineError } from '../../shared/errors.ts';
import type { Judgement } from '../../shared/judgement.ts';
import { runBacktest, type BacktestResult, type Finding } from '../detector/backtest.ts';
import { policyFor } from '../detector/policy.ts';

interface BacktestFlags {
  readonly files: readonly string[];
  readonly step: string;
  readonly out: string | undefined;
  readonly json: boolean;
}

/** Progress on a terminal only, at most ten times a second. */
const PROGRESS_INTERVAL_MS = 100;

export async function runBacktestCommand(config: Config, flags: BacktestFlags): Promise<void> {
  const stepMs = ms(flags.step as StringValue);
  if (!Number.isFinite(stepMs) || stepMs <= 0)
    throw new LeaklineError('LKL_ERR_USAGE', `--step ${flags.step}: must be a duration such as 5m`);
  const startedAt = performance.now();
  let shownAt = 0;
  const onProgress = ({ file, bytesRead, bytesTotal, rows }: { file: string; bytesRead: number; bytesTotal: number; rows: number }) => {
    const now = performance.now();
    if (!process.stderr.isTTY || now - shownAt < PROGRESS_INTERVAL_MS) return;
    shownAt = now;
    const share = bytesTotal === 0 ? 1 : bytesRead / bytesTotal;
    const left = share > 0 ? ((now - startedAt) / share - (now - startedAt)) / 1000 : 0;
    const bar = '█'.repeat(Math.round(share * 24)).padEnd(24, '░');
    process.stderr.write(
      `\r${bar} ${Math.round(share * 100)} % of ${file} · ${rows.toLocaleString('en')} rows · ${Math.round(rows / ((now - startedAt) / 1000)).toLocaleString('en')} rows/s · ${Math.ceil(left)} s left \u001b[K`,
    );
  };
  const result = await runBacktest({ files: flags.files, stepMs, policy: policyFor(config.profile, config.detector.alerts), onProgress });
  if (process.stderr.isTTY) process.stderr.write('\r\u001b[K');

  const lines = result.findings.map((finding) => `${JSON.stringify(finding)}\n`).join('');
  if (flags.out !== undefined) writeFileSync(flags.out, lines);
  if (flags.json || (flags.out === undefined && !process.stdout.isTTY)) process.stdout.write(lines);
  else process.stdout.write(describe(result, (performance.now() - startedAt) / 1000));
  if (result.skipped > 0)
    process.stderr.write(`${result.skipped} of ${result.rows + result.skipped} rows were left out; the first: ${result.firstSkipped}\n`);
}

function describe(result: BacktestResult, seconds: number): string {
  const services = new Set(result.judgements.map(({ service, environment }) => JSON.stringify([service, environment]))).size;
  const head = `${result.rows.toLocaleString('en')} rows, ${services} service${services === 1 ? '' : 's'}, ${seconds.toFixed(1)} s\n`;
  if (result.findings.length === 0) return `${head}no leak found\n${others(result.judgements)}`;
  const table = new Table({
    head: ['service', 'found', 'growth', 'runs out', 'kind', 'sure', 'because'],
    style: { head: [], border: [] },
    colWidths: [null, 18, null, 18, null, null, 60],
    wordWrap: true,
  });
  for (const finding of result.findings) table.push(row(finding));
  return `${head}${table.toString()}\n${others(result.judgements)}`;
}

const minute = (iso: string) => iso.slice(0, 16).replace('T', ' ');

function row(finding: Finding): string[] {
  return [
    finding.service,
    minute(finding.detectedAt),
    `${bytesText(finding.slopeBytesPerHour)}/h`,
    finding.exhaustsAt === null ? 'no limit known' : minute(finding.exhaustsAt),
    finding.kind,
    `${Math.round(finding.confidence * 100)} %`,
    finding.reason,
  ];
}

/** One line per other verdict, so that silence is explained too. */
function others(judgements: readonly Judgement[]): string {
  const counts = new Map<string, number>();
  for (const { verdict, reason } of judgements) {
    if (verdict !== 'leak') counts.set(`${verdict} (${reason})`, (counts.get(`${verdict} (${reason})`) ?? 0) + 1);
  }
  const parts = [...counts].sort((a, b) => b[1] - a[1]).map(([name, count]) => `${count} ${name}`);
  return parts.length === 0 ? '' : `at the end: ${parts.join(', ')}\n`;
}
