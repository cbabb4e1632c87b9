/** Process lifetimes: when each began, was last seen, and how it ended (view `process_lifetimes`). */
import type { Runtime } from '../sample.ts';
import type { Store } from './store.ts';

/** `restart`: another process of the same instance began within ten minutes; `silent`: no sign for a quarter of an hour. */
export type LifetimeEnd = 'running' | 'exit' | 'restart' | 'oom' | 'silent';

export interface Lifetime {
  readonly service: string;
  readonly environment: string;
  readonly version: string;
  readonly host: string;
  readonly instance: string;
  readonly lifetime: string;
  readonly runtime: Runtime;
  readonly pid: number;
  /** Milliseconds UTC, as all moments here. */
  readonly startedAt: number;
  readonly firstSeen: number;
  readonly lastSeen: number;
  readonly endedAt: number | null;
  readonly endedBy: LifetimeEnd;
  readonly rssPeakBytes: number;
  /** 0 = none known. */
  readonly memoryLimitBytes: number;
}

export interface LifetimeFilter {
  readonly service: string;
  readonly environment?: string;
  /** Lifetimes with a sign of life in [from, to). */
  readonly from: number;
  readonly to: number;
}

export async function readLifetimes(store: Store, filter: LifetimeFilter): Promise<Lifetime[]> {
  return store.query<Lifetime>(
    `SELECT
      service, environment, version, host, instance, lifetime, runtime, pid,
      toUnixTimestamp64Milli(started_at) AS startedAt, toUnixTimestamp64Milli(first_seen) AS firstSeen,
      toUnixTimestamp64Milli(last_seen) AS lastSeen, toUnixTimestamp64Milli(ended_at) AS endedAt, ended_by AS endedBy,
      rss_peak AS rssPeakBytes, memory_limit AS memoryLimitBytes
    FROM process_lifetimes
    WHERE service = {service:String} AND ({anyEnvironment:Bool} OR environment = {environment:String})
      AND last_seen >= fromUnixTimestamp64Milli({from:Int64}) AND first_seen < fromUnixTimestamp64Milli({to:Int64})
    ORDER BY started_at, instance, lifetime`,
    {
      service: filter.service,
      anyEnvironment: filter.environment === undefined,
      environment: filter.environment ?? '',
      from: filter.from,
      to: filter.to,
    },
  );
}
