/**
 * Leakline's probe for Node.js 16 and newer: NODE_OPTIONS="--require /path/to/leakline.cjs".
 * Every interval it writes one JSON line about heap and garbage collection to the agent's unix socket. It promises
 * the app: no dependency, no throw, no output, nothing that keeps the process alive, no memory that grows. What
 * the agent cannot take at once is dropped.
 */
'use strict';

const FIRST_REPORT_MS = 250;
const DEFAULT_INTERVAL_MS = 10_000;
const MIN_BACKOFF_MS = 1_000;
const MAX_BACKOFF_MS = 30_000;
const MAX_HELLO_BYTES = 4_096;
/**
 * One observed collection costs ~0.1 ms of CPU (PerformanceObserver builds an entry for each), so a process that
 * collects more often than this is observed for a part of each interval only, and counts are scaled up.
 */
const OBSERVED_GC_PER_SECOND = 5;

const LOADED = Symbol.for('leakline.probe');
/** Kept from before the app can replace them with fakes. */
const later = setTimeout;
const cancel = clearTimeout;

function quietly(operation) {
  try {
    return operation();
  } catch {
    return undefined;
  }
}

function unrefTimer(operation, delayMs) {
  const timer = later(() => quietly(operation), delayMs);
  timer.unref();
  return timer;
}

/** Counts collections and keeps the heap in use after the last full one. */
function watchCollections(v8) {
  const { PerformanceObserver, constants } = require('perf_hooks');
  const totals = { count: 0, fullCount: 0, pauseSeconds: 0, liveBytes: undefined };

  // A cleared weak reference is news of a full collection: V8 keeps weakly held targets through minor ones. This
  // costs nothing between full collections, and the callback runs in the first task after the collection.
  const registry = new FinalizationRegistry(() => {
    totals.fullCount += 1;
    totals.liveBytes = v8.getHeapStatistics().used_heap_size;
    arm();
  });
  const arm = () => registry.register({}, undefined);
  arm();

  let weight = 1;
  let seen = 0;
  const observer = new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) {
      // V8 reports incremental marking steps and weak callbacks too; they are part of a full collection.
      const kind = (entry.detail ?? entry).kind;
      if (kind !== constants.NODE_PERFORMANCE_GC_INCREMENTAL && kind !== constants.NODE_PERFORMANCE_GC_WEAKCB) {
        totals.count += weight;
        seen += 1;
      }
      totals.pauseSeconds += (weight * entry.duration) / 1_000;
    }
  });
  observer.observe({ entryTypes: ['gc'] });

  let pause;
  /** Called at the start of each interval: decides for which part of it every collection is observed. */
  const nextInterval = (intervalMs) => {
    const perSecond = (seen * weight * 1_000) / intervalMs;
    const share = Math.min(1, OBSERVED_GC_PER_SECOND / Math.max(perSecond, OBSERVED_GC_PER_SECOND));
    cancel(pause);
    if (weight !== 1) observer.observe({ entryTypes: ['gc'] });
    weight = 1 / share;
    seen = 0;
    if (share < 1) pause = unrefTimer(() => observer.disconnect(), intervalMs * share);
  };
  return { totals, nextInterval };
}

/** Counts requests of node:http servers; undefined until the first, so a process that serves none reports none. */
function watchRequests() {
  const channels = require('diagnostics_channel');
  const seen = { count: undefined };
  const onRequest = () => {
    seen.count = (seen.count ?? 0) + 1;
  };
  if (channels.subscribe) channels.subscribe('http.server.request.start', onRequest);
  else channels.channel('http.server.request.start').subscribe(onRequest);
  return seen;
}

/** Start time in clock ticks since boot: with the pid it names this process for the agent. */
function readStartTicks() {
  const stat = require('fs').readFileSync('/proc/self/stat', 'latin1');
  return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]);
}

/** name and version of the nearest package.json above the main script. */
function readPackage() {
  const fs = require('fs');
  const path = require('path');
  for (let folder = path.dirname(fs.realpathSync(process.argv[1])), depth = 0; depth < 12; depth += 1) {
    const found = quietly(() => JSON.parse(fs.readFileSync(path.join(folder, 'package.json'), 'utf8')));
    if (typeof found?.name === 'string') return found;
    if (folder === path.dirname(folder)) break;
    folder = path.dirname(folder);
  }
  return undefined;
}

/** Who this process is, as far as its environment and its package say. */
function readIdentity() {
  const { env } = process;
  const attributes = Object.fromEntries(
    (env.OTEL_RESOURCE_ATTRIBUTES ?? '').split(',').map((pair) => pair.split('=', 2).map((part) => decodeURIComponent(part.trim()))),
  );
  const found = quietly(readPackage);
  return {
    service: env.LEAKLINE_SERVICE || env.OTEL_SERVICE_NAME || attributes['service.name'] || found?.name,
    environment: env.LEAKLINE_ENVIRONMENT || attributes['deployment.environment.name'] || attributes['deployment.environment'],
    version: env.LEAKLINE_VERSION || attributes['service.version'] || found?.version,
    instance: env.LEAKLINE_INSTANCE || attributes['service.instance.id'],
  };
}

function socketPath() {
  return process.env.LEAKLINE_SOCKET || `/tmp/leakline-${process.getuid()}/agent.sock`;
}

const clampInterval = (value) => (value >= 100 && value <= 3_600_000 ? value : undefined);

function start() {
  if (globalThis[LOADED] || !require('worker_threads').isMainThread || process.platform !== 'linux') return;
  Object.defineProperty(globalThis, LOADED, { value: true });

  const v8 = require('v8');
  const fixedIntervalMs = clampInterval(Number(process.env.LEAKLINE_INTERVAL_MS));
  const collections = watchCollections(v8);
  const requests = quietly(watchRequests);
  let intervalMs = fixedIntervalMs ?? DEFAULT_INTERVAL_MS;
  let backoffMs = MIN_BACKOFF_MS;
  let socket;
  let timer;
  let constantFields;

  const next = (delayMs) => {
    cancel(timer);
    timer = unrefTimer(tick, delayMs);
  };

  const line = () => {
    constantFields ??= {
      v: 1,
      pid: process.pid,
      start_ticks: readStartTicks(),
      runtime: 'nodejs',
      runtime_version: process.versions.node,
      ...quietly(readIdentity),
    };
    const heap = v8.getHeapStatistics();
    return JSON.stringify({
      ...constantFields,
      heap_used: heap.used_heap_size,
      heap_live: collections.totals.liveBytes,
      heap_committed: heap.total_heap_size,
      heap_limit: heap.heap_size_limit,
      external: heap.external_memory,
      gc_count: Math.max(Math.round(collections.totals.count), collections.totals.fullCount),
      gc_full_count: collections.totals.fullCount,
      gc_pause_seconds: collections.totals.pauseSeconds,
      requests: requests?.count,
    });
  };

  const report = () => {
    const connection = socket;
    if (connection === undefined) return;
    collections.nextInterval(intervalMs);
    connection.write(`${line()}\n`);
    // Whatever the kernel did not take at once would keep the process alive and memory occupied: give it up.
    if (connection.writableLength > 0) connection.destroy();
  };

  const onHello = (text) => {
    const told = clampInterval(quietly(() => JSON.parse(text))?.interval_ms);
    intervalMs = fixedIntervalMs ?? told ?? intervalMs;
    backoffMs = MIN_BACKOFF_MS;
    report();
    next(intervalMs);
  };

  const connect = () => {
    const connection = require('net').connect({ path: socketPath() });
    connection.unref();
    let hello = '';
    let greeted = false;
    connection.on('error', () => {});
    connection.on('connect', () => {
      socket = connection;
    });
    connection.on('data', (chunk) => {
      quietly(() => {
        if (greeted) return;
        hello += chunk.toString('latin1');
        const end = hello.indexOf('\n');
        greeted = end >= 0 || hello.length > MAX_HELLO_BYTES;
        if (end >= 0) onHello(hello.slice(0, end));
      });
    });
    connection.on('close', () => {
      socket = undefined;
      next(backoffMs * (0.5 + Math.random()));
      backoffMs = Math.min(backoffMs * 2, MAX_BACKOFF_MS);
    });
  };

  function tick() {
    next(intervalMs);
    if (socket === undefined) connect();
    else report();
  }

  next(FIRST_REPORT_MS);
}

quietly(start);
