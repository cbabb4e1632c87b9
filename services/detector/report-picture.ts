/** The report of a backtest as one SVG, to be made a PNG: the most urgent services one below the other. Pure. */
import { chartHeight, chartSvg, escapeXml } from '../../shared/chart.ts';
import type { BacktestResult } from './backtest.ts';
import { reportChart } from './report-chart.ts';
import { drawnOf, subtitle } from './report-html.ts';
import { byUrgency, comparison, countOf, summaryOf } from './report-summary.ts';

const WIDTH = 760;
const MARGIN = 24;
const GAP = 16;
const LINE = 22;
/** More would be a picture nobody can open. */
const MOST_CHARTS = 8;

export function reportPicture(result: BacktestResult): string {
  const summaries = result.services.map(summaryOf).sort(byUrgency);
  const chosen = drawnOf(summaries);
  const drawn = (chosen.length > 0 ? chosen : summaries).slice(0, MOST_CHARTS);
  const left = summaries.length - drawn.length;
  const lines = [subtitle(result), ...comparison(result.services), ...(left > 0 ? [`${countOf(left, 'service')} not drawn`] : [])];
  const head = lines.map(
    (line, index) => `<text x="0" y="${String(58 + index * LINE)}" font-size="14" fill="#3e4c59">${escapeXml(line)}</text>`,
  );
  let y = 58 + lines.length * LINE;
  const charts = drawn.map(reportChart).map((model) => {
    const placed = chartSvg(model).replace('<svg ', `<svg y="${String(y)}" `);
    y += chartHeight(model) + GAP;
    return placed;
  });
  const [width, height] = [WIDTH + 2 * MARGIN, y + 2 * MARGIN - GAP];
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${String(width)}" height="${String(height)}" viewBox="0 0 ${String(width)} ${String(height)}" font-family="'DejaVu Sans', Verdana, sans-serif">`,
    `<rect width="100%" height="100%" fill="#f3f5f7"/><g transform="translate(${String(MARGIN)} ${String(MARGIN)})">`,
    '<text x="0" y="24" font-size="22" font-weight="700" fill="#1f2933">What Leakline would have said</text>',
    ...head,
    ...charts,
    '</g></svg>',
  ].join('');
}
