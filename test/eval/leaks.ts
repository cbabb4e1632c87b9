/** Families of services that leak. Speed is set by the time from onset to exhaustion, from an hour to two weeks. */
import type { Case } from './corpus-case.ts';
import { createRandom, type Random } from './random.ts';
import { live, ordinaryWorld, type Plan, type World } from './world.ts';

type Family = (world: World, random: Random, onset: number, perHour: number) => Plan;

/** Hours to exhaustion are drawn first, the rate follows from the room there is. */
const line = (onset: number, perHour: number) => (t: number) => Math.max(0, t - onset) * perHour;

const heapOf = (world: World, random: Random) => (world.runtime === 'managed' && random.chance(0.75) ? 1 : 0);

export const LEAKS: Readonly<Record<string, Family>> = {
  linear: (world, random, onset, perHour) => {
    const grown = line(onset, perHour);
    return {
      extras: [],
      leak: { onset, heap: heapOf(world, random), linear: true, share: ({ t, age }) => grown(t) - (t - age > onset ? grown(t - age) : 0) },
    };
  },
  'very slow': (world, random) => {
    const onset = random.between(0.1, 0.3) * world.hours;
    const total = random.between(0.08, 0.15);
    const perHour = total / (world.hours - onset);
    world.starts = () => [{ at: 0, version: 'v1' }];
    world.limitShare = 1 + total * random.between(0.9, 1.3) + 0.05;
    const grown = line(onset, perHour);
    return { extras: [], leak: { onset, heap: heapOf(world, random), linear: true, share: ({ t }) => grown(t) } };
  },
  'per request': (world, random, onset, perHour) => {
    world.starts = () => [{ at: 0, version: 'v1' }];
    let servedAtOnset: number | undefined;
    return {
      extras: [],
      leak: {
        onset,
        heap: heapOf(world, random),
        share: ({ t, served }) => {
          if (t < onset) {
            servedAtOnset = undefined;
            return 0;
          }
          servedAtOnset ??= served;
          return (served - servedAtOnset) * perHour;
        },
      },
    };
  },
  staircase: (world, random, onset, perHour) => {
    const every = 24;
    world.starts = () => [{ at: 0, version: 'v1' }];
    return {
      extras: [],
      leak: {
        onset,
        heap: heapOf(world, random),
        share: ({ t }) => (t < onset ? 0 : (1 + Math.floor((t - onset) / every)) * every * perHour),
      },
    };
  },
  'under a deep sawtooth': (world, random, onset, perHour) => {
    world.gcDepth = random.between(0.15, 0.5);
    world.gcPeriod = random.scale(0.1, 5);
    const grown = line(onset, perHour);
    world.starts = () => [{ at: 0, version: 'v1' }];
    return { extras: [], leak: { onset, heap: world.runtime === 'managed' ? 1 : 0, linear: true, share: ({ t }) => grown(t) } };
  },
  native: (world, _, onset, perHour) => {
    const grown = line(onset, perHour);
    world.starts = () => [{ at: 0, version: 'v1' }];
    return { extras: [], leak: { onset, heap: 0, linear: true, share: ({ t }) => grown(t) } };
  },
  'one replica of five': (world, random, onset, perHour) => {
    (world as { replicas: number }).replicas = 5;
    world.starts = () => [{ at: 0, version: 'v1' }];
    const grown = line(onset, perHour);
    return {
      extras: [],
      leak: { onset, replicas: [random.int(0, 4)], heap: heapOf(world, random), linear: true, share: ({ t }) => grown(t) },
    };
  },
  'from a deploy on': (world, random, onset, perHour) => {
    world.starts = (replica) => [
      { at: 0, version: 'v1' },
      { at: onset + replica * 0.1, version: 'v2' },
    ];
    return {
      extras: [],
      leak: { onset, heap: heapOf(world, random), linear: true, share: ({ lifetime, age }) => (lifetime >= 1 ? age * perHour : 0) },
    };
  },
  'from the first start': (world, random, _, perHour) => {
    world.starts = () => [{ at: 0, version: 'v1' }];
    return { extras: [], leak: { onset: 0, heap: heapOf(world, random), linear: true, share: ({ age }) => age * perHour } };
  },
  accelerating: (world, random, onset, perHour) => {
    world.starts = () => [{ at: 0, version: 'v1' }];
    const left = world.hours - onset;
    return {
      extras: [],
      leak: { onset, heap: heapOf(world, random), share: ({ t }) => (t < onset ? 0 : perHour * left * ((t - onset) / left) ** 1.8) },
    };
  },
  'behind a filling cache': (world, random, _, perHour) => {
    const size = random.between(0.1, 0.35);
    const tau = random.scale(2, 12);
    world.limitShare = Math.max(1.4, world.limitShare);
    world.starts = () => [{ at: 0, version: 'v1' }];
    return {
      extras: [{ share: ({ age }) => size * (1 - Math.exp(-age / tau)) - size, heap: random.pick([0, 1]) }],
      leak: { onset: 0, heap: heapOf(world, random), share: ({ age }) => age * perHour },
    };
  },
  'reset by daily restarts': (world, random, onset, perHour) => {
    const every = random.pick([24, 24, 12]);
    world.starts = () => Array.from({ length: Math.floor(world.hours / every) }, (_, day) => ({ at: day * every, version: 'v1' }));
    const begins = Math.ceil(onset / every) * every;
    return {
      extras: [],
      leak: {
        onset: begins,
        heap: heapOf(world, random),
        linear: true,
        share: ({ t, age }) => (t - age >= begins - 0.01 ? age * perHour : 0),
      },
    };
  },
  'behind heavy noise': (world, random, onset, perHour) => {
    (world as { noise: number }).noise = random.between(0.02, 0.06);
    world.wander = random.between(0.005, 0.02);
    world.starts = () => [{ at: 0, version: 'v1' }];
    const grown = line(onset, perHour);
    return { extras: [], leak: { onset, heap: heapOf(world, random), linear: true, share: ({ t }) => grown(t) } };
  },
  'with gaps': (world, random, onset, perHour) => {
    (world as { gapChance: number }).gapChance = random.between(0.001, 0.004);
    world.starts = () => [{ at: 0, version: 'v1' }];
    const grown = line(onset, perHour);
    return { extras: [], leak: { onset, heap: heapOf(world, random), linear: true, share: ({ t }) => grown(t) } };
  },
};

/** Hours from onset to exhaustion; families whose shape needs days get days. */
function hoursToExhaustion(family: string, random: Random): number {
  if (family === 'staircase') return random.scale(4 * 24, 14 * 24);
  if (family === 'reset by daily restarts') return random.scale(30, 10 * 24);
  if (family === 'behind a filling cache') return random.scale(24, 14 * 24);
  return random.chance(0.25) ? random.scale(1, 12) : random.scale(12, 14 * 24);
}

export function leakCase(family: string, seed: number, stretch: number): Case {
  const random = createRandom(seed, stretch);
  const world = ordinaryWorld(random);
  if (world.limitShare > 3) world.limitShare = 3;
  const hours = hoursToExhaustion(family, random);
  const onset = random.between(0.25, 0.55) * world.hours;
  // The rate is room over hours; the history ends soon after exhaustion.
  if (family !== 'very slow')
    world.hours = Math.min(28 * 24, Math.max(48, onset + hours * 1.3 + 12 + (family === 'reset by daily restarts' ? 96 : 0)));
  const room = world.limitShare > 0 ? world.limitShare - 1 + 0.03 : 1;
  const plan = (LEAKS[family] as Family)(world, random, Math.min(onset, world.hours * 0.8), room / hours);
  return live(world, plan, family, `${family} ${String(seed)}`);
}
