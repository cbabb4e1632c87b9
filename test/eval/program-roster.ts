/** The programs that are recorded, how each is started, and its parameters per part: the held-back part has other paces, sizes and seeds. */
import type { Part } from './corpus.ts';

export interface Program {
  readonly name: string;
  readonly runtime: 'nodejs' | 'python' | 'jvm' | 'go';
  /** File, class or first argument, as its runtime has it. */
  readonly start: string;
  readonly flags?: readonly string[];
  /** Its environment; what is not named keeps the default that stands in the program. */
  readonly parameters: Readonly<Record<Part, Readonly<Record<string, number>>>>;
}

const serial = (heapMib: number, youngMib: number) => [
  '-Xms24m',
  `-Xmx${String(heapMib)}m`,
  `-Xmn${String(youngMib)}m`,
  '-XX:+UseSerialGC',
  '-XX:+ExitOnOutOfMemoryError',
];

export const PROGRAMS: readonly Program[] = [
  {
    name: 'node-sessions',
    runtime: 'nodejs',
    start: 'sessions.mjs',
    parameters: {
      dev: { SESSION_KIB: 14 },
      held: { SESSION_KIB: 9, REQUESTS_PER_SECOND: 18, SWING: 0.8, TIDE_SECONDS: 170, LIMIT_MIB: 190 },
    },
  },
  {
    name: 'node-listeners',
    runtime: 'nodejs',
    start: 'listeners.mjs',
    parameters: { dev: { ORDER_KIB: 7 }, held: { ORDER_KIB: 14, ORDERS_PER_SECOND: 12, ONSET_SECONDS: 330 } },
  },
  {
    name: 'node-closures',
    runtime: 'nodejs',
    start: 'closures.mjs',
    parameters: { dev: { LIMIT_MIB: 220 }, held: { LEAK_KIB_PER_SECOND: 140, GARBAGE_MIB_PER_SECOND: 2, KEPT_SECONDS: 8, LIMIT_MIB: 240 } },
  },
  {
    name: 'node-buffers',
    runtime: 'nodejs',
    start: 'buffers.mjs',
    parameters: { dev: {}, held: { UPLOAD_KIB: 20, UPLOADS_PER_SECOND: 8, ONSET_SECONDS: 300 } },
  },
  {
    name: 'node-bounded-cache',
    runtime: 'nodejs',
    start: 'bounded-cache.mjs',
    parameters: { dev: { LIMIT_MIB: 200 }, held: { CACHE_MIB: 70, FILL_SECONDS: 520, LIMIT_MIB: 256 } },
  },
  {
    name: 'node-sawtooth',
    runtime: 'nodejs',
    start: 'sawtooth.mjs',
    parameters: { dev: { LIMIT_MIB: 200 }, held: { TABLES_MIB: 24, GARBAGE_MIB_PER_SECOND: 1.2, KEPT_SECONDS: 14, LIMIT_MIB: 200 } },
  },
  {
    name: 'node-bursts',
    runtime: 'nodejs',
    start: 'bursts.mjs',
    parameters: { dev: { LIMIT_MIB: 200 }, held: { BURST_MIB: 60, EVERY_SECONDS: 160, LASTS_SECONDS: 45, LIMIT_MIB: 256 } },
  },
  {
    name: 'node-tide',
    runtime: 'nodejs',
    start: 'tide.mjs',
    parameters: { dev: { LIMIT_MIB: 256 }, held: { LIMIT_MIB: 256, TIDE_SECONDS: 800, SWING: 0.6, HELD_KIB: 400 } },
  },
  {
    name: 'python-page-cache',
    runtime: 'python',
    start: 'page_cache.py',
    parameters: { dev: { PAGE_KIB: 6 }, held: { PAGE_KIB: 3, REQUESTS_PER_SECOND: 35, SWING: 0.7, TIDE_SECONDS: 200 } },
  },
  {
    name: 'python-forgotten-malloc',
    runtime: 'python',
    start: 'forgotten_malloc.py',
    parameters: { dev: { REPLY_KIB: 8 }, held: { REPLY_KIB: 9, REPLIES_PER_SECOND: 10, ONSET_SECONDS: 310 } },
  },
  {
    name: 'python-kept-errors',
    runtime: 'python',
    start: 'kept_errors.py',
    parameters: { dev: { LEAK_KIB_PER_SECOND: 75 }, held: { LEAK_KIB_PER_SECOND: 55, COLLECT_SECONDS: 24 } },
  },
  {
    name: 'python-bounded-cache',
    runtime: 'python',
    start: 'bounded_cache.py',
    parameters: { dev: {}, held: { ENTRY_KIB: 7, CACHE_MIB: 20, FILL_SECONDS: 600 } },
  },
  {
    name: 'python-cyclic-garbage',
    runtime: 'python',
    start: 'cyclic_garbage.py',
    parameters: { dev: {}, held: { GARBAGE_MIB_PER_SECOND: 0.35, COLLECT_SECONDS: 140, LIMIT_MIB: 128 } },
  },
  {
    name: 'python-fragmentation',
    runtime: 'python',
    start: 'fragmentation.py',
    parameters: { dev: { LIMIT_MIB: 128 }, held: { KEPT: 12_000, USUAL_PARTS: 60, TAIL: 1.6, LIMIT_MIB: 128 } },
  },
  {
    name: 'python-nightly-batch',
    runtime: 'python',
    start: 'nightly_batch.py',
    parameters: { dev: {}, held: { BATCH_MIB: 34, EVERY_SECONDS: 230, LASTS_SECONDS: 60 } },
  },
  {
    name: 'jvm-unbounded-map',
    runtime: 'jvm',
    start: 'UnboundedMap',
    flags: serial(128, 12),
    parameters: {
      dev: { KEPT_KIB: 9, LIMIT_MIB: 180 },
      held: { LIMIT_MIB: 180, KEPT_KIB: 5, REQUESTS_PER_SECOND: 34, SWING: 0.7, TIDE_SECONDS: 180 },
    },
  },
  {
    name: 'jvm-direct-buffers',
    runtime: 'jvm',
    start: 'DirectBuffers',
    flags: [...serial(64, 12), '-XX:MaxDirectMemorySize=1g'],
    parameters: {
      dev: { BUFFER_KIB: 40, LIMIT_MIB: 150 },
      held: { BUFFER_KIB: 16, BUFFERS_PER_SECOND: 9, ONSET_SECONDS: 330, LIMIT_MIB: 160 },
    },
  },
  {
    name: 'jvm-thread-locals',
    runtime: 'jvm',
    start: 'ThreadLocals',
    flags: ['-Xms24m', '-Xmx128m', '-XX:+UseParallelGC', '-XX:ParallelGCThreads=1', '-XX:+ExitOnOutOfMemoryError'],
    parameters: { dev: { TRACE_KIB: 11, LIMIT_MIB: 180 }, held: { TRACE_KIB: 8, ONSET_SECONDS: 180, LIMIT_MIB: 180 } },
  },
  {
    name: 'jvm-class-loaders',
    runtime: 'jvm',
    start: 'ClassLoaders',
    flags: serial(64, 12),
    parameters: { dev: { LIMIT_MIB: 140 }, held: { RELOADS_PER_SECOND: 8, LIMIT_MIB: 120 } },
  },
  {
    name: 'jvm-old-generation',
    runtime: 'jvm',
    start: 'OldGeneration',
    flags: [...serial(112, 10), '-Xms112m'],
    parameters: { dev: {}, held: { SESSION_KIB: 24, SESSIONS_PER_SECOND: 10, LIVE_SECONDS: 35 } },
  },
  {
    name: 'jvm-heap-expansion',
    runtime: 'jvm',
    start: 'HeapExpansion',
    flags: ['-Xms16m', '-Xmx128m', '-XX:+UseParallelGC', '-XX:ParallelGCThreads=1'],
    parameters: { dev: { LIMIT_MIB: 224 }, held: { REQUESTS_PER_SECOND: 45, RISE_SECONDS: 560, HELD_SECONDS: 8, LIMIT_MIB: 224 } },
  },
  {
    name: 'jvm-warm-cache',
    runtime: 'jvm',
    start: 'WarmCache',
    flags: ['-Xms24m', '-Xmx128m', '-XX:+UseG1GC', '-XX:ParallelGCThreads=1', '-XX:ConcGCThreads=1'],
    parameters: { dev: { LIMIT_MIB: 224 }, held: { CACHE_MIB: 45, WARM_SECONDS: 200, LIMIT_MIB: 224 } },
  },
  {
    name: 'go-goroutines',
    runtime: 'go',
    start: 'goroutines',
    parameters: { dev: { REQUESTS_PER_SECOND: 16 }, held: { ONSET_SECONDS: 260, REQUESTS_PER_SECOND: 14, BODY_KIB: 6 } },
  },
  {
    name: 'go-unbounded-map',
    runtime: 'go',
    start: 'unbounded-map',
    parameters: { dev: { KEPT_KIB: 8 }, held: { REQUESTS_PER_SECOND: 12, KEPT_KIB: 7, SWING: 0.8, TIDE_SECONDS: 190 } },
  },
  {
    name: 'go-mapped-files',
    runtime: 'go',
    start: 'mapped-files',
    parameters: { dev: { SEGMENTS_PER_SECOND: 6 }, held: { SEGMENTS_PER_SECOND: 7, SEGMENT_KIB: 16, ONSET_SECONDS: 160 } },
  },
  {
    name: 'go-substrings',
    runtime: 'go',
    start: 'substrings',
    parameters: {
      dev: { LEAK_KIB_PER_SECOND: 55 },
      held: { LEAK_KIB_PER_SECOND: 28, GARBAGE_MIB_PER_SECOND: 3, LIMIT_MIB: 72, GOGC: 150 },
    },
  },
  {
    name: 'go-big-sawtooth',
    runtime: 'go',
    start: 'big-sawtooth',
    parameters: { dev: { GOGC: 300 }, held: { GOGC: 400, GARBAGE_MIB_PER_SECOND: 0.3, LIVE_MIB: 10 } },
  },
  {
    name: 'go-warm-up',
    runtime: 'go',
    start: 'warm-up',
    parameters: { dev: { LIMIT_MIB: 128 }, held: { TABLES_MIB: 22, WARM_SECONDS: 170, LIMIT_MIB: 128 } },
  },
  {
    name: 'go-batch',
    runtime: 'go',
    start: 'batch',
    parameters: { dev: { LIMIT_MIB: 128 }, held: { BATCH_MIB: 32, EVERY_SECONDS: 260, LASTS_SECONDS: 70, LIMIT_MIB: 128 } },
  },
  {
    name: 'go-tide',
    runtime: 'go',
    start: 'tide',
    parameters: { dev: { LIMIT_MIB: 256 }, held: { TIDE_SECONDS: 700, HELD_KIB: 420, LIMIT_MIB: 320 } },
  },
];
