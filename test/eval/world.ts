/**
 * The ordinary life every generated service leads whatever its family: sampling, replicas, load with its daily and weekly rhythm,
 * correlated noise, a collector's sawtooth, warm-up, gaps, restarts. Families add to it. Hours and megabytes inside.
 */
import type { Case, CaseLifetime, Truth } from './corpus-case.ts';
import type { Random } from './random.ts';

export const HOUR = 3_600_000;
const START = Date.UTC(2026, 2, 2);
const MB = 1_000_000;

/** Start of a lifetime, hours since the start of the history; ends where the next begins. */
export interface Start {
  readonly at: number;
  readonly version: string;
}

export interface Moment {
  /** Hours since the start of the history. */
  readonly t: number;
  /** Hours since the start of the lifetime. */
  readonly age: number;
  /** Load over its mean. */
  readonly load: number;
  /** Hours-equivalent of requests served since the start of the lifetime: the integral of `load`. */
  readonly served: number;
  readonly replica: number;
  readonly lifetime: number;
}

export interface World {
  readonly random: Random;
  readonly intervalHours: number;
  hours: number;
  readonly replicas: number;
  readonly baseMb: number;
  readonly runtime: 'managed' | 'native';
  /** Period of the collector's sawtooth, hours; depth in shares of the base. */
  gcPeriod: number;
  gcDepth: number;
  /** Does a collection give pages back to the system, so that rss follows the heap? */
  rssFollowsHeap: boolean;
  readonly showsHeap: boolean;
  showsLive: boolean;
  readonly showsLoad: boolean;
  readonly showsWorkingSet: boolean;
  readonly loadDaily: number;
  readonly loadWeekend: number;
  /** Memory per unit of load, in shares of the base. */
  loadCoupling: number;
  readonly noise: number;
  readonly noiseCorrelation: number;
  readonly burst: number;
  /** Slow stationary wandering: standard deviation in shares of the base, and its time constant in hours. */
  wander: number;
  wanderHours: number;
  warmUpShare: number;
  warmUpHours: number;
  /** Limit in shares of the highest level without a leak; 0 = none. */
  limitShare: number;
  readonly gapChance: number;
  starts: (replica: number) => readonly Start[];
  /** Load over its mean, without the daily rhythm: for families that change it. */
  loadTrend: (t: number) => number;
}

export function ordinaryWorld(random: Random): World {
  const managed = random.chance(0.6);
  const days = random.pick([7, 10, 14, 14, 21, 28]);
  return {
    random,
    intervalHours: random.pick([1, 1, 2, 5, 5]) / 60,
    hours: days * 24,
    replicas: random.pick([1, 1, 2, 3, 5]),
    baseMb: random.scale(40, 3000),
    runtime: managed ? 'managed' : 'native',
    gcPeriod: managed ? random.scale(0.03, 3) : 0.1,
    gcDepth: managed ? random.between(0.01, 0.12) : 0,
    rssFollowsHeap: random.chance(0.7),
    showsHeap: managed && random.chance(0.7),
    showsLive: managed && random.chance(0.35),
    showsLoad: random.chance(0.6),
    showsWorkingSet: random.chance(0.5),
    loadDaily: random.between(0.1, 0.7),
    loadWeekend: random.between(0.5, 1),
    loadCoupling: random.chance(0.6) ? random.between(0, 0.06) : 0,
    noise: random.scale(0.001, 0.015),
    noiseCorrelation: random.between(0, 0.9),
    burst: random.chance(0.2) ? random.between(0.02, 0.15) : 0,
    wander: random.chance(0.5) ? random.between(0, 0.01) : 0,
    wanderHours: random.scale(2, 40),
    warmUpShare: random.between(0, 0.3),
    warmUpHours: random.scale(0.05, 1),
    limitShare: random.pick([0, random.between(1.25, 1.6), random.between(1.6, 2.5), random.between(1.6, 2.5), random.between(2.5, 10)]),
    gapChance: random.chance(0.15) ? random.between(0.0005, 0.002) : 0,
    starts: restartsNow(random, days * 24),
    loadTrend: () => 1,
  };
}

/** Some services are restarted every few days, by deploys; the rest run through. */
function restartsNow(random: Random, hours: number): (replica: number) => readonly Start[] {
  if (random.chance(0.65)) return () => [{ at: 0, version: 'v1' }];
  const every = random.between(40, 160);
  const at = Array.from({ length: Math.floor(hours / every) }, (_, index) => (index + random.between(0.7, 1.2)) * every).filter(
    (t) => t < hours - 2,
  );
  return (replica) => [{ at: 0, version: 'v1' }, ...at.map((t, index) => ({ at: t + replica * 0.1, version: `v${String(index + 2)}` }))];
}

/** What a family adds, in shares of the base level; `heap` says which part of it the heap holds (1 = all). */
export interface Extra {
  readonly share: (moment: Moment) => number;
  readonly heap: number;
}

export interface Plan {
  readonly extras: readonly Extra[];
  /** The leak among them, absent on benign services. */
  readonly leak?: Extra & { readonly onset: number; readonly replicas?: readonly number[]; readonly linear?: boolean };
}

function loadAt(world: World, t: number, jitter: number): number {
  const day = Math.sin((2 * Math.PI * (t - 9)) / 24);
  const weekend = Math.floor(t / 24) % 7 >= 5 ? world.loadWeekend : 1;
  return Math.max(0.02, (1 + world.loadDaily * day) * weekend * world.loadTrend(t) * (1 + 0.05 * jitter));
}

/** Limit over the highest reading without a leak, at least. */
const HEADROOM = 1.02;

interface Line {
  readonly lifetime: CaseLifetime;
  /** Megabytes the leak has added, per sample. */
  readonly leaked: number[];
}

function liveLifetime(world: World, plan: Plan, replica: number, index: number, start: Start, end: number, level: number): Line {
  const { random } = world;
  const count = Math.max(3, Math.floor((end - start.at) / world.intervalHours));
  const lifetime: CaseLifetime = {
    instance: `svc-${String(replica)}-${String(index)}`,
    version: start.version,
    time: [],
    rss: [],
    heapUsed: world.showsHeap ? [] : undefined,
    heapLive: world.showsLive ? [] : undefined,
    workingSet: world.showsWorkingSet ? [] : undefined,
    load: world.showsLoad ? [] : undefined,
    limit: 0,
  };
  const leaked: number[] = [];
  const heapShare = world.runtime === 'managed' ? random.between(0.4, 0.7) : 0;
  let fast = 0;
  let slow = random.gauss();
  let served = 0;
  let phase = random.unit();
  let depth = 1;
  let liveAtFull = 0;
  let highWater = 0;
  let gapUntil = -1;
  const pull = world.intervalHours / world.wanderHours;
  for (let step = 0; step < count; step += 1) {
    const age = step * world.intervalHours;
    const t = start.at + age;
    const load = loadAt(world, t, random.gauss());
    served += load * world.intervalHours;
    fast = world.noiseCorrelation * fast + Math.sqrt(1 - world.noiseCorrelation ** 2) * random.gauss();
    slow = (1 - pull) * slow + Math.sqrt(2 * pull) * random.gauss();
    phase += (world.intervalHours / world.gcPeriod) * (0.5 + 0.5 * load);
    let collected = false;
    if (phase >= 1) {
      phase %= 1;
      depth = random.between(0.75, 1.25);
      collected = true;
    }
    if (random.chance(world.gapChance)) gapUntil = t + random.between(0.5, 14);
    const moment: Moment = { t, age, load, served, replica, lifetime: index };
    const warm = world.warmUpShare * (1 - Math.exp(-age / world.warmUpHours)) - world.warmUpShare;
    let inHeap = heapShare * (1 + warm) + world.loadCoupling * (load - 1);
    let outside = (1 - heapShare) * (1 + warm) + world.wander * slow;
    for (const extra of plan.extras) {
      const share = extra.share(moment);
      inHeap += extra.heap * share;
      outside += (1 - extra.heap) * share;
    }
    let leakShare = 0;
    if (plan.leak !== undefined && (plan.leak.replicas === undefined || plan.leak.replicas.includes(replica))) {
      leakShare = plan.leak.share(moment);
      inHeap += plan.leak.heap * leakShare;
      outside += (1 - plan.leak.heap) * leakShare;
    }
    const garbage = world.gcDepth * depth * phase;
    const burst = world.burst > 0 && random.chance(0.02) ? world.burst * -Math.log(1 - random.unit()) * 0.5 : 0;
    const heap = inHeap + garbage + burst * 0.5;
    highWater = Math.max(highWater * 0.9995, heap);
    if (collected || liveAtFull === 0) liveAtFull = inHeap;
    const total = outside + (world.rssFollowsHeap || world.runtime === 'native' ? heap : highWater) + burst * 0.5 + world.noise * fast;
    if (t < gapUntil || random.chance(0.003)) continue;
    const scale = level * world.baseMb * MB;
    lifetime.time.push(START + Math.round((t * HOUR) / 1000) * 1000);
    lifetime.rss.push(Math.max(1 * MB, scale * total));
    lifetime.heapUsed?.push(Math.max(1, scale * (world.runtime === 'managed' ? heap : 0.3)));
    lifetime.heapLive?.push(Math.max(1, scale * liveAtFull));
    lifetime.workingSet?.push(scale * (total + 0.05));
    lifetime.load?.push(load * 40);
    leaked.push(scale * leakShare);
  }
  return { lifetime, leaked };
}

/** Lives the plan out; a leak ends the history soon after it is exhausted. */
export function live(world: World, plan: Plan, family: string, name: string): Case {
  const lines: Line[] = [];
  for (let replica = 0; replica < world.replicas; replica += 1) {
    const level = world.random.between(0.93, 1.07);
    const starts = world.starts(replica);
    for (const [index, start] of starts.entries()) {
      if (start.at >= world.hours) continue;
      const end = Math.min(world.hours, starts[index + 1]?.at ?? world.hours);
      const line = liveLifetime(world, plan, replica, index, start, end - 0.05, level);
      if (line.lifetime.time.length > 2) lines.push(line);
    }
  }
  const limit = world.limitShare > 0 ? Math.round(limitFor(world.limitShare, lines)) : 0;
  for (const line of lines) (line.lifetime as { limit: number }).limit = limit;
  const planned = plan.leak === undefined ? undefined : truthOf(lines, plan.leak, limit);
  // A leak whose replica ended before it began is none.
  const truth = planned !== undefined && Number.isFinite(planned.exhaustsAt) ? planned : undefined;
  if (truth !== undefined) cutAfter(lines, truth.exhaustsAt + 4 * HOUR);
  return { name, family, truth, lifetimes: lines.map(({ lifetime }) => lifetime).filter(({ time }) => time.length > 0) };
}

/** In shares of what it hardly ever passes without a leak; and never below what it does reach, for it would end with no leak at all. */
function limitFor(share: number, lines: readonly Line[]): number {
  const own = levelsWithoutLeak(lines);
  return Math.max(share * (own[Math.floor(own.length * 0.995)] ?? 0), HEADROOM * (own.at(-1) ?? 0));
}

/** Ascending. */
function levelsWithoutLeak(lines: readonly Line[]): number[] {
  return lines.flatMap(({ lifetime, leaked }) => lifetime.rss.map((rss, index) => rss - (leaked[index] as number))).sort((a, b) => a - b);
}

function truthOf(lines: readonly Line[], leak: NonNullable<Plan['leak']>, limit: number): Truth {
  const onsetAt = START + leak.onset * HOUR;
  let exhaustsAt = Number.POSITIVE_INFINITY;
  const rates: Record<string, number> = {};
  for (const line of lines) {
    const { lifetime, leaked } = line;
    const { time, rss } = lifetime;
    const grown = leaked.at(-1) as number;
    if (!(grown > 0)) continue;
    const begin = Math.max(onsetAt, time[0] as number);
    const at = Math.max(
      0,
      time.findIndex((t) => t >= begin),
    );
    // Its own level, not that of a process that has just started.
    const origin = limit > 0 ? (rss[at] as number) - (leaked[at] as number) : (levelsWithoutLeak([line])[rss.length >> 1] as number);
    const ceiling = limit > 0 ? limit : 2 * origin;
    const reached = time.findIndex((t, index) => t >= begin && (rss[index] as number) >= ceiling);
    const speed = (grown - (leaked[at] as number)) / Math.max(1, (time.at(-1) as number) - begin);
    if (leak.linear === true) rates[lifetime.instance] = speed * HOUR;
    exhaustsAt = Math.min(exhaustsAt, reached >= 0 ? (time[reached] as number) : begin + (ceiling - origin) / Math.max(speed, 1e-9));
  }
  return { onsetAt, exhaustsAt, kind: leak.heap >= 0.5 ? 'heap' : 'native', bytesPerHour: rates };
}

function cutAfter(lines: readonly Line[], end: number): void {
  for (const { lifetime } of lines) {
    const keep = lifetime.time.findIndex((t) => t > end);
    if (keep < 0) continue;
    for (const column of [lifetime.time, lifetime.rss, lifetime.heapUsed, lifetime.heapLive, lifetime.workingSet, lifetime.load])
      column?.splice(keep);
  }
}
