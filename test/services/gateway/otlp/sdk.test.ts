/** What a real OpenTelemetry SDK sends, in both encodings, over a real socket. */
import { hostname } from 'node:os';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { OTLPMetricExporter as JsonExporter } from '@opentelemetry/exporter-metrics-otlp-http';
import { OTLPMetricExporter as ProtobufExporter } from '@opentelemetry/exporter-metrics-otlp-proto';
import { RuntimeNodeInstrumentation } from '@opentelemetry/instrumentation-runtime-node';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { MeterProvider, MetricReader, type ResourceMetrics } from '@opentelemetry/sdk-metrics';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import type { Batch } from '../../../../shared/sample.ts';
import { createGateway } from '../harness.ts';

const TOKEN = 'ingest-token-0123456789';
const CREATED = '2026-01-02T03:04:05.678Z';

class ManualReader extends MetricReader {
  protected override onForceFlush = () => Promise.resolve();
  protected override onShutdown = () => Promise.resolve();
}

const reader = new ManualReader();
const provider = new MeterProvider({
  readers: [reader],
  resource: resourceFromAttributes({
    'service.name': 'checkout',
    'service.version': '2.0.1',
    'deployment.environment.name': 'staging',
    'host.name': hostname(),
    'process.pid': process.pid,
    'process.creation.time': CREATED,
    'telemetry.sdk.language': 'nodejs',
    'k8s.pod.name': 'checkout-5d9-x2x',
    'process.command_args': ['node', 'server.js'],
  }),
});
const runtime = new RuntimeNodeInstrumentation({ monitoringPrecision: 10 });
let collected: ResourceMetrics;

beforeAll(async () => {
  runtime.setMeterProvider(provider);
  runtime.enable();
  const rss = provider.getMeter('test').createObservableUpDownCounter('process.memory.usage', { unit: 'By' });
  rss.addCallback((observer) => observer.observe(process.memoryUsage().rss));
  const requests = provider.getMeter('test').createHistogram('http.server.request.duration', { unit: 's' });
  for (const route of ['/a', '/a', '/b']) requests.record(0.02, { 'http.route': route });
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
  // GC entries reach their observer in a later turn of the event loop.
  const gcSeen = async () => {
    const { resourceMetrics } = await reader.collect();
    collected = resourceMetrics;
    return resourceMetrics.scopeMetrics
      .flatMap(({ metrics }) => metrics)
      .some(
        ({ descriptor, dataPoints }) =>
          descriptor.name === 'v8js.gc.duration' && dataPoints.some((point) => point.attributes['v8js.gc.type'] === 'major'),
      );
  };
  await vi.waitUntil(gcSeen, { timeout: 10_000 });
});

afterAll(async () => {
  runtime.disable();
  await provider.shutdown();
});

async function send(Exporter: typeof JsonExporter | typeof ProtobufExporter, compression: 'gzip' | 'none'): Promise<Batch> {
  const { server, batches } = await createGateway({ ingestTokens: [TOKEN], now: Date.now() });
  const url = `${await server.listen('127.0.0.1:0')}/v1/metrics`;
  const exporter = new Exporter({ url, headers: { authorization: `Bearer ${TOKEN}` }, compression: compression as never });
  const result = await new Promise<{ code: number; error?: Error }>((resolve) => {
    exporter.export(collected, resolve);
  });
  await exporter.shutdown();
  await server.close();
  expect(result).toEqual({ code: 0 });
  expect(batches()).toHaveLength(1);
  return batches()[0]!;
}

it('maps what the Node SDK and its runtime instrumentation send', async () => {
  const { processes, samples } = await send(ProtobufExporter, 'gzip');
  expect(processes).toMatchObject({
    service: ['checkout'],
    version: ['2.0.1'],
    environment: ['staging'],
    host: [hostname()],
    instance: ['checkout-5d9-x2x'],
    pid: [process.pid],
    process_started_at: [Date.parse(CREATED)],
    runtime: ['nodejs'],
    labels: [{ 'k8s.pod.name': 'checkout-5d9-x2x' }],
  });
  expect(samples.time).toHaveLength(1);
  expect(samples.rss?.[0]).toBeGreaterThan(30_000_000);
  expect(samples.heap_used?.[0]).toBeGreaterThan(5_000_000);
  expect(samples.heap_committed?.[0]).toBeGreaterThanOrEqual(samples.heap_used?.[0] ?? NaN);
  expect(samples.gc_full_count?.[0]).toBeGreaterThanOrEqual(1);
  expect(samples.gc_count?.[0]).toBeGreaterThanOrEqual(samples.gc_full_count?.[0] ?? NaN);
  expect(samples.gc_pause_seconds?.[0]).toBeGreaterThan(0);
  expect(samples.requests).toEqual([3]);
});

it('reads both encodings alike, compressed or not', async () => {
  const [protobuf, json, plain] = [
    await send(ProtobufExporter, 'gzip'),
    await send(JsonExporter, 'gzip'),
    await send(ProtobufExporter, 'none'),
  ];
  expect(json).toEqual(protobuf);
  expect(plain).toEqual(protobuf);
});
