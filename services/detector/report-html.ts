/** The report of a backtest as one HTML file that needs nothing beside it: no script, no font, no address. Pure. */
import { chartSvg, escapeXml } from '../../shared/chart.ts';
import type { BacktestResult } from './backtest.ts';
import { reportChart } from './report-chart.ts';
import { REPORT_STYLE } from './report-style.ts';
import {
  alarmsOf,
  byUrgency,
  comparison,
  countOf,
  firstAlarm,
  moment,
  OUTCOME_WORDS,
  rangeOf,
  summaryOf,
  type Summary,
} from './report-summary.ts';
import type { RuleAlarms } from './rules-in-use.ts';

/** Services drawn at full size; the others are lines of the table. */
const MOST_CHARTS = 60;
const MOST_LINES = 1000;
const SPARK = { width: 132, height: 26 };

export function reportHtml(result: BacktestResult): string {
  const summaries = result.services.map(summaryOf).sort(byUrgency);
  const drawn = drawnOf(summaries);
  const hidden = Math.max(0, summaries.length - MOST_LINES);
  return [
    '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">',
    `<title>Leakline backtest</title><style>${REPORT_STYLE}</style></head><body><main>`,
    `<header><h1>What Leakline would have said</h1><p>${escapeXml(subtitle(result))}</p></header>`,
    tiles(result),
    `<h2>Services, most urgent first</h2><div class="scroll"><table><thead><tr>${HEADS.map((head) => `<th>${head}</th>`).join('')}</tr></thead><tbody>`,
    ...summaries.slice(0, MOST_LINES).map((summary) => line(summary, drawn.indexOf(summary))),
    `</tbody></table></div>${hidden === 0 ? '' : `<p>and ${countOf(hidden, 'service')} more that stay calm</p>`}`,
    ...drawn.map(card),
    `<footer>${FOOTNOTE}</footer></main></body></html>\n`,
  ].join('\n');
}

/** Every service that somebody would have been called for, and those that are not settled. */
export function drawnOf(summaries: readonly Summary[]): Summary[] {
  return summaries
    .filter(({ outcome, account }) => (outcome !== 'steady' && outcome !== 'unread') || alarmsOf(account) > 0)
    .slice(0, MOST_CHARTS);
}

const HEADS = ['service', '', 'Leakline', 'since', 'growth', 'limit', '+15 % in 30 min', 'predict_linear'];

const FOOTNOTE =
  'Walked forward: at each step only what was then known is seen. “limit” counts from the moment of the finding. ' +
  '+15 % in 30 min: memory against half an hour before, by blocks of five minutes. predict_linear: the line through six hours meets the ' +
  'limit within a day, for an hour. Both re-arm after six quiet hours. All times are UTC.';

export function subtitle({ rows, services, skipped }: BacktestResult): string {
  const left = skipped === 0 ? '' : `${countOf(skipped, 'row')} left out`;
  const facts = [`${countOf(rows, 'row')} of ${countOf(services.length, 'service')}`, rangeOf(services), left];
  return facts.filter((fact) => fact !== '').join(' · ');
}

function tiles({ services }: BacktestResult): string {
  const boxes = comparison(services).map((text, index) => {
    const [name = '', figures = ''] = text.split(/: (.*)/s);
    const [big = '', ...rest] = figures.split(/ (?=on )|, (?=among)/);
    return `<div class="tile${index === 0 ? ' ours' : ''}"><b>${escapeXml(big)}</b><span>${escapeXml(name)}</span><small>${escapeXml(rest.join(', '))}</small></div>`;
  });
  return `<section class="tiles">${boxes.join('')}</section>`;
}

function line(summary: Summary, index: number): string {
  const { account, name, outcome, judgement, growth, limit, reason } = summary;
  const title = index < 0 ? escapeXml(name) : `<a href="#s${String(index)}">${escapeXml(name)}</a>`;
  const first = account.opened[0];
  const since = outcome === 'steady' ? null : (judgement?.onsetAt ?? null);
  const said = `<span class="chip ${outcome}">${OUTCOME_WORDS[outcome]}</span>${first === undefined ? '' : `<br>${moment(first.at)}`}`;
  const cells = [
    `<td class="name" title="${escapeXml(reason)}">${title}</td>`,
    `<td>${spark(account.curves.find(({ instance }) => first?.instances.includes(instance) === true) ?? account.curves.at(-1))}</td>`,
    `<td>${said}</td>`,
    ...[since === null ? '' : moment(since), growth, limit].map((text) => `<td>${escapeXml(text)}</td>`),
    alarmCell(account.rules.plus15),
    alarmCell(account.rules.predictLinear),
  ];
  return `<tr>${cells.join('')}</tr>`;
}

function alarmCell(rule: RuleAlarms): string {
  return rule.count === 0
    ? '<td class="never">never</td>'
    : `<td>${countOf(rule.count, 'alarm')}<br><small>${firstAlarm(rule)}</small></td>`;
}

function spark(curve: { readonly time: readonly number[]; readonly bytes: readonly number[] } | undefined): string {
  if (curve === undefined || curve.time.length < 2) return '';
  const { time, bytes } = curve;
  const [low, high] = [Math.min(...bytes), Math.max(...bytes)];
  const [from, to] = [time[0]!, time.at(-1)!];
  // A flat line is to look flat: noise is not blown up to the full height.
  const span = Math.max(high - low, 0.25 * high, 1);
  const step = Math.ceil(time.length / SPARK.width);
  const points = time.flatMap((at, index) => {
    if (index % step !== 0) return [];
    const x = (SPARK.width * (at - from)) / (to - from);
    const y = SPARK.height - 2 - ((SPARK.height - 4) * (bytes[index]! - low)) / span;
    return [`${x.toFixed(0)} ${y.toFixed(1)}`];
  });
  return `<svg class="spark" width="${String(SPARK.width)}" height="${String(SPARK.height)}"><path d="M${points.join('L')}"/></svg>`;
}

function card(summary: Summary, index: number): string {
  const { account, outcome, reason } = summary;
  const more = account.opened.length > 1 ? ` It was found ${String(account.opened.length)} times.` : '';
  const over = outcome === 'was-leak' && account.resolvedAt.length > 0 ? ` It was over on ${moment(account.resolvedAt.at(-1) ?? 0)}.` : '';
  return (
    `<section class="card" id="s${String(index)}"><p><span class="chip ${outcome}">${OUTCOME_WORDS[outcome]}</span> ` +
    `${escapeXml(reason)}.${more}${over}</p>${chartSvg(reportChart(summary))}</section>`
  );
}
