/** What reports of ingesters say together, and whether the store has room for more. Pure. */
import { floorBytes, type DiskSpace } from '../../shared/store/disk-space.ts';
import type { ReportedFigure, ReportEntry } from '../../shared/store/ingester-reports.ts';
import type { Status } from './api-schema.ts';

type IngestionStatus = Pick<
  Status,
  | 'lastInsertAt'
  | 'lagMessages'
  | 'storedRowsLastHour'
  | 'repeatedRowsLastHour'
  | 'ingesters'
  | 'partitions'
  | 'deadLettersLastHour'
  | 'clampedLastHour'
>;

/** Six reports missed. */
const SILENT_MS = 60_000;

const CLAMPED = [
  ['refused_rows', 'rows refused'],
  ['cleared_values', 'values cleared'],
  ['normalised', 'texts cut or replaced'],
] as const;

const newestOf = (values: readonly number[]): number | null => values.reduce((newest, value) => Math.max(newest, value), 0) || null;

export function ingestionStatus(figures: readonly ReportedFigure[]): IngestionStatus {
  const of = (kind: ReportEntry['kind']) => figures.filter((figure) => figure.kind === kind);
  const total = (kind: ReportEntry['kind'], ingester?: string) =>
    of(kind).reduce((sum, figure) => sum + (ingester === undefined || figure.ingester === ingester ? figure.total : 0), 0);
  const byKey = (kind: ReportEntry['kind']) => {
    const totals = new Map<string, number>();
    for (const { key, total: count } of of(kind)) totals.set(key, (totals.get(key) ?? 0) + count);
    return [...totals].sort(([, a], [, b]) => b - a);
  };
  const latest = new Map(of('last_insert_at').map(({ ingester, at, latest: insertedAt }) => [ingester, { at, insertedAt }]));
  const dropped = new Map(byKey('dropped_letters'));
  // A partition is whose report named it last; what an ingester did not name in its newest report it no longer owns.
  const owned = new Map<string, ReportedFigure>();
  for (const figure of of('lag_messages')) {
    if (figure.at === latest.get(figure.ingester)?.at && figure.at > (owned.get(figure.key)?.at ?? 0)) owned.set(figure.key, figure);
  }
  const partitions = [...owned.values()]
    .map(({ key, latest: lagMessages, ingester }) => ({ partition: Number(key), lagMessages, ingester }))
    .sort((a, b) => a.partition - b.partition);
  return {
    lastInsertAt: newestOf([...latest.values()].map(({ insertedAt }) => insertedAt)),
    lagMessages: latest.size === 0 ? null : partitions.reduce((sum, { lagMessages }) => sum + lagMessages, 0),
    storedRowsLastHour: total('rows'),
    repeatedRowsLastHour: total('repeated_rows'),
    ingesters: [...latest].map(([ingester, { at, insertedAt }]) => ({
      ingester,
      lastReportAt: at,
      lastInsertAt: insertedAt || null,
      pausedSecondsLastHour: total('paused_ms', ingester) / 1000,
      storeFailuresLastHour: total('store_failures', ingester),
    })),
    partitions,
    deadLettersLastHour: byKey('dead_letters').map(([code, messages]) => ({ code, messages, notKept: dropped.get(code) ?? 0 })),
    clampedLastHour: CLAMPED.flatMap(([kind, what]) => byKey(kind).map(([why, count]) => ({ what, why, count }))),
  };
}

/** Refused for more than one process may name, so it goes on until somebody mends the sender or lifts the limit. */
const TOO_MANY = /^too_many_/;

export function ingestionProblems(at: number, status: IngestionStatus): string[] {
  const problems: string[] = [];
  const newestReport = newestOf(status.ingesters.map(({ lastReportAt }) => lastReportAt));
  if (newestReport !== null && at - newestReport > SILENT_MS)
    problems.push(`no ingester has reported for ${Math.round((at - newestReport) / 1000)} s: it is down, or the store takes nothing`);
  for (const { code, messages, notKept } of status.deadLettersLastHour) {
    if (notKept > 0)
      problems.push(
        `${messages} messages within the hour were unreadable or had refused rows (${code}), ${notKept} of them too many to keep: \`leakline dead-letters list --reason ${code}\``,
      );
    else if (code === 'LKL_ERR_ROWS_REFUSED')
      problems.push(
        `the store refused what ${messages} messages hold: \`leakline dead-letters list --reason ${code}\`, and replay them once mended`,
      );
  }
  for (const { why, count } of status.clampedLastHour) {
    if (TOO_MANY.test(why)) problems.push(`${count} samples within the hour were refused: ${why} (docs/reliability.md)`);
  }
  return problems;
}

const toMiB = (bytes: number): string => (bytes / 1024 ** 2).toFixed(0);

export function diskProblems(space: DiskSpace | undefined): string[] {
  if (space === undefined) return [];
  const { freeBytes, totalBytes } = space;
  const floor = floorBytes(totalBytes);
  if (freeBytes >= floor) return [];
  return [
    `the disk of the store has ${toMiB(freeBytes)} of ${toMiB(totalBytes)} MiB left; below ${toMiB(floor)} MiB samples wait: free some, or shorten the retention`,
  ];
}
