/** What was sent of which event to which channel. The intent is recorded before sending, the outcome after. */
import { toSqlTime } from './sql-time.ts';
import type { Store } from './store.ts';

/** `unconfirmed`: it may have gone out, nobody knows (a crash or a lost answer between sending and recording). */
export type DeliveryState = 'intent' | 'sent' | 'failed' | 'unconfirmed';

export interface Delivery {
  readonly incident: string;
  /** Id of the incident event the message is of. */
  readonly event: string;
  readonly channel: string;
  readonly state: DeliveryState;
  /** What the other side calls it (Slack ts and channel, Message-ID …): needed to edit and to thread. */
  readonly external: Readonly<Record<string, string>>;
  /** Milliseconds UTC. */
  readonly at: number;
  /** Why it failed; '' otherwise. Never a secret. */
  readonly error: string;
  readonly attempt: number;
}

export async function recordDelivery(store: Store, delivery: Delivery): Promise<void> {
  const { external, at, ...row } = delivery;
  await store.insertRows('delivery_attempts', [
    { ...row, external: Object.keys(external).length === 0 ? '' : JSON.stringify(external), at: toSqlTime(at) },
  ]);
}

export interface DeliveryFilter {
  readonly incident?: string;
  /** Deliveries whose newest record is at or after this moment. */
  readonly since?: number;
}

/** The state of each (incident, event, channel): `sent` once it was sent, else the newest; oldest first. */
export async function readDeliveries(store: Store, filter: DeliveryFilter = {}): Promise<Delivery[]> {
  const rows = await store.query<Omit<Delivery, 'external'> & { external: string }>(
    `SELECT incident, event, channel, state, external, toUnixTimestamp64Milli(d.at) AS at, error, attempts AS attempt
    FROM deliveries AS d
    WHERE ({incident:String} = '' OR incident = {incident:String}) AND d.at >= fromUnixTimestamp64Milli({since:Int64})
    ORDER BY at, event, channel`,
    { incident: filter.incident ?? '', since: filter.since ?? 0 },
  );
  return rows.map((row) => ({ ...row, external: row.external === '' ? {} : (JSON.parse(row.external) as Record<string, string>) }));
}
