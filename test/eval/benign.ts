/** Families of services that do not leak, each with what makes it look as if it did. */
import type { Case } from './corpus-case.ts';
import { createRandom, type Random } from './random.ts';
import { live, ordinaryWorld, type Extra, type Moment, type World } from './world.ts';

type Family = (world: World, random: Random) => Extra[];

const outside = (share: (moment: Moment) => number): Extra => ({ share, heap: 0 });

/** A repeatable number in 0..1 for a whole number: the same day is the same night's batch in every replica. */
function hash(index: number, salt: number): number {
  const x = Math.sin(index * 127.1 + salt * 311.7) * 43758.5453;
  return x - Math.floor(x);
}

export const BENIGN: Readonly<Record<string, Family>> = {
  steady: () => [],
  'slow wandering': (world, random) => {
    world.wander = random.between(0.015, 0.06);
    world.wanderHours = random.scale(10, 150);
    return [];
  },
  'short warm-up': (world, random) => {
    world.warmUpShare = random.between(0.3, 0.7);
    world.warmUpHours = random.between(0.2, 1.5);
    return [];
  },
  'long warm-up': (world, random) => {
    world.warmUpShare = random.between(0.2, 0.6);
    world.warmUpHours = random.between(2, 9);
    return [];
  },
  'deep sawtooth': (world, random) => {
    world.gcDepth = random.between(0.15, 0.6);
    world.gcPeriod = random.scale(0.1, 6);
    return [];
  },
  'slow sawtooth': (world, random) => {
    world.gcDepth = random.between(0.1, 0.4);
    world.gcPeriod = random.between(6, 26);
    return [];
  },
  'old generation': (world, random) => {
    world.gcDepth = random.between(0.15, 0.5);
    world.gcPeriod = random.between(24, 60);
    world.showsLive = random.chance(0.6);
    return [];
  },
  'daily and weekly load': (world, random) => {
    world.loadCoupling = random.between(0.08, 0.35);
    return [];
  },
  'load doubles': (world, random) => {
    world.loadCoupling = random.between(0.08, 0.3);
    (world as { showsLoad: boolean }).showsLoad = random.chance(0.85);
    const from = random.between(0.1, 0.4) * world.hours;
    world.loadTrend = (t) => 1 + Math.min(1, Math.max(0, (t - from) / 168));
    return [];
  },
  'cache fills exponentially': (_, random) => {
    const size = random.between(0.15, 0.5);
    const tau = random.scale(3, 20);
    return [{ share: ({ age }) => size * (1 - Math.exp(-age / tau)) - size, heap: random.pick([0, 1]) }];
  },
  'cache fills and stops': (_, random) => {
    const size = random.between(0.1, 0.4);
    const fill = random.between(10, 48);
    return [{ share: ({ age }) => size * Math.min(1, age / fill) - size, heap: random.pick([0, 1]) }];
  },
  'allocator creep': (_, random) => {
    const size = random.between(0.02, 0.06);
    const unit = random.scale(0.2, 5);
    return [outside(({ age }) => size * Math.log1p(age / unit))];
  },
  'heap expands in steps': (world, random) => {
    const steps = random.int(2, 5);
    const size = random.between(0.03, 0.12);
    const times = Array.from({ length: steps }, () => random.scale(2, world.hours * 0.6));
    return [{ share: ({ age }) => size * times.filter((at) => at <= age).length, heap: random.pick([0, 0.5]) }];
  },
  'level steps': (world, random) => {
    const changes = Array.from({ length: random.int(1, 3) }, () => ({
      at: random.between(0.1, 0.9) * world.hours,
      by: random.between(-0.2, 0.3),
    }));
    return [outside(({ t }) => changes.reduce((sum, { at, by }) => sum + (t >= at ? by : 0), 0))];
  },
  'step at a deploy': (world, random) => {
    const at = random.between(0.3, 0.7) * world.hours;
    const by = random.between(0.08, 0.4);
    world.starts = (replica) => [
      { at: 0, version: 'v1' },
      { at: at + replica * 0.15, version: 'v2' },
    ];
    return [outside(({ lifetime }) => (lifetime >= 1 ? by : 0))];
  },
  'daily restarts': (world, random) => {
    const every = random.pick([24, 24, 12, 48]);
    const offset = random.between(0, 12);
    world.warmUpShare = random.between(0.1, 0.5);
    world.warmUpHours = random.scale(0.3, 4);
    world.starts = (replica) => [{ at: 0, version: 'v1' }, ...everyHours(every, offset + replica * 0.2, world.hours)];
    return [];
  },
  'short lives': (world, random) => {
    const span = random.between(3, 14);
    world.warmUpShare = random.between(0.1, 0.5);
    world.warmUpHours = random.between(0.2, 2);
    world.starts = (replica) => [{ at: 0, version: 'v1' }, ...everyHours(span, span * (0.5 + 0.1 * replica), world.hours)];
    return [];
  },
  'nightly batch': (_, random) => {
    const size = random.between(0.15, 0.6);
    const from = random.between(0, 5);
    const span = random.between(0.5, 4);
    const keep = random.chance(0.5) ? random.between(2, 8) : 0.2;
    return [
      outside(({ t }) => {
        const hour = (((t - from) % 24) + 24) % 24;
        const peak = size * (0.8 + 0.4 * hash(Math.floor((t - from) / 24), 1));
        return hour < span ? (peak * hour) / span : peak * Math.exp(-(hour - span) / keep);
      }),
    ];
  },
  'heavy bursts': (_, random) => {
    const rate = random.between(0.02, 0.15);
    const tail = random.scale(0.2, 3);
    return [
      outside(({ t }) => {
        let sum = 0;
        for (let back = 0; back < 8; back += 1) {
          const slot = Math.floor(t) - back;
          if (hash(slot, 7) > rate) continue;
          const size = Math.min(1, 0.05 * hash(slot, 8) ** -0.7);
          const since = t - slot - hash(slot, 9);
          if (since >= 0) sum += size * Math.exp(-since / tail);
        }
        return sum;
      }),
    ];
  },
  'recovers to an earlier level': (world, random) => {
    const at = random.between(0.25, 0.6) * world.hours;
    const dip = random.between(0.2, 0.5);
    const hold = random.between(1, 20);
    const back = random.between(4, 48);
    return [outside(({ t }) => (t < at ? 0 : t < at + hold ? -dip : -dip * Math.max(0, 1 - (t - at - hold) / back)))];
  },
  'page cache in the working set': (world, random) => {
    (world as { showsWorkingSet: boolean }).showsWorkingSet = true;
    pageCache.set(world, random.between(0.002, 0.02));
    return [];
  },
};

/** Page cache per hour in shares of the base: fills the working set, not the resident set. */
const pageCache = new WeakMap<World, number>();

function everyHours(every: number, offset: number, hours: number): { at: number; version: string }[] {
  const starts: { at: number; version: string }[] = [];
  for (let at = offset > 0.5 ? offset : every + offset; at < hours - 1; at += every) starts.push({ at, version: 'v1' });
  return starts;
}

export function benignCase(family: string, seed: number, stretch: number): Case {
  const random = createRandom(seed, stretch);
  const world = ordinaryWorld(random);
  const build = BENIGN[family] as Family;
  const extras = build(world, random);
  const made = live(world, { extras }, family, `${family} ${String(seed)}`);
  const perHour = pageCache.get(world);
  if (perHour !== undefined) {
    for (const { workingSet, time } of made.lifetimes) {
      workingSet?.forEach((value, index) => {
        workingSet[index] =
          value + Math.min(2, perHour * (((time[index] as number) - (time[0] as number)) / 3_600_000)) * world.baseMb * 1e6;
      });
    }
  }
  return made;
}
