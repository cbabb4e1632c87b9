/** The reads of the console over shared/store, with what many open pages ask for again and again kept for some seconds. */
import type { Clock } from '../../shared/clock.ts';
import { foldEvents, incidentAt, type Incident } from '../../shared/incident.ts';
import type { Judgement } from '../../shared/judgement.ts';
import { readAgents, type AgentActivity } from '../../shared/store/agents.ts';
import { readChart, type ChartColumn } from '../../shared/store/chart.ts';
import { readDiskSpace, type DiskSpace } from '../../shared/store/disk-space.ts';
import { readFleet, type Fleet, type FleetRow } from '../../shared/store/fleet.ts';
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

export interface ConsoleReads {
  fleet(): Promise<Fleet>;
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

const COLUMN_OF: Record<Signal, ChartColumn> = {
  anon: 'anonMin',
  rss: 'rssLast',
  working_set: 'workingSetMin',
  heap_live: 'heapLiveLast',
  heap_used: 'heapUsedMin',
};

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

async function fleetNow(store: Store, now: number): Promise<Fleet> {
  let found: Fleet = { from: now, stepMs: 1, rows: [] };
  for (const { rangeMs, points } of FLEET_RANGES) {
    const fleet = await readFleet(store, { from: now - rangeMs, to: now, points });
    if (fleet.rows.length < found.rows.length) break;
    found = fleet;
    if (fleet.rows.some(({ rssBytes }) => rssBytes.filter(Number.isFinite).length >= LEAST_POINTS)) break;
  }
  return found;
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
      const chart = await readChart(store, { ...key, ...range, points: CURVE_POINTS, column: COLUMN_OF[signal] });
      return {
        signal,
        ...range,
        stepMs: chart.stepMs,
        limitBytes: chart.memoryLimitBytes,
        curves: chart.curves.map((curve) => ({ ...curve, values: curve.values.map(Math.round) })),
        available: SIGNALS.filter((candidate) => chart.told.includes(COLUMN_OF[candidate])),
      };
    },
  };
}

/** From the first step with a sample; others without become null. */
export function sparklineOf({ rssBytes }: FleetRow, { from, stepMs }: Fleet): ServiceSummary['sparkline'] {
  const first = rssBytes.findIndex(Number.isFinite);
  if (first < 0) return { from, stepMs, values: [] };
  const values = Array.from(rssBytes.subarray(first), (bytes) => (Number.isFinite(bytes) ? Math.round(bytes / 1000) * 1000 : null));
  return { from: from + first * stepMs, stepMs, values };
}
