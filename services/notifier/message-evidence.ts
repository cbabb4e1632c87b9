/** What the stored curves add to a judgement: the runtime, how many instances there are, when the version came, restarts. Pure. */
import type { Judgement } from '../../shared/judgement.ts';
import type { BlockColumn, Series, SeriesIdentity } from '../../shared/series.ts';

export interface Evidence {
  readonly runtime: SeriesIdentity['runtime'];
  /** Instances seen since the growth began, those that do not grow too. */
  readonly instanceCount: number;
  /** First sign of the judged version, where an older version was seen before it; null otherwise. */
  readonly deployedAt: number | null;
  /** Bytes a restart would free: from the level at process start to the present one; 0 = not known. */
  readonly freedByRestart: number;
}

export interface Deploy {
  readonly version: string;
  readonly at: number;
}

const COLUMN: Record<Judgement['signal'], BlockColumn> = {
  anon: 'anonMin',
  rss: 'rssMin',
  working_set: 'workingSetMin',
  heap_live: 'heapLiveLast',
  heap_used: 'heapUsedMin',
};

export const valuesOf = (series: Series, signal: Judgement['signal']): Float64Array => series.columns[COLUMN[signal]];

/** Versions in the order they came. */
export function deploysOf(series: readonly Series[]): Deploy[] {
  const first = new Map<string, number>();
  for (const { version, startedAt, time } of series) {
    const at = Math.max(startedAt, time[0] ?? startedAt);
    first.set(version, Math.min(first.get(version) ?? Infinity, at));
  }
  return [...first].map(([version, at]) => ({ version, at })).sort((a, b) => a.at - b.at);
}

function mostCommon<Value>(values: readonly Value[]): Value | undefined {
  const counts = new Map<Value, number>();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return [...counts].sort((a, b) => b[1] - a[1])[0]?.[0];
}

export function gatherEvidence(judgement: Judgement, series: readonly Series[]): Evidence {
  const ofVersion = series.filter(({ version }) => version === judgement.version);
  const since = judgement.onsetAt ?? -Infinity;
  const alive = series.filter(({ time, endedAt }) => endedAt === undefined && (time.at(-1) ?? -Infinity) >= since);
  const instances = new Set([...alive.map(({ instance }) => instance), ...judgement.instances]);
  const deploys = deploysOf(series);
  const deploy = deploys.find(({ version }) => version === judgement.version);
  const starts = ofVersion
    .filter(({ instance }) => judgement.instances.length === 0 || judgement.instances.includes(instance))
    .map((one) => lowest(valuesOf(one, judgement.signal)))
    .filter(Number.isFinite)
    .sort((a, b) => a - b);
  const start = starts[Math.floor(starts.length / 2)];
  return {
    runtime: mostCommon((ofVersion.length > 0 ? ofVersion : series).map(({ runtime }) => runtime)) ?? 'native',
    instanceCount: instances.size,
    deployedAt: deploy !== undefined && deploy !== deploys[0] && judgement.version !== '' ? deploy.at : null,
    freedByRestart: start === undefined ? 0 : Math.max(0, judgement.levelBytes - start),
  };
}

function lowest(values: Float64Array): number {
  let low = Infinity;
  for (const value of values) if (value < low) low = value;
  return low;
}
