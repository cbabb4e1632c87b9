/** One row per service and environment for the first page: who runs, since when not seen, how much memory, a sparkline. */
import { curveStepMs } from './curves.ts';
import { decodeNative } from './native-read.ts';
import type { Store } from './store.ts';

export interface FleetRow {
  readonly service: string;
  readonly environment: string;
  readonly runtimes: readonly string[];
  /** Versions seen in the range, the one started last first. */
  readonly versions: readonly string[];
  /** Instances and processes seen in the range. */
  readonly instances: number;
  readonly lifetimes: number;
  /** Milliseconds UTC. */
  readonly lastSeen: number;
  /** Mean resident memory of a process in the newest step. */
  readonly levelBytes: number;
  /** Start of each step (milliseconds UTC) and mean resident memory of a process in it. */
  readonly time: readonly number[];
  readonly rssBytes: readonly number[];
}

export interface FleetQuery {
  /** Milliseconds UTC. */
  readonly from: number;
  readonly to: number;
  /** Most points of the sparkline; default 48. */
  readonly points?: number;
  readonly signal?: AbortSignal;
}

type Who = Omit<FleetRow, 'levelBytes' | 'time' | 'rssBytes'>;

/** From lifetimes, a row each: hours would say the same of every process again and again. */
const WHO = `
  SELECT
    CAST(service AS String) AS service, environment_ AS environment, arraySort(groupUniqArray(runtime_)) AS runtimes,
    arrayDistinct(arrayMap(v -> v.2, arrayReverseSort(groupUniqArray((toStartOfMinute(started), version_))))) AS versions,
    uniqExact(instance) AS instances, uniqExact(lifetime) AS lifetimes, toUnixTimestamp64Milli(max(seen)) AS lastSeen
  FROM (
    SELECT
      service, instance, lifetime, max(environment) AS environment_, max(version) AS version_, max(runtime) AS runtime_,
      min(started_at) AS started, min(first_seen) AS first, max(last_seen) AS seen
    FROM lifetimes
    GROUP BY service, instance, lifetime
    HAVING seen >= fromUnixTimestamp64Milli({from:Int64}) AND first < fromUnixTimestamp64Milli({to:Int64})
  )
  GROUP BY service, environment
  ORDER BY service, environment`;

const key = (service: string, environment: string) => `${service}\0${environment}`;

export async function readFleet(store: Store, query: FleetQuery): Promise<FleetRow[]> {
  const stepMs = Math.max(60_000, curveStepMs(query.to - query.from, query.points ?? 48));
  const [table, time] = stepMs >= 3_600_000 ? ['hour_rollups', 'hour'] : ['minute_rollups', 'minute'];
  const from = Math.floor(query.from / stepMs) * stepMs;
  const to = Math.ceil(query.to);
  // An array of steps per service, instead of a group per service and step: a tenth of the time for 10,000 services.
  const perStep = (value: string) =>
    `sumResample(0, ${String(Math.ceil((to - from) / stepMs))}, 1)(${value}, intDiv(toUnixTimestamp(${time}) * 1000 - {from:Int64}, {stepMs:Int64}))`;
  const [who, bytes] = await Promise.all([
    store.query<Who>(WHO, { from, to }, { signal: query.signal }),
    store.queryBytes(
      `SELECT
        CAST(service AS String) AS service, CAST(environment AS String) AS environment,
        ${perStep('ifNull(rss_sum, 0)')} AS sums, ${perStep('toFloat64(rss_count)')} AS counts
      FROM ${table} FINAL
      WHERE ${time} >= fromUnixTimestamp64Milli({from:Int64}) AND ${time} < fromUnixTimestamp64Milli({to:Int64})
      GROUP BY service, environment`,
      'Native',
      { from, to, stepMs },
      { signal: query.signal },
    ),
  ]);
  const steps = decodeNative(bytes);
  const [environments, sums, counts] = [steps.strings('environment'), steps.arrays('sums'), steps.arrays('counts')];
  const rowOf = new Map(steps.strings('service').map((service, row) => [key(service, environments[row]!), row]));
  return who.map((one) => {
    const row = rowOf.get(key(one.service, one.environment));
    const known = row === undefined ? [] : [...counts[row]!.keys()].filter((step) => counts[row]![step]! > 0);
    const rssBytes = known.map((step) => sums[row!]![step]! / counts[row!]![step]!);
    return { ...one, levelBytes: rssBytes.at(-1) ?? 0, time: known.map((step) => from + step * stepMs), rssBytes };
  });
}
