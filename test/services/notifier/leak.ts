/** One believable leak: its judgement, events and curves. */
import { eventId, incidentId, type IncidentEvent } from '../../../shared/incident.ts';
import type { Judgement } from '../../../shared/judgement.ts';
import { BLOCK_COLUMNS, type BlockColumn, type Series } from '../../../shared/series.ts';

export const HOUR = 3_600_000;
const MB = 1e6;

/** Wall time, so that stand-ins and real stores with their own clocks agree. */
export const NOW = Math.floor(Date.now() / 1000) * 1000;
const ONSET = NOW - 9 * HOUR;

export function leak(change: Partial<Judgement> = {}): Judgement {
  return {
    service: 'checkout',
    environment: 'production',
    version: 'v42',
    instance: '',
    lifetime: '',
    startedAt: NOW - 48 * HOUR,
    at: NOW,
    verdict: 'leak',
    reason: 'keeps-growing',
    explanation: 'keeps growing 18 MB/h in the heap for 9.0 h on 3 of 4 instances, whatever the load, while full collections run',
    kind: 'heap',
    signal: 'anon',
    slopeBytesPerHour: 18 * MB,
    slopeLow: 15 * MB,
    slopeHigh: 21 * MB,
    levelBytes: 367 * MB,
    limitBytes: 512 * MB,
    exhaustsAt: NOW + 8 * HOUR,
    exhaustsEarliest: NOW + 6.9 * HOUR,
    exhaustsLatest: NOW + 9.7 * HOUR,
    onsetAt: ONSET,
    confidence: 0.97,
    instances: ['checkout-7f9c-x2', 'checkout-7f9c-k8', 'checkout-7f9c-p4'],
    fit: { fromTime: ONSET, fromBytes: 205 * MB, toTime: NOW, toBytes: 367 * MB },
    waitingFor: '',
    decidesBy: null,
    ...change,
  };
}

export const INCIDENT = incidentId('checkout', 'production', NOW);

export function event(
  type: IncidentEvent['type'],
  at: number,
  more: { judgement?: Judgement; actor?: string; note?: string; until?: number } = {},
): IncidentEvent {
  const base = { id: eventId(INCIDENT, type, at), incident: INCIDENT, at, actor: more.actor ?? 'detector', note: more.note ?? '' };
  if (type === 'silenced') return { ...base, type, until: more.until ?? at + HOUR };
  if (type === 'acknowledged' || type === 'unacknowledged' || type === 'dismissed') return { ...base, type, actor: more.actor ?? 'anna' };
  return { ...base, type, judgement: more.judgement ?? leak() };
}

/** The same leak under another incident id. */
export const leakOf = (service: string, at = NOW): IncidentEvent => {
  const incident = incidentId(service, 'production', at);
  return { id: eventId(incident, 'opened', at), incident, at, actor: 'detector', note: '', type: 'opened', judgement: leak({ service }) };
};

let seed = 7;
const noise = () => ((seed = (seed * 16_807) % 2_147_483_647) / 2_147_483_647) * 9 * MB;

function lifetime(instance: string, version: string, from: number, to: number, base: number, slope: number): Series {
  const blockMs = 5 * 60_000;
  const time = Float64Array.from({ length: Math.floor((to - from) / blockMs) }, (_, index) => from + index * blockMs);
  const level = Float64Array.from(time, (at) => base * MB + Math.max(0, (slope * MB * (at - ONSET)) / HOUR) + noise());
  const empty = new Float64Array(time.length).fill(NaN);
  const columns = Object.fromEntries(BLOCK_COLUMNS.map((name) => [name, empty])) as Record<BlockColumn, Float64Array>;
  return {
    service: 'checkout',
    environment: 'production',
    version,
    instance,
    lifetime: `${instance}-${version}`,
    runtime: 'nodejs',
    startedAt: from,
    ...(to < NOW ? { endedAt: to } : {}),
    blockMs,
    time,
    columns: { ...columns, anonMin: level },
  };
}

/** Four instances; three begin to grow with v42. */
export function curves(): Series[] {
  seed = 7;
  const names = ['checkout-7f9c-x2', 'checkout-7f9c-k8', 'checkout-7f9c-p4', 'checkout-7f9c-zz'];
  const deploy = ONSET - 0.2 * HOUR;
  return names.flatMap((name, index) => [
    lifetime(name, 'v41', NOW - 14 * HOUR, deploy, 195 + 6 * index, 0),
    lifetime(name, 'v42', deploy, NOW, 200 + 5 * (index % 3), index === 3 ? 0 : 18.4 - 0.7 * index),
  ]);
}
