/** One made-up history of several services, told twice: as the batches of an agent and as a file for backtest. */
import type { Batch } from '../../shared/sample.ts';
import { lifetimeOf } from '../harness/sample-batch.ts';

const MB = 1_000_000;
export const MINUTE = 60_000;
export const HOUR = 60 * MINUTE;
export const START = Date.UTC(2026, 0, 5);
export const HOURS = 48;
/** Samples do not fall on whole minutes, and there are several to a block. */
const EVERY = 20_000;
const OFFSET = 7_000;

interface Values {
  readonly rss: number;
  readonly anon?: number;
  readonly swap?: number;
  readonly heap_used?: number;
  readonly heap_live?: number;
  readonly requests?: number;
}

interface Process {
  readonly service: string;
  readonly version: string;
  /** One value per lifetime, as a history file has it. */
  readonly instance: string;
  readonly runtime: 'native' | 'nodejs' | 'jvm' | 'go';
  readonly limit: number;
  /** Hours since the start of the history. */
  readonly from: number;
  readonly to: number;
  readonly silent?: (hour: number) => boolean;
  /** MB at a moment; `hour` since the start of the history, `age` since that of the process. */
  readonly at: (hour: number, age: number, noise: number) => Values;
}

/** Repeatable, in -1..1. */
function noiseOf(seed: number): number {
  const x = Math.sin(seed * 12.9898) * 43_758.5453;
  return 2 * (x - Math.floor(x)) - 1;
}

const warm = (age: number) => 1 - Math.exp(-age / 0.3);
const tooth = (hour: number, period: number) => (hour % period) / period;

const PROCESSES: readonly Process[] = [
  {
    ...{ service: 'ledger', version: 'v7', instance: 'ledger-0-0', runtime: 'native', limit: 1000, from: 0, to: HOURS },
    at: (hour, age, noise) => ({ rss: 300 * warm(age) + 20 * Math.max(0, hour - 24) + 3 * noise }),
  },
  {
    ...{ service: 'sessions', version: 'v1', instance: 'sessions-0-0', runtime: 'nodejs', limit: 900, from: 0, to: HOURS },
    at: (hour, age, noise) => {
      const live = 90 * warm(age) + 9 * age;
      return { rss: 60 + live + 40 * tooth(hour, 0.4) + noise, heap_used: live + 40 * tooth(hour, 0.4), heap_live: live };
    },
  },
  ...[0, 1, 2].map((replica): Process => ({
    ...{ service: 'search', version: 'v3', instance: `search-${replica}-0`, runtime: 'jvm', limit: 2000, from: 0, to: HOURS },
    at: (hour, age, noise) => {
      const heap = 300 * warm(age) + 200 * tooth(hour, 1.3) + (replica === 1 ? 32 * Math.max(0, hour - 12) : 0);
      return { rss: 900 + 5 * noise + (replica === 1 ? 32 * Math.max(0, hour - 12) : 0), anon: 500 + heap, heap_used: heap };
    },
  })),
  {
    ...{ service: 'shop', version: 'v2', instance: 'shop-0-0', runtime: 'go', limit: 800, from: 0, to: HOURS },
    at: (hour, age, noise) => ({
      rss: 250 * warm(age) + 90 * Math.sin((hour / 24) * 2 * Math.PI) + 4 * noise,
      requests: 1000 * hour * 3600 + (1000 * 3600 * 24 * 0.4 * (1 - Math.cos((hour / 24) * 2 * Math.PI))) / (2 * Math.PI),
    }),
  },
  {
    ...{ service: 'catalogue', version: 'v1', instance: 'catalogue-0-0', runtime: 'nodejs', limit: 0, from: 2, to: HOURS },
    silent: (hour) => (hour > 20 && hour < 22.5) || hour % 7 < 0.2,
    at: (_hour, age, noise) => ({ rss: 180 * warm(age) + 40 * (1 - Math.exp(-age / 5)) + 2 * noise, swap: 5 }),
  },
  {
    ...{ service: 'vault', version: 'v1', instance: 'vault-0-0', runtime: 'native', limit: 500, from: 0, to: HOURS },
    silent: (hour) => hour > 40 && hour < 43,
    at: (hour, age, noise) => ({ rss: 200 * warm(age) + noise, anon: 150 * warm(age) + noise, swap: 6 * Math.max(0, hour - 20) }),
  },
  // Restarted twice a day before it can run out.
  ...Array.from({ length: HOURS / 12 }, (_, life): Process => ({
    ...{ service: 'worker', version: 'v5', instance: `worker-0-${life}`, runtime: 'nodejs', limit: 700 },
    ...{ from: 12 * life, to: 12 * life + 11.95 },
    at: (_hour, age, noise) => ({ rss: 200 * warm(age) + 14 * age + 2 * noise }),
  })),
  // Two versions, one after the other; the second one leaks.
  {
    ...{ service: 'mailer', version: 'v1', instance: 'mailer-0-0', runtime: 'nodejs', limit: 600, from: 0, to: 30 },
    at: (_hour, age, noise) => ({ rss: 150 * warm(age) + 2 * noise }),
  },
  {
    ...{ service: 'mailer', version: 'v2', instance: 'mailer-0-1', runtime: 'nodejs', limit: 600, from: 30.05, to: HOURS },
    at: (_hour, age, noise) => ({ rss: 160 * warm(age) + 12 * age + 2 * noise }),
  },
  // Each hides in its noise what they show together.
  ...[0, 1, 2, 3].map((replica): Process => ({
    ...{ service: 'feed', version: 'v4', instance: `feed-${replica}-0`, runtime: 'native', limit: 900, from: 0, to: HOURS },
    at: (hour, age, noise) => {
      const stray = 35 * noiseOf(Math.floor(3 * hour) + 31 * replica);
      return { rss: 300 * warm(age) + stray + 12 * Math.max(0, hour - 30) + 2 * noise };
    },
  })),
];

const METRICS = ['rss', 'anon', 'swap', 'heap_used', 'heap_live', 'requests'] as const;

interface Sample {
  readonly process: number;
  readonly time: number;
  readonly values: Partial<Record<(typeof METRICS)[number], number>>;
}

function sampleTimes({ from, to, silent = () => false }: Process): number[] {
  const times: number[] = [];
  for (let time = START + OFFSET; time < START + HOURS * HOUR; time += EVERY) {
    const hour = (time - START) / HOUR;
    if (hour >= from && hour < to && !silent(hour)) times.push(time);
  }
  return times;
}

const firstTimes = PROCESSES.map((process) => sampleTimes(process)[0] ?? Number.NaN);

/** Every sample, in order of time. */
const samples: readonly Sample[] = PROCESSES.flatMap((process, index) =>
  sampleTimes(process).map((time) => {
    const hour = (time - START) / HOUR;
    const { requests, ...sizes } = process.at(hour, hour - process.from, noiseOf(time / 1000 + 977 * index));
    const bytes = Object.fromEntries(Object.entries(sizes).map(([name, size]) => [name, Math.round(size * MB)]));
    return { process: index, time, values: { ...bytes, ...(requests === undefined ? {} : { requests: Math.round(requests) }) } };
  }),
).sort((a, b) => a.time - b.time || a.process - b.process);

/** One batch an hour, as an agent would send it after an hour without a network. */
export function toldAsBatches(): Batch[] {
  return Array.from({ length: HOURS }, (_, hour): Batch => {
    const own = samples.filter(({ time }) => Math.floor((time - START) / HOUR) === hour);
    const of = <Value>(value: (process: Process, index: number) => Value) => PROCESSES.map(value);
    return {
      ...{ v: 1, agent: 'agent', boot: 'boot', seq: hour, sent_at: START + (hour + 1) * HOUR },
      processes: {
        lifetime: of((_process, index) => lifetimeOf('told', index)),
        service: of(({ service }) => service),
        environment: of(() => ''),
        version: of(({ version }) => version),
        host: of(() => 'host'),
        instance: of(({ instance }) => instance),
        pid: of((_process, index) => 100 + index),
        process_started_at: firstTimes,
        runtime: of(({ runtime }) => runtime),
        labels: of(() => ({})),
      },
      samples: {
        process: own.map(({ process }) => process),
        time: own.map(({ time }) => time),
        ...Object.fromEntries(METRICS.map((name) => [name, own.map(({ values }) => values[name] ?? null)])),
        memory_limit: own.map(({ process }) => (PROCESSES[process] as Process).limit * MB),
      },
    };
  });
}

export function toldAsCsv(): string {
  const lines = samples.map(({ process, time, values }) => {
    const { service, version, instance, limit } = PROCESSES[process] as Process;
    return [time, service, version, instance, limit * MB, ...METRICS.map((name) => values[name] ?? '')].join(',');
  });
  return `time,service,version,instance,limit,${METRICS.join(',')}\n${lines.join('\n')}\n`;
}
