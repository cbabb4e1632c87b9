/**
 * The floors of every lifetime in hours: all that triage needs, one number an hour. Read in the order of the key, so that nothing is
 * sorted or hashed, and without FINAL: an hour that was rolled up twice comes twice, and the lower floor is the one that saw more.
 */
import { decodeNative } from './native-read.ts';
import type { Store } from './store.ts';

export interface FloorsQuery {
  /** Hours that begin in [from, to), milliseconds UTC. */
  readonly from: number;
  readonly to: number;
  /** Names of services in [first, last]. */
  readonly first: string;
  readonly last: string;
}

export interface Floors {
  readonly service: string;
  readonly environment: string;
  readonly lifetime: string;
  /** Start of each hour, milliseconds UTC, ascending. */
  readonly time: Float64Array;
  /** Bytes; 0 = unknown. */
  readonly floor: Float64Array;
}

const FLOORS = `
  SELECT
    CAST(service AS String) AS service, lifetime, CAST(any(environment) AS String) AS environment,
    groupArray(toFloat64(toUnixTimestamp(hour)) * 1000) AS time, groupArray(toFloat64(floor)) AS floor
  FROM hour_rollups
  WHERE service >= {first:String} AND service <= {last:String}
    AND hour >= fromUnixTimestamp64Milli({from:Int64}) AND hour < fromUnixTimestamp64Milli({to:Int64})
  GROUP BY service, instance, lifetime
  SETTINGS optimize_aggregation_in_order = 1, max_threads = 1`;

export async function readFloors(store: Store, query: FloorsQuery): Promise<Floors[]> {
  const table = decodeNative(await store.queryBytes(FLOORS, 'Native', { ...query }));
  const [service, environment, lifetime] = [table.strings('service'), table.strings('environment'), table.strings('lifetime')];
  const floor = table.arrays('floor');
  return table.arrays('time').map((time, row) => ({
    service: service[row]!,
    environment: environment[row]!,
    lifetime: lifetime[row]!,
    time,
    floor: floor[row]!,
  }));
}
