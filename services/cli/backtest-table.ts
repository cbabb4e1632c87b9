/** The table of `leakline backtest`: per service what Leakline would have said and when, beside the rules in use. Pure. */
import Table from 'cli-table3';
import type { BacktestResult } from '../detector/backtest.ts';
import {
  byUrgency,
  comparison,
  countOf,
  firstAlarm,
  moment,
  OUTCOME_WORDS,
  plain,
  rangeOf,
  summaryOf,
  type Summary,
} from '../detector/report-summary.ts';
import type { RuleAlarms } from '../detector/rules-in-use.ts';

/** Every leak is shown; others as long as the table stays readable. */
const MOST_ROWS = 30;
const NAME_WIDTH = 26;
const NO_LEAK = 'no leak found';
/** The reason stands on a line of its own below the figures. */
const REASON_WIDTH = 96;
const INDENT = '  ';
/** No lines: they would be most of the table. */
const NO_BORDERS = Object.fromEntries(
  ['top', 'bottom', 'left', 'right', 'mid'].flatMap((side) =>
    [side, `${side}-mid`, `${side}-left`, `${side}-right`].map((one) => [one, '']),
  ),
);

export function backtestTable(result: BacktestResult, seconds: number): string {
  const summaries = result.services.map(summaryOf).sort(byUrgency);
  const found = summaries.filter(({ account }) => account.opened.length > 0).length;
  const shown = summaries.slice(0, Math.max(MOST_ROWS, found));
  const verdict = found === 0 ? `${NO_LEAK}\n` : '';
  return `${judged(result, seconds)}\n${verdict}${shown.length > 0 ? `${tableOf(shown)}\n` : ''}${rest(summaries.slice(shown.length))}\n${comparison(result.services).join('\n')}\n`;
}

/** One line beside findings that go to a pipe: there no finding and no rows look alike. */
export function backtestLine(result: BacktestResult, seconds: number): string {
  const { length } = result.findings;
  return `${judged(result, seconds)}: ${length === 0 ? NO_LEAK : countOf(length, 'incident')}\n`;
}

function judged({ rows, services }: BacktestResult, seconds: number): string {
  const facts = [countOf(rows, 'row'), countOf(services.length, 'service'), rangeOf(services), `${seconds.toFixed(1)} s`];
  return facts.filter((fact) => fact !== '').join(', ');
}

function tableOf(shown: readonly Summary[]): string {
  const head = ['service', 'Leakline', 'since', 'growth', 'limit', '+15 % in 30 min', 'predict_linear 6h to 24h'];
  const table = new Table({
    head,
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 0 },
    chars: { ...NO_BORDERS, middle: '   ' },
  });
  for (const summary of shown) {
    table.push(
      head.map(() => ''),
      figures(summary),
      [{ content: wrap(summary.reason, REASON_WIDTH), colSpan: head.length }],
    );
  }
  return table.toString().replace(/ +$/gm, '');
}

function figures({ account, name, outcome, judgement, growth, limit }: Summary): string[] {
  const [first] = account.opened;
  const since = judgement?.onsetAt ?? null;
  const more = account.opened.length > 1 ? `, +${String(account.opened.length - 1)}` : '';
  return [
    plain(name, NAME_WIDTH),
    first === undefined ? OUTCOME_WORDS[outcome] : `${OUTCOME_WORDS[outcome]}${more}\n${moment(first.at)}`,
    outcome === 'steady' || since === null ? '' : moment(since),
    growth,
    limit,
    alarms(account.rules.plus15),
    alarms(account.rules.predictLinear),
  ];
}

function alarms(rule: RuleAlarms): string {
  return rule.count === 0 ? 'never' : `${countOf(rule.count, 'alarm')}\n${firstAlarm(rule).replace('first ', '')}`;
}

function wrap(text: string, width: number): string {
  const lines = [''];
  for (const word of text.split(' ')) {
    const line = lines.at(-1) ?? '';
    if (line !== '' && line.length + 1 + word.length > width) lines.push(INDENT + word);
    else lines[lines.length - 1] = line === '' ? INDENT + word : `${line} ${word}`;
  }
  return lines.join('\n');
}

function rest(hidden: readonly Summary[]): string {
  if (hidden.length === 0) return '';
  const counts = new Map<string, number>();
  for (const { outcome } of hidden) counts.set(OUTCOME_WORDS[outcome], (counts.get(OUTCOME_WORDS[outcome]) ?? 0) + 1);
  const parts = [...counts].map(([name, count]) => `${String(count)} ${name}`);
  return `and ${countOf(hidden.length, 'service')} more: ${parts.join(', ')} (--report shows all)\n`;
}
