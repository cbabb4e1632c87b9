/**
 * Histories shaped like those of real machines and real JVM heaps rather than like one textbook effect: jobs that come and go,
 * regimes, backups, caches dropped by maintenance; heaps whose old generation climbs until a collection takes it down.
 */
import type { Case, CaseLifetime, Truth } from './corpus-case.ts';
import { createRandom, type Random } from './random.ts';

const HOUR = 3_600_000;
const START = Date.UTC(2026, 4, 4);
const MB = 1_000_000;

function emptyLifetime(limit: number, heap: boolean, live: boolean): CaseLifetime {
  return {
    instance: 'host-0-0',
    version: '',
    time: [],
    rss: [],
    heapUsed: heap ? [] : undefined,
    heapLive: live ? [] : undefined,
    workingSet: undefined,
    load: undefined,
    limit,
  };
}

/**
 * A machine's level over time in shares of its base: the sum of what runs on it. How large, long and frequent its parts are was fitted
 * to real machines by what seven rules in use say of them (false alarms and F1 of each; `docs/detection.md`).
 */
function machineLevel(random: Random, hours: number): (t: number) => number {
  const parts: ((t: number) => number)[] = [];
  const busy = random.chance(0.6) ? random.scale(1, 25) : 0;
  const jobs = Math.round((busy * hours) / 168);
  const typical = random.scale(0.04, 0.11);
  const longest = random.scale(2, 90);
  for (let job = 0; job < jobs; job += 1) {
    const from = random.between(-20, hours);
    const span = random.scale(0.15, longest);
    const size = typical * Math.exp(0.3 * random.gauss());
    const rise = random.chance(0.6) ? random.scale(0.05, 0.5 * span + 0.06) : random.scale(0.01, 0.1);
    parts.push((t) => (t < from || t > from + span ? 0 : size * Math.min(1, (t - from) / rise)));
  }
  const daily = random.chance(0.5) ? random.between(0, 0.01) : 0;
  const phase = random.between(0, 24);
  parts.push((t) => daily * Math.sin((2 * Math.PI * (t - phase)) / 24) * (Math.floor(t / 24) % 7 >= 5 ? 0.4 : 1));
  if (random.chance(0.4)) {
    const at = random.between(0, 24);
    const size = random.between(0.003, 0.03);
    const decay = random.scale(0.3, 10);
    parts.push((t) => size * Math.exp(-((((t - at) % 24) + 24) % 24) / decay));
  }
  if (random.chance(0.2)) {
    // File pages or slabs that creep and are dropped by maintenance.
    const every = random.between(60, 300);
    const size = random.between(0.02, 0.1);
    const offset = random.between(0, every);
    parts.push((t) => (size * ((t + offset) % every)) / every);
  }
  if (random.chance(0.1)) {
    const at = random.between(0.1, 0.9) * hours;
    const by = random.between(-0.25, 0.25);
    const over = random.scale(0.02, 0.2);
    parts.push((t) => by * Math.min(1, Math.max(0, (t - at) / over)));
  }
  return (t) => parts.reduce((sum, part) => sum + part(t), 1);
}

export function machineCase(seed: number, stretch: number, leaks: boolean): Case {
  const random = createRandom(seed, stretch);
  const hours = random.pick([7, 7, 7, 14, 28]) * 24;
  const interval = random.pick([1, 5, 5]) / 60;
  const level = machineLevel(random, hours);
  const base = random.scale(100, 8000) * MB;
  const noise = random.scale(0.0018, 0.03);
  const correlation = Math.exp(-interval / random.scale(0.02, 0.95));
  const wander = random.scale(0.001, 0.05);
  const pull = interval / random.scale(0.5, 40);
  const lifetime = emptyLifetime(0, false, false);
  let fast = 0;
  let slow = random.gauss();
  const values: number[] = [];
  for (let t = 0; t < hours; t += interval) {
    fast = correlation * fast + Math.sqrt(1 - correlation ** 2) * random.gauss();
    slow = (1 - pull) * slow + Math.sqrt(2 * pull) * random.gauss();
    lifetime.time.push(START + Math.round((t * HOUR) / 1000) * 1000);
    values.push(base * Math.max(0.05, level(t) + noise * fast + wander * slow));
  }
  const sorted = [...values].sort((a, b) => a - b);
  const median = sorted[sorted.length >> 1] as number;
  const highest = sorted.at(-1) as number;
  const family = leaks ? 'leak on a machine' : 'machine';
  const name = `${family} ${String(seed)}`;
  (lifetime as { limit: number }).limit = Math.max(1.8 * median, 1.15 * highest);
  if (!leaks) {
    lifetime.rss.push(...values);
    return { name, family, truth: undefined, lifetimes: [lifetime] };
  }
  const span = random.chance(0.08) ? random.scale(1, 12) : random.scale(12, 14 * 24);
  const truth = injectLeak(lifetime, values, Math.min(96, hours * 0.4) * HOUR + START, span * HOUR);
  return { name, family, truth, lifetimes: [lifetime] };
}

/** Adds a ramp that takes the level at its onset to the limit within `span` ms, and ends the history soon after. */
export function injectLeak(lifetime: CaseLifetime, values: readonly number[], onsetAt: number, span: number): Truth {
  const at = lifetime.time.findIndex((t) => t >= onsetAt);
  const rate = (lifetime.limit - (values[at] as number)) / span;
  const grown = values.map((value, index) => value + Math.max(0, (lifetime.time[index] as number) - onsetAt) * rate);
  const reached = grown.findIndex((value, index) => index >= at && value >= lifetime.limit);
  const exhaustsAt = reached >= 0 ? (lifetime.time[reached] as number) : onsetAt + span;
  const end = lifetime.time.findIndex((t) => t > exhaustsAt + HOUR);
  lifetime.rss.push(...grown);
  if (end >= 0) for (const column of [lifetime.time, lifetime.rss, lifetime.load]) column?.splice(end);
  return { onsetAt, exhaustsAt, kind: 'native', bytesPerHour: { [lifetime.instance]: rate * HOUR } };
}

/** A heap that does not leak: young collections every few minutes, an old generation that climbs until it is collected. */
export function heapCase(seed: number, stretch: number): Case {
  const random = createRandom(seed, stretch);
  const hours = random.pick([7, 14, 21]) * 24;
  const interval = random.pick([1, 1, 2, 5]) / 60;
  const max = random.scale(250, 8000) * MB;
  const liveShare = random.between(0.1, 0.45);
  const daily = random.between(0, 0.6);
  const young = random.between(0.03, 0.3);
  const youngHours = random.scale(0.02, 1.5);
  const climbHours = random.scale(3, 120);
  const trigger = random.between(0.45, 0.85);
  const jitter = random.between(0, 0.15);
  const told = random.pick(['nothing', 'nothing', 'used', 'used and live']);
  const showsLive = told === 'used and live';
  // Pages that a heap once needed and keeps are growth without a visible cause unless the heap is told.
  const asRss = random.pick(told === 'nothing' ? ['heap', 'heap plus'] : ['heap', 'committed', 'heap plus']);
  const lifetime = emptyLifetime(Math.round(asRss === 'heap' ? max : 1.25 * max), told !== 'nothing', showsLive);
  let old = 0;
  let phase = 0;
  let threshold = trigger;
  let committed = 0;
  let afterFull = liveShare;
  for (let t = 0; t < hours; t += interval) {
    const load = Math.max(0.05, 1 + daily * Math.sin((2 * Math.PI * (t - 9)) / 24) + 0.05 * random.gauss());
    const warm = liveShare * (0.6 + 0.4 * (1 - Math.exp(-t / 1.5))) + 0.02 * (load - 1);
    old += ((trigger - liveShare) * interval * load) / climbHours;
    if (warm + old > threshold) {
      old *= random.between(0, 0.1);
      threshold = trigger + jitter * random.gauss() * 0.3;
      afterFull = warm + old;
    }
    phase = (phase + (interval / youngHours) * load) % 1;
    const used = Math.min(0.98, warm + old + young * phase * random.between(0.9, 1.1));
    committed = Math.max(committed, Math.min(1, used * 1.05));
    lifetime.time.push(START + Math.round((t * HOUR) / 1000) * 1000);
    const resident = asRss === 'heap' ? used : asRss === 'committed' ? committed + 0.12 : used + 0.12;
    lifetime.rss.push(max * resident);
    lifetime.heapUsed?.push(max * used);
    lifetime.heapLive?.push(max * afterFull);
  }
  return { name: `JVM heap ${String(seed)}`, family: 'JVM heap', truth: undefined, lifetimes: [lifetime] };
}
