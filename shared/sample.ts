/**
 * The vocabulary of one memory sample: its metrics, its identity, and the columnar batch that
 * carries many of them. The metric names are also the SQL columns and the backtest columns.
 * Encoding and decoding live in `shared/wire.ts`.
 */

/** How a metric behaves over time: `gauge` goes up and down, `counter` only grows within a process lifetime. */
type MetricKind = 'gauge' | 'counter';

interface Metric {
  readonly unit: 'By' | 's' | '1';
  readonly kind: MetricKind;
  /** `process` metrics belong to one pid, `cgroup` metrics to the container around it, `runtime` ones come from inside. */
  readonly scope: 'process' | 'cgroup' | 'runtime';
  readonly doc: string;
}

/** Every metric a sample can carry. Absent means unknown and is never written as 0. */
export const METRICS = {
  rss: { unit: 'By', kind: 'gauge', scope: 'process', doc: 'resident set size (VmRSS)' },
  anon: { unit: 'By', kind: 'gauge', scope: 'process', doc: 'resident anonymous memory (RssAnon)' },
  pss: { unit: 'By', kind: 'gauge', scope: 'process', doc: 'proportional set size (smaps_rollup)' },
  uss: { unit: 'By', kind: 'gauge', scope: 'process', doc: 'unique set size: private clean + private dirty' },
  swap: { unit: 'By', kind: 'gauge', scope: 'process', doc: 'swapped-out memory (VmSwap)' },
  working_set: { unit: 'By', kind: 'gauge', scope: 'cgroup', doc: 'cgroup usage minus inactive file pages' },
  cgroup_anon: { unit: 'By', kind: 'gauge', scope: 'cgroup', doc: 'anonymous memory of the cgroup' },
  memory_limit: { unit: 'By', kind: 'gauge', scope: 'cgroup', doc: 'memory limit of the cgroup; 0 = none' },
  heap_used: { unit: 'By', kind: 'gauge', scope: 'runtime', doc: 'heap in use, garbage included' },
  heap_live: { unit: 'By', kind: 'gauge', scope: 'runtime', doc: 'heap in use right after the last full collection' },
  heap_committed: { unit: 'By', kind: 'gauge', scope: 'runtime', doc: 'heap the runtime holds from the system' },
  heap_limit: { unit: 'By', kind: 'gauge', scope: 'runtime', doc: 'largest heap the runtime allows itself' },
  external: { unit: 'By', kind: 'gauge', scope: 'runtime', doc: 'off-heap memory the runtime knows of' },
  gc_count: { unit: '1', kind: 'counter', scope: 'runtime', doc: 'collections of any kind since process start' },
  gc_full_count: { unit: '1', kind: 'counter', scope: 'runtime', doc: 'full collections since process start' },
  gc_pause_seconds: { unit: 's', kind: 'counter', scope: 'runtime', doc: 'time spent in collections since process start' },
  cpu_seconds: { unit: 's', kind: 'counter', scope: 'process', doc: 'user + system CPU time since process start' },
  requests: { unit: '1', kind: 'counter', scope: 'process', doc: 'requests served since process start' },
  oom_kills: { unit: '1', kind: 'counter', scope: 'cgroup', doc: 'OOM kills the cgroup has seen' },
  threads: { unit: '1', kind: 'gauge', scope: 'process', doc: 'threads' },
  open_fds: { unit: '1', kind: 'gauge', scope: 'process', doc: 'open file descriptors' },
  objects: { unit: '1', kind: 'gauge', scope: 'runtime', doc: 'live objects or blocks the runtime counts' },
} as const satisfies Record<string, Metric>;

export type MetricName = keyof typeof METRICS;

export const METRIC_NAMES = Object.keys(METRICS) as MetricName[];

export const RUNTIMES = ['python', 'nodejs', 'jvm', 'go', 'dotnet', 'ruby', 'native'] as const;

export type Runtime = (typeof RUNTIMES)[number];

/** How a process lifetime ended, as far as the agent could see. `oom`: its cgroup counted an OOM kill at that moment. */
export const EXIT_REASONS = ['exit', 'oom', 'unknown'] as const;

export type ExitReason = (typeof EXIT_REASONS)[number];

/** Which process a sample is of. One (host boot id, pid, start time) is one `lifetime`; a reused pid is a new one. */
export interface ProcessIdentity {
  /** Stable id of the lifetime: 16 hex digits made of host boot id, pid and start time. */
  readonly lifetime: string;
  readonly service: string;
  readonly environment: string;
  readonly version: string;
  readonly host: string;
  /** Pod, container or replica; survives a restart. */
  readonly instance: string;
  readonly pid: number;
  /** Milliseconds UTC. */
  readonly process_started_at: number;
  readonly runtime: Runtime;
  readonly labels: Readonly<Record<string, string>>;
}

/** The columns of a batch's processes, in the order they stand on the bus. */
export const PROCESS_FIELDS = [
  'lifetime',
  'service',
  'environment',
  'version',
  'host',
  'instance',
  'pid',
  'process_started_at',
  'runtime',
  'labels',
] as const satisfies (keyof ProcessIdentity)[];

export type ProcessColumns = { -readonly [Field in keyof ProcessIdentity]: ProcessIdentity[Field][] };

export const emptyProcesses = (): ProcessColumns =>
  Object.fromEntries(PROCESS_FIELDS.map((field) => [field, []])) as unknown as ProcessColumns;

export function appendProcess(columns: ProcessColumns, identity: ProcessIdentity): void {
  for (const field of PROCESS_FIELDS) (columns[field] as unknown[]).push(identity[field]);
}

type Columns<Row> = { readonly [Field in keyof Row]: readonly Row[Field][] };

/**
 * One agent flush: exactly what stands on the bus as JSON, an array per field.
 * (`agent`, `boot`, `seq`) names it; the bus key is `agent`, so one process's samples stay in order.
 */
export interface Batch {
  readonly v: 1;
  /** Who sent it; stable over restarts of the agent. */
  readonly agent: string;
  /** One run of that agent. */
  readonly boot: string;
  /** 0, 1, 2 … within a boot. */
  readonly seq: number;
  /** Agent's clock when it was made, milliseconds UTC. */
  readonly sent_at: number;
  readonly processes: Columns<ProcessIdentity>;
  readonly samples: {
    /** Row of `processes` each sample is of. */
    readonly process: readonly number[];
    /** Agent's clock, milliseconds UTC. */
    readonly time: readonly number[];
  } & { readonly [Name in MetricName]?: readonly (number | null)[] };
  /** Lifetimes that ended since the last batch. */
  readonly exits?: Columns<{ process: number; time: number; reason: ExitReason }>;
}
