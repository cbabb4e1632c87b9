/** A believable fleet in the store: real samples, rollups, judgements that fit them, incidents and deliveries. Seeded, so pictures repeat. */
import { eventId, incidentId, type IncidentEvent } from '../../shared/incident.ts';
import type { Judgement } from '../../shared/judgement.ts';
import type { MetricName, ProcessIdentity } from '../../shared/sample.ts';
import { recordDelivery } from '../../shared/store/deliveries.ts';
import { appendIncidentEvents } from '../../shared/store/incidents.ts';
import { rollUp } from '../../shared/store/rollups.ts';
import { SampleBlock } from '../../shared/store/sample-block.ts';
import { insertExits, insertSamples } from '../../shared/store/samples.ts';
import type { Store } from '../../shared/store/store.ts';
import { saveJudgements } from '../../shared/store/trends.ts';
import { tableOf } from '../shared/store/fixture.ts';
import { DEMO_SERVICES, type DemoService } from './demo-services.ts';

const HOUR = 3_600_000;
export const MB = 1e6;

/** Small, seeded, good enough for noise (mulberry32). */
function createRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

interface DemoLifetime {
  readonly identity: ProcessIdentity;
  readonly startedAt: number;
  readonly endedAt: number;
  readonly end: 'running' | 'exit' | 'oom';
}

/** A new version ends the old processes; a process that hits its limit is killed and comes back. */
function lifetimesOf(service: DemoService, now: number, hours: number): DemoLifetime[] {
  const lifetimes: DemoLifetime[] = [];
  const begin = now - Math.min(hours, service.ageHours ?? hours) * HOUR;
  for (let replica = 0; replica < service.instances; replica += 1) {
    const instance = `${service.name}-${service.podHash}-${'bcdfgh'.charAt(replica)}${replica}x7`;
    let startedAt = begin + replica * 90_000;
    for (let serial = 0; startedAt < now; serial += 1) {
      const deployAt = service.deployHoursAgo === undefined ? -Infinity : now - service.deployHoursAgo * HOUR + replica * 40_000;
      const isNew = startedAt >= deployAt;
      const oomAt = service.oomAfterHours === undefined ? Infinity : startedAt + service.oomAfterHours * HOUR * (1 + 0.04 * replica);
      const endedAt = Math.min(isNew ? Infinity : deployAt, oomAt, now);
      const end = endedAt === now ? 'running' : endedAt === oomAt ? 'oom' : 'exit';
      const lifetime = `${service.environment}${service.name}`
        .split('')
        .reduce((hash, letter) => Math.imul(hash, 31) + letter.charCodeAt(0), replica * 97 + serial);
      lifetimes.push({
        identity: {
          lifetime: (lifetime >>> 0).toString(16).padStart(16, '0'),
          service: service.name,
          environment: service.environment,
          version: isNew ? service.version : (service.oldVersion ?? service.version),
          host: `node-${(replica % 3) + 1}`,
          instance,
          pid: 1000 + replica * 17 + serial * 3,
          process_started_at: startedAt,
          runtime: service.runtime,
          labels: {},
        },
        startedAt,
        endedAt,
        end,
      });
      startedAt = endedAt + 20_000;
    }
  }
  return lifetimes;
}

/** Replicas carry different load. */
const shareOf = (instance: string): number => 1 - 0.06 * Math.max(0, 'bcdfgh'.indexOf(instance.at(-4) ?? ''));

function metricsAt(service: DemoService, lifetime: DemoLifetime, at: number, random: () => number): Partial<Record<MetricName, number>> {
  const ageHours = (at - lifetime.startedAt) / HOUR;
  const isNew = lifetime.identity.version === service.version;
  const noise = (random() - 0.5) * (service.noise ?? 0.012);
  const anon = service.level(ageHours, isNew, at / HOUR) * MB * (1 + noise) * shareOf(lifetime.identity.instance);
  const heap = service.heapShare === undefined ? undefined : anon * service.heapShare * (1 - 0.12 * random());
  return {
    anon,
    rss: anon + 38 * MB,
    working_set: anon + 52 * MB,
    memory_limit: service.limitMb * MB,
    threads: 12,
    ...(heap === undefined ? {} : { heap_used: heap, heap_live: heap * 0.86 }),
  };
}

async function insertLifetimes(store: Store, service: DemoService, lifetimes: readonly DemoLifetime[], stepMs: number): Promise<void> {
  const random = createRandom(service.name.length * 7919 + service.instances);
  const process: number[] = [];
  const time: number[] = [];
  const columns: Partial<Record<MetricName, number[]>> = {};
  lifetimes.forEach((lifetime, index) => {
    for (let at = lifetime.startedAt + 4_000; at <= lifetime.endedAt; at += stepMs) {
      for (const [name, value] of Object.entries(metricsAt(service, lifetime, at, random)) as [MetricName, number][])
        (columns[name] ??= []).push(Math.round(value));
      process.push(index);
      time.push(Math.round(at));
    }
  });
  const block = new SampleBlock();
  const processes = tableOf(lifetimes.map(({ identity }) => identity));
  for (const [node, agent] of ['agent-node-1', 'agent-node-2', 'agent-node-3'].entries()) {
    const ofNode = <Value>(values: readonly Value[]) => values.filter((_, row) => process[row]! % 3 === node);
    const metrics = Object.fromEntries(Object.entries(columns).map(([name, values]) => [name, ofNode(values)]));
    block.append({ processes, agent, boot: 'b1', seq: 1, process: ofNode(process), time: ofNode(time), metrics });
  }
  await insertSamples(store, block.encode());
  await insertExits(
    store,
    lifetimes.flatMap(({ identity, endedAt, end }) =>
      end === 'running' ? [] : [{ process: identity, time: Math.round(endedAt), reason: end }],
    ),
  );
}

/** What a detector would say of it at `at`; numbers from the generator's own truth. */
export function judgementOf(service: DemoService, lifetimes: readonly DemoLifetime[], at: number, instance: string): Judgement {
  const running = lifetimes.filter(({ end, identity }) => end === 'running' && (instance === '' || identity.instance === instance));
  const startedAt = Math.min(...running.map((lifetime) => lifetime.startedAt));
  const levelAt = (moment: number) => service.level((moment - startedAt) / HOUR, true, moment / HOUR) * MB * share;
  const { limitMb, verdict } = service.says;
  const share = instance === '' ? (1 + shareOf(running.at(-1)?.identity.instance ?? '')) / 2 : shareOf(instance);
  const slope = service.says.slopeMbPerHour * share;
  const limitBytes = (limitMb ?? service.limitMb) * MB;
  const levelBytes = levelAt(at);
  const hoursLeft = (limitBytes - levelBytes) / (slope * MB);
  const ends = verdict === 'leak' || (verdict === 'undecided' && slope > 2);
  const onset = verdict === 'leak' || verdict === 'growing' ? startedAt + Math.min(1.2 * HOUR, (at - startedAt) / 4) : null;
  const fitFrom = verdict === 'leak' ? (onset ?? at) : at - Math.min(7 * HOUR, (at - startedAt) / 2);
  const spread = service.says.spread ?? 0.12;
  return {
    service: service.name,
    environment: service.environment,
    version: service.version,
    instance,
    lifetime: instance === '' ? '' : (running[0]?.identity.lifetime ?? ''),
    startedAt: Math.min(at, ...running.map(({ startedAt }) => startedAt)),
    at,
    verdict,
    reason: service.says.reason,
    explanation:
      verdict === 'leak'
        ? `keeps growing ${slope.toFixed(0)} MB/h ${service.says.kind === 'heap' ? 'in' : 'outside'} the heap for ${((at - startedAt) / HOUR).toFixed(1)} h, ` +
          `now ${(levelBytes / MB).toFixed(0)} MB, reaches its limit of ${limitBytes < 1e9 ? `${(limitBytes / MB).toFixed(0)} MB` : `${(limitBytes / 1e9).toFixed(1)} GB`} in ${hoursLeft.toFixed(1)} h`
        : service.says.explanation,
    kind: service.says.kind ?? 'unknown',
    signal: 'anon',
    slopeBytesPerHour: slope * MB,
    slopeLow: slope * MB * (1 - spread) - 0.04 * MB,
    slopeHigh: slope * MB * (1 + spread) + 0.04 * MB,
    levelBytes,
    limitBytes,
    exhaustsAt: ends ? at + hoursLeft * HOUR : null,
    exhaustsEarliest: ends ? at + (hoursLeft / (1 + spread)) * HOUR : null,
    exhaustsLatest: ends ? at + (hoursLeft / (1 - spread)) * HOUR : null,
    onsetAt: onset,
    confidence: service.says.confidence,
    instances: verdict === 'leak' ? [...new Set(running.map(({ identity }) => identity.instance))] : [],
    fit: onset === null ? null : { fromTime: fitFrom, fromBytes: levelAt(fitFrom), toTime: at, toBytes: levelBytes },
    waitingFor: service.says.waitingFor ?? '',
    decidesBy: verdict === 'undecided' ? at + 0.8 * HOUR : null,
  };
}

const event = (incident: string, type: IncidentEvent['type'], at: number) => ({ id: eventId(incident, type, at), incident, at, note: '' });

/** The incidents of the fleet by service; ids are stable for a given `now`. */
async function seedIncidents(store: Store, judgements: ReadonlyMap<string, Judgement>, now: number): Promise<Record<string, string>> {
  const ids: Record<string, string> = {};
  const open = (name: string, openedAt: number): { id: string; judgement: Judgement } => {
    const judgement = judgements.get(name)!;
    ids[name] = incidentId(judgement.service, judgement.environment, openedAt);
    return { id: ids[name], judgement };
  };
  const checkout = open('checkout', now - 2.5 * HOUR);
  const resizer = open('image-resizer', now - 20 * HOUR);
  const catalogue = open('catalogue', now - 120 * HOUR);
  await appendIncidentEvents(store, [
    { ...event(checkout.id, 'opened', now - 2.5 * HOUR), type: 'opened', actor: 'detector', judgement: checkout.judgement },
    { ...event(resizer.id, 'opened', now - 20 * HOUR), type: 'opened', actor: 'detector', judgement: resizer.judgement },
    {
      ...event(resizer.id, 'acknowledged', now - 19.4 * HOUR),
      type: 'acknowledged',
      actor: 'mira',
      note: 'libvips handles are not closed, fix is in review',
    },
    { ...event(catalogue.id, 'opened', now - 120 * HOUR), type: 'opened', actor: 'detector', judgement: catalogue.judgement },
    {
      ...event(catalogue.id, 'resolved', now - 96 * HOUR),
      type: 'resolved',
      actor: 'detector',
      judgement: catalogue.judgement,
      note: '1.48.2 stayed flat for 6 h',
    },
  ]);
  for (const channel of ['slack #payments-oncall', 'email oncall@example.org']) {
    await recordDelivery(store, {
      incident: checkout.id,
      event: eventId(checkout.id, 'opened', now - 2.5 * HOUR),
      channel,
      state: 'sent',
      external: {},
      at: Math.round(now - 2.5 * HOUR + 4_000),
      error: '',
      attempt: 1,
    });
  }
  return ids;
}

export interface DemoFleet {
  /** Incident id by service. */
  readonly incidents: Readonly<Record<string, string>>;
}

export async function seedFleet(
  store: Store,
  now: number,
  hours: number,
  services: readonly DemoService[] = DEMO_SERVICES,
): Promise<DemoFleet> {
  const pooled = new Map<string, Judgement>();
  const stepMs = hours > 12 ? 120_000 : 60_000;
  for (const service of services) {
    const lifetimes = lifetimesOf(service, now, hours);
    await insertLifetimes(store, service, lifetimes, stepMs);
    const instances = [...new Set(lifetimes.map(({ identity }) => identity.instance))];
    const judgement = judgementOf(service, lifetimes, now - 40_000, '');
    if (service.environment === 'production') pooled.set(service.name, judgement);
    const earlier: Judgement = {
      ...judgement,
      at: now - 3 * HOUR,
      verdict: 'undecided',
      reason: 'too-short',
      explanation: 'grows, but not seen for long enough',
    };
    await saveJudgements(store, [
      ...(judgement.verdict === 'leak' ? [earlier] : []),
      judgement,
      ...instances.map((instance) => judgementOf(service, lifetimes, now - 40_000, instance)),
    ]);
  }
  await rollUp(store);
  return { incidents: pooled.has('checkout') ? await seedIncidents(store, pooled, now) : {} };
}
