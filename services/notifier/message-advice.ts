/** What to do next, as concrete as runtime and kind of growth allow. Pure. */
import type { GrowthKind } from '../../shared/judgement.ts';
import type { SeriesIdentity } from '../../shared/series.ts';

type Runtime = SeriesIdentity['runtime'];

const HEAP_STEPS: Record<Runtime, readonly string[]> = {
  nodejs: [
    'Start one instance with --heapsnapshot-signal=SIGUSR2, take two snapshots some growth apart (kill -USR2 PID) and compare them in Chrome DevTools (Memory, Comparison): what grew between them is the leak.',
    'Look first at module-level Map, Set and array caches without a bound, at listeners added per request, and at timers that are never cleared.',
  ],
  python: [
    'Start one instance with PYTHONTRACEMALLOC=10 and compare two tracemalloc snapshots some growth apart: compare_to(…, "lineno") names the lines that keep memory.',
    'Look first at module-level dicts and lists used as caches, functools.lru_cache(maxsize=None), and objects with __del__ in cycles.',
  ],
  jvm: [
    'Take two class histograms some growth apart (jcmd PID GC.class_histogram): the classes that grew are what is kept.',
    'Then a heap dump (jcmd PID GC.heap_dump FILE) in Eclipse MAT: the dominator tree shows who keeps them. Look first at static collections, ThreadLocals and class loaders.',
  ],
  go: [
    'Compare two heap profiles some growth apart: go tool pprof -base first.pb.gz second.pb.gz (from /debug/pprof/heap), inuse_space.',
    'Look at /debug/pprof/goroutine too: goroutines that never end keep what they hold.',
  ],
  dotnet: [
    'Compare two dumps some growth apart: dotnet-gcdump collect -p PID, then open both in PerfView or Visual Studio.',
    'Look first at static events and caches, and at timers and IDisposables that are never disposed.',
  ],
  ruby: [
    'Compare two ObjectSpace.dump_all files some growth apart (heapy diff): it names the lines that keep objects.',
    'Look first at constants and class variables used as caches, and at growing symbol or string tables.',
  ],
  native: [
    'Profile allocations of one instance: heaptrack -p PID, or jemalloc with MALLOC_CONF=prof:true and jeprof --base.',
    'If no allocation grows it is fragmentation: try MALLOC_ARENA_MAX=2 or jemalloc.',
  ],
};

const NATIVE_STEPS: Record<Runtime, readonly string[]> = {
  nodejs: [
    'It grows outside the JavaScript heap: compare process.memoryUsage().external and arrayBuffers over time. If they grow, Buffers are kept (streams not consumed, sockets not destroyed).',
    'If they do not, it is a native addon or malloc fragmentation: try MALLOC_ARENA_MAX=2 or jemalloc (LD_PRELOAD) on one instance.',
  ],
  python: [
    'It grows outside Python’s own allocator: run one instance under memray run --native, or look at C extensions (image, XML, ML libraries, database drivers) first.',
    'If nothing shows, it is fragmentation: try MALLOC_ARENA_MAX=2 or jemalloc (LD_PRELOAD) on one instance.',
  ],
  jvm: [
    'It grows outside the Java heap: start one instance with -XX:NativeMemoryTracking=summary, then jcmd PID VM.native_memory baseline and, later, summary.diff.',
    'Look first at direct ByteBuffers (-XX:MaxDirectMemorySize bounds them), threads, class metadata, and glibc arenas (MALLOC_ARENA_MAX=2).',
  ],
  go: [
    'It grows outside the Go heap: look at cgo allocations and mmap; compare go_memstats_sys_bytes with the resident size.',
    'Threads stuck in cgo or syscalls keep their stacks: look at /debug/pprof/threadcreate.',
  ],
  dotnet: [
    'It grows outside the managed heap: look at native libraries, Marshal allocations and pinned buffers; dotnet-dump with dumpheap -stat rules the heap out.',
    'glibc arenas are often the cause in containers: try MALLOC_ARENA_MAX=2.',
  ],
  ruby: [
    'It grows outside Ruby’s heap: C extensions (nokogiri, image and database gems) or fragmentation.',
    'Try MALLOC_ARENA_MAX=2 or jemalloc on one instance: it is the usual cure.',
  ],
  native: HEAP_STEPS.native,
};

const UNKNOWN_STEPS: readonly string[] = [
  'Load the Leakline probe into one instance (docs/agent.md): then the heap and what lies outside it are told apart, which halves the search.',
];

export function nextSteps(runtime: Runtime, kind: GrowthKind): readonly string[] {
  switch (kind) {
    case 'heap':
      return HEAP_STEPS[runtime];
    case 'native':
      return NATIVE_STEPS[runtime];
    case 'mixed':
      return [...HEAP_STEPS[runtime].slice(0, 1), ...NATIVE_STEPS[runtime].slice(0, 1)];
    case 'unknown':
      return runtime === 'native' ? HEAP_STEPS.native : [...UNKNOWN_STEPS, ...HEAP_STEPS[runtime].slice(0, 1)];
  }
}

const LANGUAGE_HEAP: Record<Runtime, string> = {
  nodejs: 'JavaScript heap',
  python: 'Python objects',
  jvm: 'Java heap',
  go: 'Go heap',
  dotnet: 'managed heap',
  ruby: 'Ruby heap',
  native: 'heap',
};

/** Where it grows, in the words of the runtime. */
export function whereItGrows(runtime: Runtime, kind: GrowthKind): string {
  const heap = LANGUAGE_HEAP[runtime];
  switch (kind) {
    case 'heap':
      return `in the ${heap}`;
    case 'native':
      return runtime === 'native' ? 'native memory' : `outside the ${heap} (native memory)`;
    case 'mixed':
      return `in the ${heap} and outside it`;
    case 'unknown':
      return 'not known: no heap figures from this process';
  }
}
