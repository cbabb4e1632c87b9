/**
 * What the runtime metrics of common Prometheus client libraries mean in Leakline's terms. Pure.
 * Known: client_golang, prom-client, simpleclient and client_java 1.x, Micrometer, client_python, prometheus-net, and the
 * names OpenTelemetry's runtime metrics get in Prometheus. `process_*` is left aside: the agent reads /proc itself.
 */
import type { MetricName, Runtime } from '../../shared/sample.ts';
import type { PromSample } from './prometheus-text.ts';
import type { RuntimeReading } from './runtime-source.ts';

const WANTED = /^(go_|nodejs_|v8js_|jvm_|python_|cpython_|dotnet_|http_)/;

export const isRuntimeMetric = (name: string): boolean => WANTED.test(name);

type Values = { readonly [Name in MetricName]?: number | undefined };
type Filter = (labels: PromSample['labels']) => boolean;

class Page {
  readonly #byName = new Map<string, PromSample[]>();

  constructor(samples: readonly PromSample[]) {
    for (const sample of samples) {
      const namesakes = this.#byName.get(sample.name);
      if (namesakes === undefined) this.#byName.set(sample.name, [sample]);
      else namesakes.push(sample);
    }
  }

  /** Sum over the first of the names that has a matching sample. */
  sum(names: readonly string[], isWanted: Filter = () => true): number | undefined {
    for (const name of names) {
      const matching = (this.#byName.get(name) ?? []).filter(({ labels }) => isWanted(labels));
      if (matching.length > 0) return matching.reduce((total, { value }) => total + value, 0);
    }
    return undefined;
  }

  label(name: string, label: string): string | undefined {
    return this.#byName.get(name)?.[0]?.labels[label];
  }
}

/** What is known of a process by its page; undefined when the page has no runtime metrics at all. */
export function readRuntimeMetrics(samples: readonly PromSample[]): RuntimeReading | undefined {
  const page = new Page(samples);
  const found = readGo(page) ?? readNode(page) ?? readJvm(page) ?? readPython(page) ?? readDotnet(page);
  if (found === undefined) return undefined;
  const values: Values = { ...found.values, requests: readRequests(page) };
  const isKnown = ([, value]: [string, number | undefined]) => value !== undefined && value >= 0 && value <= Number.MAX_SAFE_INTEGER;
  return {
    runtime: found.runtime,
    ...Object.fromEntries(Object.entries(values).filter(isKnown)),
    ...(found.version === undefined ? {} : { labels: { runtime_version: found.version } }),
  };
}

interface Found {
  readonly runtime: Runtime;
  readonly version: string | undefined;
  readonly values: Values;
}

const difference = (a: number | undefined, b: number | undefined) => (a === undefined ? undefined : Math.max(0, a - (b ?? 0)));

/** The smallest heap at which Go collects, at GOGC=100. */
const GO_MIN_HEAP_BYTES = 4 << 20;

/**
 * Since Go 1.18 the next collection is due at live + (live + stacks + globals) · GOGC/100; solved for live.
 * Small heaps and GOMEMLIMIT bend that goal, so what is allocated now bounds it from above.
 */
function goLiveHeap(page: Page): number | undefined {
  const exact = page.sum(['go_gc_heap_live_bytes']);
  if (exact !== undefined && exact > 0) return exact;
  const goal = page.sum(['go_memstats_next_gc_bytes', 'go_memory_gc_goal_bytes']);
  const growth = (page.sum(['go_gc_gogc_percent', 'go_config_gogc_percent']) ?? 100) / 100;
  const allocated = page.sum(['go_memstats_heap_alloc_bytes']);
  if (goal === undefined || growth <= 0 || goal >= Number.MAX_SAFE_INTEGER || goal <= GO_MIN_HEAP_BYTES * growth) return undefined;
  const stacks = page.sum(['go_gc_scan_stack_bytes', 'go_memstats_stack_inuse_bytes']) ?? 0;
  const globals = page.sum(['go_gc_scan_globals_bytes']) ?? 0;
  const live = (goal - (stacks + globals) * growth) / (1 + growth);
  return Math.round(Math.max(0, Math.min(live, allocated ?? live)));
}

function readGo(page: Page): Found | undefined {
  const used = page.sum(['go_memstats_heap_alloc_bytes', 'go_memory_used_bytes']);
  if (used === undefined) return undefined;
  const collections = page.sum(['go_gc_duration_seconds_count', 'go_memory_gc_cycles_total']);
  return {
    runtime: 'go',
    version: page.label('go_info', 'version'),
    values: {
      heap_used: used,
      heap_live: goLiveHeap(page),
      heap_committed: difference(page.sum(['go_memstats_heap_sys_bytes']), page.sum(['go_memstats_heap_released_bytes'])),
      // Without GOMEMLIMIT the limit reads as the largest int64, which is no limit and falls out as too large.
      heap_limit: page.sum(['go_gc_gomemlimit_bytes', 'go_memory_limit_bytes']),
      gc_count: collections,
      gc_full_count: collections,
      gc_pause_seconds: page.sum(['go_gc_duration_seconds_sum', 'go_memory_gc_pause_duration_seconds_sum']),
    },
  };
}

function readNode(page: Page): Found | undefined {
  const used = page.sum(['nodejs_heap_size_used_bytes', 'v8js_memory_heap_used_bytes']);
  if (used === undefined) return undefined;
  const kind = (labels: PromSample['labels']) => labels['kind'] ?? labels['v8js_gc_type'] ?? labels['gc_type'] ?? '';
  const count = ['nodejs_gc_duration_seconds_count', 'v8js_gc_duration_seconds_count'];
  const isCounted: Filter = (labels) => kind(labels) === 'minor' || kind(labels) === 'major';
  const collections = page.sum(count, isCounted);
  return {
    runtime: 'nodejs',
    version: page.label('nodejs_version_info', 'version')?.replace(/^v/, ''),
    values: {
      heap_used: used,
      heap_committed: page.sum(['nodejs_heap_size_total_bytes', 'v8js_memory_heap_limit_bytes', 'v8js_memory_heap_space_size_bytes']),
      external: page.sum(['nodejs_external_memory_bytes']),
      gc_count: collections,
      // A kind shows up with its first collection: where minor ones are seen, no major one means none.
      gc_full_count: page.sum(count, (labels) => kind(labels) === 'major') ?? (collections === undefined ? undefined : 0),
      gc_pause_seconds: page.sum(['nodejs_gc_duration_seconds_sum', 'v8js_gc_duration_seconds_sum']),
    },
  };
}

const poolOf = (labels: PromSample['labels']) => labels['pool'] ?? labels['jvm_memory_pool_name'] ?? labels['id'] ?? '';
const isHeap: Filter = (labels) => (labels['area'] ?? labels['jvm_memory_type']) === 'heap';
/** The pools in which what survives ends up. */
const isOldPool: Filter = (labels) => /old gen|tenured|^zheap$|zgc old|^shenandoah$/i.test(poolOf(labels));
const isDirect: Filter = (labels) => /direct/i.test(labels['pool'] ?? labels['id'] ?? labels['jvm_buffer_pool_name'] ?? '');
const isFullCollection: Filter = (labels) =>
  /major/i.test(labels['action'] ?? labels['jvm_gc_action'] ?? '') ||
  /marksweep|g1 old|zgc cycles|shenandoah cycles|global/i.test(labels['gc'] ?? '');

function readJvm(page: Page): Found | undefined {
  const used = page.sum(['jvm_memory_used_bytes', 'jvm_memory_bytes_used'], isHeap);
  if (used === undefined) return undefined;
  const count = ['jvm_gc_collection_seconds_count', 'jvm_gc_pause_seconds_count', 'jvm_gc_duration_seconds_count'];
  const collections = page.sum(count);
  const afterCollection =
    page.sum(['jvm_memory_pool_collection_used_bytes', 'jvm_memory_used_after_last_gc_bytes'], isOldPool) ??
    page.sum(['jvm_gc_live_data_size_bytes']);
  return {
    runtime: 'jvm',
    version: page.label('jvm_info', 'version') ?? page.label('jvm_runtime_info', 'version'),
    values: {
      heap_used: used,
      // 0 until the pool was collected for the first time.
      heap_live: afterCollection === 0 ? undefined : afterCollection,
      heap_committed: page.sum(['jvm_memory_committed_bytes', 'jvm_memory_bytes_committed'], isHeap),
      heap_limit: jvmHeapLimit(page),
      external: page.sum(['jvm_buffer_memory_used_bytes', 'jvm_buffer_pool_used_bytes'], isDirect),
      gc_count: collections,
      gc_full_count: collections === undefined ? undefined : (page.sum(count, isFullCollection) ?? 0),
      gc_pause_seconds: page.sum(['jvm_gc_collection_seconds_sum', 'jvm_gc_pause_seconds_sum', 'jvm_gc_duration_seconds_sum']),
    },
  };
}

/** Per pool -1 means "up to the heap's": with such pools the old one alone carries the limit of the whole heap (G1). */
function jvmHeapLimit(page: Page): number | undefined {
  const isLimited = (filter: Filter) => page.sum(['jvm_memory_max_bytes', 'jvm_memory_bytes_max', 'jvm_memory_limit_bytes'], filter);
  const whole = isLimited(isHeap);
  if (whole === undefined || whole < 0) return isLimited((labels) => isHeap(labels) && isOldPool(labels));
  const negatives = isLimited((labels) => isHeap(labels) && !isOldPool(labels)) ?? 0;
  return negatives < 0 ? whole - negatives : whole;
}

function readPython(page: Page): Found | undefined {
  const names = ['python_gc_collections_total', 'cpython_gc_collections_total'];
  const collections = page.sum(names);
  if (collections === undefined) return undefined;
  const isFull: Filter = (labels) => (labels['generation'] ?? labels['cpython_gc_generation']) === '2';
  return {
    runtime: 'python',
    version: page.label('python_info', 'version'),
    values: { gc_count: collections, gc_full_count: page.sum(names, isFull) },
  };
}

function readDotnet(page: Page): Found | undefined {
  const afterCollection = page.sum(['dotnet_gc_last_collection_heap_size_bytes']);
  const used = page.sum(['dotnet_total_memory_bytes']) ?? afterCollection;
  if (used === undefined) return undefined;
  const count = ['dotnet_gc_collections_total', 'dotnet_collection_count_total'];
  const generation = (labels: PromSample['labels']) => labels['gc_heap_generation'] ?? labels['generation'] ?? '';
  return {
    runtime: 'dotnet',
    version: undefined,
    values: {
      heap_used: used,
      heap_committed: page.sum(['dotnet_gc_last_collection_memory_committed_size_bytes']),
      gc_count: page.sum(count),
      gc_full_count: page.sum(count, (labels) => /2$/.test(generation(labels))),
      gc_pause_seconds: page.sum(['dotnet_gc_pause_time_seconds_total']),
    },
  };
}

/** Requests served, by the names in common use; of several the first, since they count the same requests. */
const readRequests = (page: Page) =>
  page.sum([
    'http_server_requests_seconds_count',
    'http_server_request_duration_seconds_count',
    'http_requests_total',
    'http_request_duration_seconds_count',
  ]);
