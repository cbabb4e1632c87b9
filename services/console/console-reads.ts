/** The reads of the console over shared/store, with what many open pages ask for again and again kept for some seconds. */
import type { Clock } from '../../shared/clock.ts';
import { foldEvents, incidentAt, type Incident } from '../../shared/incident.ts';
import type { Judgement } from '../../shared/judgement.ts';
import type { BlockColumn, Series } from '../../shared/series.ts';
import { readAgents, type AgentActivity } from '../../shared/store/agents.ts';
import { curveStepMs, readCurves } from '../../shared/store/curves.ts';
import { readDiskSpace, type DiskSpace } from '../../shared/store/disk-space.ts';
import { readFleet, type FleetRow } from '../../shared/store/fleet.ts';
import { readIngesterFigures, type ReportedFigure } from '../../shared/store/ingester-reports.ts';
import { readIncidentEvents } from '../../shared/store/incidents.ts';
import type { Store } from '../../shared/store/store.ts';
import { readLatestJudgements } from '../../shared/store/trends.ts';
import type { Curves, ServiceSummary } from './api-schema.ts';
import { SIGNALS, type Signal } from './signals.ts';

export interface ServiceKey {
  readonly environment: string;
  readonly service: string;
}

export interface TimeRange {
  readonly from: number;
  readonly to: number;
}

export interface FleetRead {
  readonly rows: readonly FleetRow[];
  readonly from: number;
  readonly to: number;
  readonly stepMs: number;
}

export interface ConsoleReads {
  fleet(): Promise<FleetRead>;
  agents(): Promise<readonly AgentActivity[]>;
  judgements(): Promise<readonly Judgement[]>;
  /** What ingesters reported within the last hour. */
  ingestion(): Promise<readonly ReportedFigure[]>;
  /** Where the store is; undefined where it does not say, or this user may not know. */
  disk(): Promise<DiskSpace | undefined>;
  incidents(): Promise<readonly Incident[]>;
  curves(service: ServiceKey, signal: Signal, range: TimeRange): Promise<Curves>;
}

/** Ten open pages ask as often as one. */
const KEEP_MS = 3_000;

/** Hourly steps read 60 times fewer rows than minutes; a young store has no hours yet and few minutes. */
const FLEET_RANGES = [
  { rangeMs: 48 * 3_600_000, points: 48 },
  { rangeMs: 2 * 3_600_000, points: 120 },
] as const;
const LEAST_POINTS = 5;

/** More points than the chart has pixels show nothing. */
const CURVE_POINTS = 600;

const AGENT_WINDOW_MS = 3_600_000;
const REPORT_WINDOW_MS = 3_600_000;

const COLUMN_OF: Record<Signal, BlockColumn> = {
  anon: 'anonMin',
  rss: 'rssLast',
  working_set: 'workingSetMin',
  heap_live: 'heapLiveLast',
  heap_used: 'heapUsedMin',
};

const CURVE_COLUMNS: readonly BlockColumn[] = [...Object.values(COLUMN_OF), 'memoryLimitLast'];

/** One read at a time, and its answer for KEEP_MS; a failed one is not kept. */
function kept<Answer>(clock: Clock, read: () => Promise<Answer>): () => Promise<Answer> {
  let answer: Promise<Answer> | undefined;
  let readAt = -Infinity;
  return () => {
    if (answer !== undefined && clock.now() - readAt < KEEP_MS) return answer;
    readAt = clock.now();
    const asked = read();
    answer = asked;
    asked.catch(() => {
      if (answer === asked) answer = undefined;
    });
    return asked;
  };
}

async function fleetNow(store: Store, now: number): Promise<FleetRead> {
  let found: FleetRead = { rows: [], from: now, to: now, stepMs: 1 };
  for (const { rangeMs, points } of FLEET_RANGES) {
    const range = { from: now - rangeMs, to: now };
    const rows = await readFleet(store, { ...range, points });
    if (rows.length < found.rows.length) break;
    found = { rows, ...range, stepMs: Math.max(60_000, curveStepMs(rangeMs, points)) };
    if (rows.some(({ time }) => time.length >= LEAST_POINTS)) break;
  }
  return found;
}

const has = (series: readonly Series[], signal: Signal): boolean =>
  series.some(({ columns }) => columns[COLUMN_OF[signal]].some(Number.isFinite));

function lastLimit(series: readonly Series[]): number {
  let limit = { at: -Infinity, bytes: 0 };
  for (const { time, columns } of series) {
    const index = columns.memoryLimitLast.findLastIndex((bytes) => bytes > 0);
    const at = time[index] ?? -Infinity;
    if (at > limit.at) limit = { at, bytes: columns.memoryLimitLast[index] ?? 0 };
  }
  return limit.bytes;
}

function toCurve(series: Series, signal: Signal): Curves['curves'][number] {
  const column = series.columns[COLUMN_OF[signal]];
  const known = [...column.keys()].filter((index) => Number.isFinite(column[index]));
  return {
    instance: series.instance,
    version: series.version,
    lifetime: series.lifetime,
    time: known.map((index) => series.time[index] ?? 0),
    values: known.map((index) => Math.round(column[index] ?? 0)),
  };
}

export function createReads(store: Store, clock: Clock): ConsoleReads {
  return {
    fleet: kept(clock, () => fleetNow(store, clock.now())),
    agents: kept(clock, () => readAgents(store, AGENT_WINDOW_MS)),
    judgements: kept(clock, () => readLatestJudgements(store)),
    ingestion: kept(clock, () => readIngesterFigures(store, clock.now() - REPORT_WINDOW_MS)),
    disk: kept(clock, () => readDiskSpace(store).catch(() => undefined)),
    incidents: async () => [...foldEvents(await readIncidentEvents(store)).values()].map((incident) => incidentAt(incident, clock.now())),
    curves: async (key, signal, range) => {
      const series = await readCurves(store, { ...key, ...range, points: CURVE_POINTS, columns: CURVE_COLUMNS });
      return {
        signal,
        ...range,
        stepMs: curveStepMs(range.to - range.from, CURVE_POINTS),
        limitBytes: lastLimit(series),
        curves: series.map((one) => toCurve(one, signal)).filter(({ time }) => time.length > 0),
        available: SIGNALS.filter((candidate) => has(series, candidate)),
      };
    },
  };
}

/** Steps without a sample become null. */
export function sparklineOf(row: FleetRow, { from, to, stepMs }: FleetRead): ServiceSummary['sparkline'] {
  const first = Math.floor(from / stepMs) * stepMs;
  const bytesAt = new Map(row.time.map((at, index) => [at, row.rssBytes[index] ?? 0]));
  const start = Math.max(first, Math.min(...row.time));
  const values: (number | null)[] = [];
  for (let at = start; at <= to; at += stepMs) {
    const bytes = bytesAt.get(at);
    values.push(bytes === undefined ? null : Math.round(bytes / 1000) * 1000);
  }
  return { from: start, stepMs, values };
}
