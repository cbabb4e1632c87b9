/** The picture of one service in a report: its curves with what was found, and the alarms of the rules in use below. Pure. */
import type { ChartCurve, ChartMark, ChartModel } from '../../shared/chart.ts';
import type { Judgement } from '../../shared/judgement.ts';
import type { AccountCurve, ServiceAccount } from './backtest-service.ts';
import { bytesText as bytes } from '../../shared/bytes-text.ts';
import { duration } from './explain.ts';
import { moment, plain, type Summary } from './report-summary.ts';
import { RULES_IN_USE } from './rules-in-use.ts';

const MOST_CURVES = 12;
const SIGNALS: Readonly<Record<Judgement['signal'], string>> = {
  anon: 'anonymous memory',
  rss: 'resident memory',
  working_set: 'working set',
  heap_live: 'heap after full collections',
  heap_used: 'heap in use',
};
/** Short: they stand beside the lanes. */
const LANES = { plus15: '+15 %', predictLinear: 'predict_linear' } as const;
/** A pause of so many usual distances between points breaks the line. */
const GAP_POINTS = 6;

export function reportChart(summary: Summary): ChartModel {
  const { account, name, outcome, judgement } = summary;
  const { last, from, to } = account;
  const isLeaking = outcome === 'leak' && last !== undefined;
  const shown = isLeaking ? last : judgement;
  const hasLine = outcome === 'leak' || outcome === 'was-leak' || outcome === 'undecided';
  const curves = curvesOf(account);
  const count = account.instances === 1 ? '' : ` · ${account.instances.toLocaleString('en')} instances`;
  return {
    title: name,
    subtitle: `${judgement === undefined ? '' : SIGNALS[judgement.signal]}${count}`,
    curves,
    fit: hasLine ? (shown?.fit ?? null) : null,
    fitLabel: hasLine && shown !== undefined && shown.slopeBytesPerHour > 0 ? `${bytes(shown.slopeBytesPerHour)}/h` : '',
    limitBytes: last?.limitBytes ?? 0,
    limitLabel: `limit ${bytes(last?.limitBytes ?? 0)}`,
    exhausts: isLeaking ? exhaustsOf(last, to) : null,
    marks: marksOf(account),
    lanes: RULES_IN_USE.map((rule) => ({
      label: `${LANES[rule]}: ${account.rules[rule].count === 0 ? 'never' : `${account.rules[rule].count.toLocaleString('en')}×`}`,
      at: account.rules[rule].times,
    })),
    from,
    to,
    toLabel: 'end',
    gapMs: GAP_POINTS * Math.max(...curves.map(({ time }) => usualDistance(time)), 1),
    formatBytes: bytes,
  };
}

function curvesOf({ curves, opened }: ServiceAccount): ChartCurve[] {
  const growing = new Set(opened.flatMap(({ instances }) => instances));
  const named = new Set<string>();
  return [...curves]
    .sort((a, b) => (b.time.at(-1) ?? 0) - (a.time.at(-1) ?? 0))
    .map(({ instance, replica, time, bytes: values }) => {
      // Of several lifetimes of one replica the newest carries the name.
      const label = named.has(replica) ? '' : plain(instance, 32);
      named.add(replica);
      return { label, group: replica, time, bytes: values, emphasis: growing.has(instance) };
    })
    .sort((a, b) => Number(b.emphasis) - Number(a.emphasis))
    .slice(0, MOST_CURVES);
}

function marksOf({ opened, deploys, curves }: ServiceAccount): ChartMark[] {
  const found = opened.map(({ at }): ChartMark => ({ kind: 'found', at, label: `found ${moment(at)}` }));
  const deployed = deploys.map(({ version, at }): ChartMark => ({ kind: 'deploy', at, label: `${plain(version, 24)} deployed` }));
  return [...found, ...deployed, ...restarts(curves)];
}

/** Where a further lifetime of a replica begins. */
function restarts(curves: readonly AccountCurve[]): ChartMark[] {
  const seen = new Set<string>();
  return [...curves]
    .sort((a, b) => (a.time[0] ?? 0) - (b.time[0] ?? 0))
    .flatMap(({ replica, time: [first] }): ChartMark[] => {
      const isFirst = !seen.has(replica);
      seen.add(replica);
      return isFirst || first === undefined ? [] : [{ kind: 'restart', at: first, label: '' }];
    });
}

function exhaustsOf({ exhaustsAt, exhaustsEarliest, exhaustsLatest }: Judgement, to: number): ChartModel['exhausts'] {
  if (exhaustsAt === null || exhaustsAt <= to) return null;
  return { at: exhaustsAt, earliest: exhaustsEarliest, latest: exhaustsLatest, label: `full in ${duration(exhaustsAt - to)}` };
}

function usualDistance(time: ArrayLike<number>): number {
  const distances = Array.from({ length: Math.max(0, time.length - 1) }, (_, index) => time[index + 1]! - time[index]!);
  return distances.sort((a, b) => a - b)[distances.length >> 1] ?? 0;
}
