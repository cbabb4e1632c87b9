/** Who sends: agents heard of lately, how much they send, how far their clocks are off. */
import type { Store } from './store.ts';

export interface AgentActivity {
  readonly agent: string;
  readonly hosts: readonly string[];
  /** Processes it sent samples of within the window. */
  readonly processes: number;
  readonly samples: number;
  readonly samplesPerSecond: number;
  /** First arrival within the window, store's clock, milliseconds UTC. */
  readonly firstReceivedAt: number;
  /** Newest arrival, store's clock, milliseconds UTC. */
  readonly lastReceivedAt: number;
  /** Newest sample, agent's clock, milliseconds UTC. */
  readonly lastSampleAt: number;
  /** Median of arrival minus sample time: delay on the way plus what the agent's clock is behind. */
  readonly lagMs: number;
}

/** Agents heard of within the window before the store's now. */
export async function readAgents(store: Store, windowMs = 600_000): Promise<AgentActivity[]> {
  return store.query<AgentActivity>(
    `SELECT
      agent, groupUniqArray(toString(host)) AS hosts, uniqExact(lifetime) AS processes, count() AS samples,
      samples / ({windowMs:Int64} / 1000) AS samplesPerSecond, toUnixTimestamp64Milli(min(received_at)) AS firstReceivedAt,
      toUnixTimestamp64Milli(max(received_at)) AS lastReceivedAt, toUnixTimestamp64Milli(max(time)) AS lastSampleAt,
      -- Arrival is kept in steps of ten seconds, rounded down.
      greatest(0, median(toUnixTimestamp64Milli(received_at) - toUnixTimestamp64Milli(time))) AS lagMs
    FROM raw_samples
    WHERE received_at >= now64(3) - toIntervalMillisecond({windowMs:Int64})
    GROUP BY agent ORDER BY agent`,
    { windowMs },
  );
}
