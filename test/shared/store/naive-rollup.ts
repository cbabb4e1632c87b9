/** What rollups must hold, computed from the rows in the plainest way. */
import { METRIC_NAMES, type MetricName } from '../../../shared/sample.ts';
import { KEPT } from '../../../shared/store/rollups.ts';
import type { SampleRow } from './fixture.ts';

/** Rows of one lifetime keyed by time: the last one written of a time counts. */
export function distinctRows(rows: readonly SampleRow[]): SampleRow[] {
  const byKey = new Map(rows.map((row) => [`${row.lifetime ?? ''} ${row.time}`, row]));
  return [...byKey.values()].sort((a, b) => a.time - b.time);
}

function aggregates(name: MetricName, rows: readonly SampleRow[]): Record<string, number | null> {
  const values = rows.map((row) => row[name]).filter((value) => value !== undefined);
  const orNull = (compute: () => number) => (values.length === 0 ? null : compute());
  const all = {
    last: { [`${name}_last`]: values.at(-1) ?? null },
    min: { [`${name}_min`]: orNull(() => Math.min(...values)) },
    max: { [`${name}_max`]: orNull(() => Math.max(...values)) },
    mean: { [`${name}_sum`]: orNull(() => values.reduce((total, value) => total + value, 0)), [`${name}_count`]: values.length },
  };
  return Object.assign({}, ...KEPT[name].map((statistic) => all[statistic])) as Record<string, number | null>;
}

/** One object per lifetime and unit, sorted by lifetime and time. */
export function naiveRollups(rows: readonly SampleRow[], unitMs: number): Record<string, unknown>[] {
  const groups = new Map<string, SampleRow[]>();
  for (const row of distinctRows(rows)) {
    const key = `${row.lifetime ?? ''} ${Math.floor(row.time / unitMs) * unitMs}`;
    groups.set(key, [...(groups.get(key) ?? []), row]);
  }
  return [...groups]
    .map(([key, group]) => {
      const [lifetime = '', start = ''] = key.split(' ');
      const columns = Object.assign({}, ...METRIC_NAMES.map((name) => aggregates(name, group))) as Record<string, unknown>;
      return { lifetime, start: Number(start), samples: group.length, ...columns };
    })
    .sort((a, b) => (a.lifetime < b.lifetime ? -1 : a.lifetime > b.lifetime ? 1 : a.start - b.start));
}

export const ROLLUP_COLUMNS = Object.keys(naiveRollups([{ time: 0 }], 60_000)[0] ?? {}).filter(
  (column) => column !== 'lifetime' && column !== 'start',
);
