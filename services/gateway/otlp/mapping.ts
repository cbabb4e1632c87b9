/**
 * Which OpenTelemetry metric becomes which column of a sample. docs/otlp.md shows this table (a test compares).
 * Names: semantic conventions 1.44, plus the older or vendor names that collectors and SDKs in use still send.
 */
import { METRIC_NAMES, type MetricName } from '../../../shared/sample.ts';

/** Something a column is computed from and that is no column itself. */
export type Ingredient = 'memory_available' | 'go_gc_goal' | 'go_gogc';

interface AttributeTest {
  /** The same attribute under its names over the years. */
  readonly names: readonly string[];
  readonly values: readonly string[];
}

export interface Rule {
  readonly metric: string;
  readonly column: MetricName | Ingredient;
  /** Of a histogram: how many it counted, or their sum. Default: the value of a gauge or sum. */
  readonly take?: 'count' | 'sum';
  /** Only points whose attribute has one of these values. */
  readonly only?: AttributeTest;
  /** All points but these; one without the attribute counts. */
  readonly except?: AttributeTest;
  /** Metrics of different parts of one column are added up; of one part only the first in this table that was sent counts. */
  readonly part?: 'buffers' | 'rpc';
}

const cpuMode: AttributeTest = { names: ['cpu.mode', 'process.cpu.state', 'state'], values: ['wait', 'iowait', 'idle'] };
const heap: AttributeTest = { names: ['jvm.memory.type'], values: ['heap'] };
const nonHeap: AttributeTest = { names: ['jvm.memory.type'], values: ['non_heap'] };
const v8Major: AttributeTest = { names: ['v8js.gc.type'], values: ['major'] };
const jvmMajor: AttributeTest = { names: ['jvm.gc.action'], values: ['end of major GC'] };
/** Concurrent cycles of ZGC and Shenandoah stop nobody. */
const jvmConcurrent: AttributeTest = { names: ['jvm.gc.action'], values: ['end of GC cycle', 'end of concurrent GC pause'] };
const dotnetOldest: AttributeTest = { names: ['dotnet.gc.heap.generation', 'gc.heap.generation'], values: ['gen2'] };
const pythonOldest: AttributeTest = { names: ['cpython.gc.generation', 'generation'], values: ['2'] };

/** The points of one metric that land on one row are summed (pools, heap spaces, CPU modes, routes). In order of preference. */
export const RULES: readonly Rule[] = [
  { metric: 'process.memory.usage', column: 'rss' },
  { metric: 'process.memory.physical_usage', column: 'rss' },
  { metric: 'process.runtime.cpython.memory', column: 'rss', only: { names: ['type'], values: ['rss'] } },
  { metric: 'process.cpu.time', column: 'cpu_seconds', except: cpuMode },
  { metric: 'process.thread.count', column: 'threads' },
  { metric: 'process.threads', column: 'threads' },
  { metric: 'process.unix.file_descriptor.count', column: 'open_fds' },
  { metric: 'process.open_file_descriptor.count', column: 'open_fds' },
  { metric: 'process.open_file_descriptors', column: 'open_fds' },

  { metric: 'container.memory.working_set', column: 'working_set' },
  { metric: 'container.memory.usage.total', column: 'working_set' },
  { metric: 'container.memory.rss', column: 'cgroup_anon' },
  { metric: 'container.memory.anon', column: 'cgroup_anon' },
  { metric: 'container.memory.available', column: 'memory_available' },
  { metric: 'container.memory.usage.limit', column: 'memory_limit' },
  { metric: 'container.cpu.time', column: 'cpu_seconds' },
  { metric: 'k8s.pod.memory.working_set', column: 'working_set' },
  { metric: 'k8s.pod.memory.rss', column: 'cgroup_anon' },
  { metric: 'k8s.pod.memory.available', column: 'memory_available' },
  { metric: 'k8s.pod.cpu.time', column: 'cpu_seconds' },
  { metric: 'k8s.container.memory_limit', column: 'memory_limit' },
  { metric: 'k8s.container.memory.limit', column: 'memory_limit' },
  { metric: 'k8s.container.memory.limit.current', column: 'memory_limit' },

  { metric: 'v8js.memory.heap.used', column: 'heap_used' },
  { metric: 'v8js.memory.heap.space.size', column: 'heap_committed' },
  { metric: 'v8js.memory.heap.limit', column: 'heap_committed' },
  { metric: 'v8js.gc.duration', column: 'gc_count', take: 'count' },
  { metric: 'v8js.gc.duration', column: 'gc_full_count', take: 'count', only: v8Major },
  { metric: 'v8js.gc.duration', column: 'gc_pause_seconds', take: 'sum' },

  { metric: 'jvm.memory.used', column: 'heap_used', only: heap },
  { metric: 'jvm.memory.used_after_last_gc', column: 'heap_live', only: heap },
  { metric: 'jvm.memory.committed', column: 'heap_committed', only: heap },
  { metric: 'jvm.memory.limit', column: 'heap_limit', only: heap },
  { metric: 'jvm.memory.used', column: 'external', only: nonHeap },
  { metric: 'jvm.buffer.memory.used', column: 'external', part: 'buffers' },
  { metric: 'jvm.buffer.memory.usage', column: 'external', part: 'buffers' },
  { metric: 'jvm.gc.duration', column: 'gc_count', take: 'count' },
  { metric: 'jvm.gc.duration', column: 'gc_full_count', take: 'count', only: jvmMajor },
  { metric: 'jvm.gc.duration', column: 'gc_pause_seconds', take: 'sum', except: jvmConcurrent },
  { metric: 'jvm.thread.count', column: 'threads' },
  { metric: 'jvm.cpu.time', column: 'cpu_seconds' },

  { metric: 'cpython.gc.collections', column: 'gc_count' },
  { metric: 'cpython.gc.collections', column: 'gc_full_count', only: pythonOldest },

  { metric: 'go.memory.used', column: 'heap_committed', only: { names: ['go.memory.type'], values: ['other'] } },
  { metric: 'go.memory.used', column: 'external', only: { names: ['go.memory.type'], values: ['stack'] } },
  { metric: 'go.memory.limit', column: 'heap_limit' },
  { metric: 'go.memory.gc.goal', column: 'go_gc_goal' },
  { metric: 'go.config.gogc', column: 'go_gogc' },
  { metric: 'go.memory.gc.cycles', column: 'gc_count' },
  { metric: 'go.memory.gc.cycles', column: 'gc_full_count' },
  { metric: 'go.memory.gc.pause.duration', column: 'gc_pause_seconds', take: 'sum' },

  { metric: 'dotnet.process.memory.working_set', column: 'rss' },
  { metric: 'dotnet.process.cpu.time', column: 'cpu_seconds' },
  { metric: 'dotnet.gc.last_collection.heap.size', column: 'heap_used' },
  { metric: 'dotnet.gc.last_collection.memory.committed_size', column: 'heap_committed' },
  { metric: 'dotnet.gc.collections', column: 'gc_count' },
  { metric: 'dotnet.gc.collections', column: 'gc_full_count', only: dotnetOldest },
  { metric: 'dotnet.gc.pause.time', column: 'gc_pause_seconds' },

  { metric: 'http.server.request.duration', column: 'requests', take: 'count' },
  { metric: 'http.server.duration', column: 'requests', take: 'count' },
  { metric: 'rpc.server.call.duration', column: 'requests', take: 'count', part: 'rpc' },
  { metric: 'rpc.server.duration', column: 'requests', take: 'count', part: 'rpc' },

  // What OpenTelemetry has no name for, under our own.
  ...METRIC_NAMES.map((column) => ({ metric: `leakline.${column}`, column })),
];

const RULES_BY_METRIC = new Map<string, Rule[]>();
for (const rule of RULES) RULES_BY_METRIC.set(rule.metric, [...(RULES_BY_METRIC.get(rule.metric) ?? []), rule]);

export const rulesOf = (metric: string): readonly Rule[] => RULES_BY_METRIC.get(metric) ?? [];

export const isMapped = (metric: string): boolean => RULES_BY_METRIC.has(metric);

export type Values = ReadonlyMap<MetricName | Ingredient, number>;

export interface Derivation {
  readonly column: MetricName;
  readonly from: readonly string[];
  readonly doc: string;
  /** Undefined where it cannot be known. */
  readonly compute: (values: Values) => number | undefined;
}

/** Above this share of GOMEMLIMIT the collector's goal follows the limit and says nothing about live memory. */
const GOAL_SHARE_OF_LIMIT = 0.8;

/** Computed after all points of a row are summed, where the column itself was not sent. */
export const DERIVATIONS: readonly Derivation[] = [
  {
    column: 'memory_limit',
    from: ['container.memory.available', 'container.memory.working_set'],
    doc: 'available + working_set, which is how the kubelet computes what is available',
    compute: (values) => {
      const [available, workingSet] = [values.get('memory_available'), values.get('working_set')];
      return available === undefined || workingSet === undefined ? undefined : available + workingSet;
    },
  },
  {
    column: 'heap_live',
    from: ['go.memory.gc.goal', 'go.config.gogc'],
    doc: 'goal / (1 + GOGC / 100): Go sets the goal from what survived; unknown near GOMEMLIMIT or with GOGC off',
    compute: (values) => {
      const [goal, gogc, limit] = [values.get('go_gc_goal'), values.get('go_gogc'), values.get('heap_limit')];
      if (goal === undefined || gogc === undefined || gogc <= 0) return undefined;
      if (limit !== undefined && goal > GOAL_SHARE_OF_LIMIT * limit) return undefined;
      return goal / (1 + gogc / 100);
    },
  },
];

const UNIT_FACTORS: Readonly<Record<string, number>> = {
  ms: 1e-3,
  us: 1e-6,
  ns: 1e-9,
  kBy: 1e3,
  MBy: 1e6,
  GBy: 1e9,
  KiBy: 2 ** 10,
  MiBy: 2 ** 20,
  GiBy: 2 ** 30,
};

/** To seconds and bytes. */
export const unitFactor = (unit: string): number => UNIT_FACTORS[unit] ?? 1;
