/** Batches as an agent would send them, for tests. */
import type { Batch } from '../../shared/sample.ts';

export interface SampleBatchOptions {
  readonly agent?: string;
  readonly boot?: string;
  readonly seq: number;
  /** Milliseconds UTC of the sample. */
  readonly time: number;
  /** One sample of each of so many processes. */
  readonly processes?: number;
}

/** Every value follows from agent, seq and process, so a judge can tell what should be stored. */
export function sampleBatch({ agent = 'agent', boot = 'boot', seq, time, processes = 2 }: SampleBatchOptions): Batch {
  const ids = Array.from({ length: processes }, (_, index) => index);
  return {
    v: 1,
    agent,
    boot,
    seq,
    sent_at: time,
    processes: {
      lifetime: ids.map((id) => lifetimeOf(agent, id)),
      service: ids.map((id) => `service-${id % 20}`),
      environment: ids.map(() => 'test'),
      version: ids.map(() => '1.0'),
      host: ids.map(() => `host-of-${agent}`),
      instance: ids.map((id) => `${agent}-${id}`),
      pid: ids.map((id) => 1000 + id),
      process_started_at: ids.map(() => 1_700_000_000_000),
      runtime: ids.map(() => 'nodejs'),
      labels: ids.map(() => ({ team: 'a' })),
    },
    samples: {
      process: ids,
      time: ids.map(() => time),
      rss: ids.map((id) => rssOf(seq, id)),
      anon: ids.map((id) => rssOf(seq, id) - 4096),
      heap_used: ids.map((id) => (id % 2 === 0 ? 1_000_000 + seq : null)),
      gc_count: ids.map(() => seq),
      cpu_seconds: ids.map((id) => seq / 8 + id),
      threads: ids.map(() => 11),
    },
  };
}

export const rssOf = (seq: number, process: number) => 50_000_000 + seq * 4096 + process;

/** 16 hex digits that depend on both. */
export function lifetimeOf(agent: string, process: number): string {
  let hash = 0xcbf29ce484222325n;
  for (const character of `${agent}/${process}`) hash = BigInt.asUintN(64, (hash ^ BigInt(character.charCodeAt(0))) * 0x100000001b3n);
  return hash.toString(16).padStart(16, '0');
}
