/**
 * What agents of a fleet flush, as benches need it: 50 processes an agent, one sample each every ten seconds, 14 metrics
 * that move like real ones (resident memory in pages, a heap that saws, counters that grow). Seeded: the same call makes
 * the same rows. Each flush as our columnar message and as the JSONEachRow text that ClickHouse's Kafka engine reads.
 */
import { appendProcess, emptyProcesses, type Batch, type ProcessIdentity } from '../../shared/sample.ts';
import { lifetimeOf } from '../harness/sample-batch.ts';
import { createRandom, type Random } from '../eval/random.ts';

export const PROCESSES = 50;
const RUNTIMES = ['python', 'nodejs', 'jvm', 'go'] as const;
const MIB = 2 ** 20;

type Process = Omit<ProcessIdentity, 'labels'> & { readonly labels: Record<string, string> };

interface State {
  rss: number;
  heap: number;
  collections: number;
  pauseNs: number;
  cpuTicks: number;
}

/** One agent and its processes; `flush` moves them on by one sample. */
export class FleetAgent {
  readonly name: string;
  readonly #random: Random;
  readonly #processes: readonly Process[];
  readonly #states: State[];
  #seq = 0;

  constructor(index: number, services = 400) {
    this.name = `agent-${String(index).padStart(5, '0')}`;
    this.#random = createRandom(index + 1);
    this.#processes = Array.from({ length: PROCESSES }, (_, id) => {
      const service = `team-${(index + id) % 23}-service-${(index * 7 + id) % services}`;
      return {
        lifetime: lifetimeOf(this.name, id),
        service,
        environment: 'production',
        version: `2.${(index + id) % 14}.${id % 5}`,
        host: `ip-10-${index >> 8}-${index & 255}.eu-west-1.compute.internal`,
        instance: `${service}-7d9f${index.toString(36)}-${id.toString(36)}`,
        pid: 1000 + id * 37,
        process_started_at: 1_790_000_000_000 + id * 60_000 + index,
        runtime: RUNTIMES[id % 4]!,
        labels: { team: `team-${(index + id) % 23}`, region: 'eu-west-1' },
      };
    });
    this.#states = this.#processes.map(() => ({
      rss: Math.floor(40 + this.#random.unit() * 400) * MIB,
      heap: Math.floor(this.#random.unit() * 200) * MIB,
      collections: Math.floor(this.#random.unit() * 1000),
      pauseNs: Math.floor(this.#random.unit() * 1e9),
      cpuTicks: Math.floor(this.#random.unit() * 1e5),
    }));
  }

  flush(time: number): Batch {
    const draw = () => this.#random.unit();
    for (const state of this.#states) {
      state.heap += Math.floor(draw() * 4 * MIB);
      if (state.heap > 300 * MIB) {
        state.heap = Math.floor(state.heap / 3);
        state.collections++;
        state.pauseNs += Math.floor(draw() * 3e7);
      }
      if (draw() < 0.3) state.rss = Math.max(10 * MIB, state.rss + Math.floor((draw() - 0.5) * 200) * 4096);
      state.cpuTicks += Math.floor(draw() * 300);
    }
    const processes = emptyProcesses();
    for (const process of this.#processes) appendProcess(processes, process);
    const of = (read: (state: State, index: number) => number) => this.#states.map(read);
    return {
      v: 1,
      agent: this.name,
      boot: `boot-of-${this.name}`,
      seq: this.#seq++,
      sent_at: time + 3,
      processes,
      samples: {
        process: of((_, index) => index),
        time: of(() => time),
        rss: of(({ rss }) => rss),
        anon: of(({ rss }) => rss - 8 * MIB),
        swap: of(() => 0),
        working_set: of(({ rss }) => rss + 3 * MIB),
        cgroup_anon: of(({ rss }) => rss - 5 * MIB),
        memory_limit: of(() => 512 * MIB),
        heap_used: of(({ heap }) => heap),
        heap_committed: of(({ heap }) => heap + 16 * MIB),
        external: of(({ collections }) => 1_000_000 + collections * 8),
        gc_count: of(({ collections }) => collections),
        gc_pause_seconds: of(({ pauseNs }) => pauseNs / 1e9),
        cpu_seconds: of(({ cpuTicks }) => cpuTicks / 100),
        threads: of((_, index) => 11 + (index % 5)),
        open_fds: of(({ collections }) => 30 + (collections % 40)),
      },
    };
  }
}

/** The same samples, a JSON object a line. */
export function toJsonEachRow({ agent, boot, seq, processes, samples }: Batch): string {
  const { process, time, ...metrics } = samples;
  const identities = Object.entries(processes);
  const columns = Object.entries(metrics);
  return process
    .map((index, row) =>
      JSON.stringify({
        ...Object.fromEntries(identities.map(([name, values]) => [name, values[index]])),
        time: time[row],
        ...Object.fromEntries(columns.map(([name, values]) => [name, values[row]])),
        agent,
        boot,
        seq,
      }),
    )
    .join('\n');
}
