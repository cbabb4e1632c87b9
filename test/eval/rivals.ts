/**
 * The rules people use today, re-implemented on the same walk-forward: medians of five minutes, looked at every five minutes, one
 * alarm per rising edge with six hours to re-arm. Each rule sees one lifetime at a time; a service alarms when one of them does.
 * Beside them stands what one could write instead in an afternoon, on half-hour minima and looked at hourly.
 */
import { RulesInUse, type RuleInUse } from '../../services/detector/rules-in-use.ts';
import { afternoonScript } from './afternoon-script.ts';
import type { Case, CaseLifetime } from './corpus-case.ts';
import { eachSample } from './walk.ts';

const HOUR = 3_600_000;
const STEP = 300_000;
const REARM = 6 * HOUR;

interface Grid {
  readonly time: number[];
  readonly value: number[];
  readonly limit: number;
}

/** Is the rule satisfied at the last of the first `end` points? */
type Rule = (grid: Grid, end: number) => boolean;

function gridOf(lifetime: CaseLifetime): Grid {
  const grid: Grid = { time: [], value: [], limit: lifetime.limit };
  const { time, rss } = lifetime;
  for (let index = 0; index < time.length;) {
    const block = Math.floor((time[index] as number) / STEP);
    const from = index;
    while (index < time.length && Math.floor((time[index] as number) / STEP) === block) index += 1;
    grid.time.push((block + 1) * STEP);
    grid.value.push([...rss.slice(from, index)].sort((a, b) => a - b)[(index - from) >> 1] as number);
  }
  return grid;
}

function firstAt(time: readonly number[], end: number, after: number): number {
  let low = 0;
  let high = end;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((time[middle] as number) < after) low = middle + 1;
    else high = middle;
  }
  return low;
}

interface Line {
  readonly slope: number;
  readonly r2: number;
  readonly last: number;
}

/** Least squares over [from, end). */
function fit(time: readonly number[], value: readonly number[], from: number, end: number): Line {
  const count = end - from;
  const t0 = time[from] as number;
  const y0 = value[from] as number;
  let st = 0;
  let sy = 0;
  let stt = 0;
  let sty = 0;
  let syy = 0;
  for (let index = from; index < end; index += 1) {
    const t = (time[index] as number) - t0;
    const y = (value[index] as number) - y0;
    st += t;
    sy += y;
    stt += t * t;
    sty += t * y;
    syy += y * y;
  }
  const vt = stt - (st * st) / count;
  const vy = syy - (sy * sy) / count;
  const cov = sty - (st * sy) / count;
  const slope = vt > 0 ? cov / vt : 0;
  const last = y0 + sy / count + slope * ((time[end - 1] as number) - t0 - st / count);
  return { slope, r2: vt > 0 && vy > 0 ? (cov * cov) / (vt * vy) : 0, last };
}

const covered = (grid: Grid, from: number, end: number, span: number) =>
  end - from >= 5 && (grid.time[end - 1] as number) - (grid.time[from] as number) >= 0.8 * span;

const windowed =
  (span: number, test: (grid: Grid, from: number, end: number) => boolean): Rule =>
  (grid, end) => {
    const from = firstAt(grid.time, end, (grid.time[end - 1] as number) - span);
    return covered(grid, from, end, span) && test(grid, from, end);
  };

/** Coroot auditor/memory.go at 370a33f: hourly least squares on the part after the last halving, tail guard, share of the limit. */
const coroot = windowed(HOUR, (grid, from, end) => {
  let start = from;
  for (let index = from + 1; index < end; index += 1)
    if ((grid.value[index] as number) < 0.5 * (grid.value[index - 1] as number)) start = index;
  if (end - start < 4) return false;
  const whole = fit(grid.time, grid.value, start, end);
  const tail = fit(grid.time, grid.value, Math.max(start, end - 4), end);
  const perHour = whole.slope * HOUR;
  const enough = grid.limit > 0 ? 0.05 * grid.limit : 50 * 1024 * 1024;
  return perHour >= enough && tail.slope >= 0.3 * whole.slope && perHour / (grid.value[start] as number) > 0.1;
});

const olsR2 = windowed(12 * HOUR, (grid, from, end) => {
  const { slope, r2 } = fit(grid.time, grid.value, from, end);
  return r2 > 0.8 && slope * 24 * HOUR > 0.05 * (grid.value[from] as number);
});

/** Mann-Kendall on half-hour thinned points of a day, p < .05, and a positive Sen slope. */
const mannKendall = windowed(24 * HOUR, (grid, from, end) => {
  const points: number[] = [];
  for (let index = from; index < end; index += 6) points.push(grid.value[index] as number);
  let score = 0;
  for (let i = 0; i < points.length; i += 1) {
    for (let j = i + 1; j < points.length; j += 1) score += Math.sign((points[j] as number) - (points[i] as number));
  }
  const n = points.length;
  return (score - 1) / Math.sqrt((n * (n - 1) * (2 * n + 5)) / 18) > 1.96;
});

const dayOverDay: Rule = (grid, end) => {
  const now = grid.time[end - 1] as number;
  const before = firstAt(grid.time, end, now - 24 * HOUR);
  return (
    (grid.time[before] as number) - (now - 24 * HOUR) < HOUR &&
    before < end - 1 &&
    (grid.value[end - 1] as number) > 1.1 * (grid.value[before] as number)
  );
};

/** Rule and how long it must hold; those that `leakline backtest` shows too are the product's own; one walks the case by itself. */
export const RIVALS: Readonly<Record<string, RuleInUse | { readonly rule: Rule; readonly holdMs: number } | ((one: Case) => number[])>> = {
  'working set +15 % over 30 min': 'plus15',
  '+10 % day over day': { rule: dayOverDay, holdMs: 0 },
  'Coroot (1 h OLS, tail guard)': { rule: coroot, holdMs: 15 * 60_000 },
  'predict_linear[6h] reaches the limit in 24 h': 'predictLinear',
  'OLS 12 h, R² > 0.8, +5 %/day': { rule: olsR2, holdMs: 0 },
  'Mann–Kendall + Sen, 24 h': { rule: mannKendall, holdMs: 0 },
  'afternoon script (trend with four guards)': afternoonScript,
};

export function rivalOpenings(one: Case, name: string): { at: number }[] {
  const rival = RIVALS[name] as (typeof RIVALS)[string];
  if (typeof rival === 'string') return openingsInUse(one, rival);
  const raised = typeof rival === 'function' ? rival(one) : raisedBy(one, rival.rule, rival.holdMs);
  raised.sort((a, b) => a - b);
  const openings: { at: number }[] = [];
  let last = Number.NEGATIVE_INFINITY;
  for (const at of raised) {
    if (at - last > REARM) openings.push({ at });
    last = at;
  }
  return openings;
}

function raisedBy(one: Case, rule: Rule, holdMs: number): number[] {
  const raised: number[] = [];
  for (const lifetime of one.lifetimes) {
    const grid = gridOf(lifetime);
    let since = Number.NaN;
    for (let end = 2; end <= grid.time.length; end += 1) {
      const now = grid.time[end - 1] as number;
      if (!rule(grid, end)) {
        since = Number.NaN;
        continue;
      }
      if (Number.isNaN(since)) since = now;
      if (now - since >= holdMs) raised.push(now);
    }
  }
  return raised;
}

function openingsInUse(one: Case, rule: RuleInUse): { at: number }[] {
  const rules = new RulesInUse();
  eachSample(one, (lifetime, index) => {
    const memory = lifetime.rss[index] as number;
    const workingSet = (lifetime.workingSet ?? lifetime.rss)[index] as number;
    rules.add(lifetime.instance, lifetime.time[index] as number, memory, workingSet, lifetime.limit);
  });
  rules.end();
  return rules.alarms[rule].times.map((at) => ({ at }));
}
