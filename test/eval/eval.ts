/** `npm run eval`: scores the detector and the rules people use today on the same histories, and writes docs/detection.md. */
import { execFileSync, fork } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { caseIds, setOf, type Part } from './corpus.ts';
import type { Job, Results } from './eval-worker.ts';
import { renderReport, SETS } from './report.ts';
import { scoreOf, type Outcome } from './score.ts';

const { values: flags } = parseArgs({
  options: {
    part: { type: 'string', default: 'dev' },
    count: { type: 'string', default: '8' },
    family: { type: 'string', default: '.' },
    rivals: { type: 'boolean', default: false },
    write: { type: 'boolean', default: false },
    show: { type: 'boolean', default: false },
    pods: { type: 'string', default: join(import.meta.dirname, 'pods', 'nezha.csv.gz') },
    workers: { type: 'string', default: '2' },
  },
});

/** Deals the cases out to child processes, so that two cores are used. */
async function evaluate(part: Part, count: number): Promise<Results> {
  const ids = caseIds(part, count).filter(({ family }) => new RegExp(flags.family).test(family));
  const workers = Math.max(1, Number(flags.workers));
  const parts = await Promise.all(
    Array.from({ length: workers }, (_, worker) => {
      const child = fork(join(import.meta.dirname, 'eval-worker.ts'), { execArgv: process.execArgv });
      return new Promise<Results>((resolve, reject) => {
        child.on('message', (results: Results) => {
          resolve(results);
        });
        child.on('error', reject);
        child.on('exit', (code) => {
          reject(new Error(`worker ended with ${String(code)}`));
        });
        const job: Job = {
          ids: ids.filter((__, index) => index % workers === worker),
          rivals: flags.rivals,
          pods: worker === 0 ? flags.pods : '',
          programs: worker === workers - 1 && new RegExp(flags.family).test('leak in a real program') ? part : undefined,
        };
        child.send(job);
      });
    }),
  );
  const merged: Results = {};
  for (const results of parts) for (const [name, outcomes] of Object.entries(results)) (merged[name] ??= []).push(...outcomes);
  return merged;
}

const percent = (value: number) => (Number.isNaN(value) ? '–' : `${(100 * value).toFixed(0)} %`);
const two = (value: number) => (Number.isNaN(value) ? '–' : value.toFixed(2));

function lineOf(name: string, outcomes: readonly Outcome[]): string {
  const score = scoreOf(outcomes);
  const leaks = outcomes.filter((one) => one.leaks).length;
  return `${name.padEnd(46)} n ${String(outcomes.length).padStart(4)}  F1 ${two(score.f1)}  P ${two(score.precision)}  R ${leaks > 0 ? two(score.recall) : '   –'}  FA/100sw ${score.falseAlarmsPer100Weeks.toFixed(1).padStart(6)}  TTD ${two(score.medianDelay)} / ${two(score.p90Delay)}  kind ${percent(score.kindRight)}  cover ${percent(score.covered)}`;
}

function byFamily(outcomes: readonly Outcome[]): Map<string, Outcome[]> {
  const families = new Map<string, Outcome[]>();
  for (const outcome of outcomes) {
    const list = families.get(outcome.family) ?? [];
    list.push(outcome);
    families.set(outcome.family, list);
  }
  return families;
}

const results = await evaluate(flags.part as Part, Number(flags.count));
for (const set of SETS) {
  for (const [name, outcomes] of Object.entries(results)) {
    const own = outcomes.filter(({ family }) => setOf(family) === set);
    if (own.length > 0) process.stdout.write(`${lineOf(`${set}: ${name}`, own)}\n`);
  }
}
for (const [name, outcomes] of Object.entries(results)) process.stdout.write(`${lineOf(name, outcomes)}\n`);
const mine = results['leakline'] ?? [];
process.stdout.write('\n');
for (const [family, outcomes] of [...byFamily(mine)].sort(([a], [b]) => (a < b ? -1 : 1)))
  process.stdout.write(`${lineOf(`  ${family}`, outcomes)}\n`);
if (flags.show) {
  for (const one of mine) {
    if (one.falseAlarms > 0 || (one.leaks && !one.found))
      process.stdout.write(`${one.leaks && !one.found ? 'MISS ' : 'FALSE'} ${one.name}: ${one.notes}\n`);
  }
}
if (flags.write) {
  const root = join(import.meta.dirname, '..', '..');
  const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { cwd: root, encoding: 'utf8' }).trim();
  const date = new Date().toISOString().slice(0, 10);
  writeFileSync(
    join(root, 'docs', 'detection.md'),
    renderReport(results, { part: flags.part, perFamily: Number(flags.count), date, commit }),
  );
}
