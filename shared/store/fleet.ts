/** One row per service and environment for the first page: who runs, since when not seen, how much memory, a sparkline. */
import { curveStepMs } from './curves.ts';
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

export async function readFleet(store: Store, query: FleetQuery): Promise<FleetRow[]> {
  const stepMs = Math.max(60_000, curveStepMs(query.to - query.from, query.points ?? 48));
  const [table, time] = stepMs >= 3_600_000 ? ['hour_rollups', 'hour'] : ['minute_rollups', 'minute'];
  return store.query<FleetRow>(
    `SELECT
      service, environment, arraySort(arrayDistinct(arrayFlatten(groupArray(runtimes)))) AS runtimes,
      arrayDistinct(arrayMap(v -> v.2, arrayReverseSort(arrayFlatten(groupArray(versions))))) AS versions,
      uniqExactMerge(instance_states) AS instances, uniqExactMerge(lifetime_states) AS lifetimes,
      max(seen) AS lastSeen, argMax(rss, block) AS levelBytes,
      arrayMap(p -> p.1, arraySort(groupArray((block, rss))) AS points) AS time, arrayMap(p -> p.2, points) AS rssBytes
    FROM (
      SELECT
        service, toString(environment) AS environment, intDiv(toUnixTimestamp(${time}) * 1000, {stepMs:Int64}) * {stepMs:Int64} AS block,
        groupUniqArray(toString(runtime)) AS runtimes,
        groupUniqArray((toStartOfMinute(process_started_at), toString(version))) AS versions,
        uniqExactState(instance) AS instance_states, uniqExactState(lifetime) AS lifetime_states,
        toUnixTimestamp64Milli(max(last_time)) AS seen, ifNull(sum(rss_sum) / sum(rss_count), 0) AS rss
      FROM ${table} FINAL
      WHERE ${time} >= fromUnixTimestamp64Milli({from:Int64}) AND ${time} < fromUnixTimestamp64Milli({to:Int64})
      GROUP BY service, environment, block
    )
    GROUP BY service, environment
    ORDER BY service, environment`,
    { from: Math.floor(query.from / stepMs) * stepMs, to: Math.ceil(query.to), stepMs },
    { signal: query.signal },
  );
}
