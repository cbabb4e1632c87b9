/** Which process lifetime an OTLP resource is of. Rules in docs/otlp.md; pure, so a resent request names the same lifetimes. */
import { createHash } from 'node:crypto';
import type { ProcessIdentity, Runtime } from '../../../shared/sample.ts';
import type { Attributes, OtlpPoint } from './points.ts';

const SERVICE = [
  'service.name',
  'k8s.deployment.name',
  'k8s.statefulset.name',
  'k8s.daemonset.name',
  'k8s.job.name',
  'k8s.container.name',
  'container.name',
  'process.executable.name',
] as const;
const HOST = ['host.name', 'host.id', 'k8s.node.name'] as const;
const INSTANCE = ['service.instance.id', 'k8s.pod.name', 'container.name', 'container.id', 'host.name'] as const;
/** A random id is new with every start and says nothing that survives it, so what names the place goes first. */
const RANDOM_ID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
const ENVIRONMENT = ['deployment.environment.name', 'deployment.environment'] as const;
const VERSION = ['service.version', 'container.image.tag'] as const;

/** Resource attributes kept as labels. */
const LABELS = [
  'service.namespace',
  'k8s.cluster.name',
  'k8s.namespace.name',
  'k8s.deployment.name',
  'k8s.node.name',
  'k8s.pod.name',
  'k8s.container.name',
  'container.image.name',
  'cloud.region',
  'cloud.availability_zone',
] as const;

const RUNTIME_OF: Readonly<Record<string, Runtime>> = {
  nodejs: 'nodejs',
  java: 'jvm',
  python: 'python',
  cpython: 'python',
  pypy: 'python',
  go: 'go',
  dotnet: 'dotnet',
  '.net': 'dotnet',
  ruby: 'ruby',
  cpp: 'native',
  rust: 'native',
};
const RUNTIME_OF_PREFIX: Readonly<Record<string, Runtime>> = {
  v8js: 'nodejs',
  nodejs: 'nodejs',
  jvm: 'jvm',
  cpython: 'python',
  go: 'go',
  dotnet: 'dotnet',
};

const firstOf = (attributes: Attributes, names: readonly string[]): string =>
  names.map((name) => attributes[name] ?? '').find((value) => value !== '') ?? '';

function runtimeOf(attributes: Attributes, points: readonly OtlpPoint[]): Runtime {
  const { 'telemetry.sdk.language': language = '', 'process.runtime.name': name = '' } = attributes;
  if (/openjdk|java|hotspot|graalvm|openj9/i.test(name)) return 'jvm';
  const told = RUNTIME_OF[name.toLowerCase()] ?? RUNTIME_OF[language.toLowerCase()];
  if (told !== undefined) return told;
  for (const { metric } of points) {
    const runtime = RUNTIME_OF_PREFIX[metric.slice(0, metric.indexOf('.'))];
    if (runtime !== undefined) return runtime;
  }
  return 'native';
}

/**
 * The start of the process. Without `process.creation.time` it is the earliest start of a cumulative series, to ten seconds
 * (an SDK makes its instruments one after another). Series that begin with the first request say nothing about it. 0 = unknown.
 */
function startOf(attributes: Attributes, points: readonly OtlpPoint[]): number {
  const created = Date.parse(attributes['process.creation.time'] ?? '');
  if (Number.isFinite(created) && created > 0) return created;
  const starts = (of: (point: OtlpPoint) => boolean) =>
    points.reduce((earliest, point) => (point.startMs > 0 && of(point) ? Math.min(earliest, point.startMs) : earliest), Infinity);
  const started = starts(({ metric }) => !/^(http|rpc)\./.test(metric));
  const fallback = Number.isFinite(started) ? started : starts(() => true);
  return Number.isFinite(fallback) ? Math.floor(fallback / 10_000) * 10_000 : 0;
}

function pidOf(attributes: Attributes): number {
  const pid = Number(attributes['process.pid'] ?? 0);
  return Number.isInteger(pid) && pid > 0 && pid < 2 ** 32 ? pid : 0;
}

function instanceOf(attributes: Attributes, pid: number): string {
  const id = attributes['service.instance.id'] ?? '';
  const place = RANDOM_ID.test(id) ? firstOf(attributes, ['k8s.pod.name', 'container.name']) : '';
  if (place !== '') return place;
  return firstOf(attributes, INSTANCE) || (pid === 0 ? '' : `pid-${pid}`);
}

export function identityOf(attributes: Attributes, points: readonly OtlpPoint[]): ProcessIdentity {
  const pid = pidOf(attributes);
  const host = firstOf(attributes, HOST);
  const service = firstOf(attributes, SERVICE);
  const startedAt = startOf(attributes, points);
  const parts = [
    host,
    service,
    pid,
    startedAt,
    ...['service.instance.id', 'k8s.pod.uid', 'k8s.pod.name', 'k8s.container.name', 'container.id'].map((name) => attributes[name] ?? ''),
  ];
  return {
    lifetime: createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 16),
    service,
    environment: firstOf(attributes, ENVIRONMENT),
    version: firstOf(attributes, VERSION),
    host,
    instance: instanceOf(attributes, pid),
    pid,
    process_started_at: startedAt,
    runtime: runtimeOf(attributes, points),
    labels: Object.fromEntries(LABELS.flatMap((name) => (attributes[name] === undefined ? [] : [[name, attributes[name]]]))),
  };
}
