import { readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import protobuf from 'protobufjs/minimal.js';
import { describe, expect, it } from 'vitest';
import { LeaklineError } from '../../../../shared/errors.ts';
import { batchOf, createGateway, DAY, NOW, post, postBatch } from '../harness.ts';
import { gauge, histogram, request, resourceOf, sum } from './payload.ts';

const postJson = (payload: string) => post(payload, {}, '/v1/metrics');
const postProtobuf = (payload: Buffer, headers: Record<string, string> = {}) =>
  post(payload, { 'content-type': 'application/x-protobuf', ...headers }, '/v1/metrics');

const rss = (value: number, at = NOW) => gauge('process.memory.usage', value, { at });
const pod = (name: string, more: Record<string, string | number> = {}) => ({
  'service.name': 'shop',
  'host.name': 'node-1',
  'k8s.pod.name': name,
  ...more,
});

/** A protobuf request of one gauge point, written by hand from the field numbers of metrics.proto. */
function protobufRequest(): Buffer {
  const { Writer } = protobuf;
  const message = (field: number, fill: (writer: protobuf.Writer) => void) => (writer: protobuf.Writer) => {
    fill(writer.uint32((field << 3) | 2).fork());
    writer.ldelim();
  };
  const keyValue = (key: string, value: string) => (writer: protobuf.Writer) => {
    writer.uint32(10).string(key);
    message(2, (any) => any.uint32(10).string(value))(writer);
  };
  const point = (writer: protobuf.Writer) => {
    const nanos = BigInt(NOW) * 1_000_000n;
    writer.uint32((3 << 3) | 1).fixed64(nanos.toString());
    writer.uint32((6 << 3) | 1).sfixed64(1_234_567);
  };
  const metric = (writer: protobuf.Writer) => {
    // Data before the name, which is legal.
    message(5, message(1, point))(writer);
    writer.uint32(10).string('process.memory.usage');
  };
  const resourceMetrics = (writer: protobuf.Writer) => {
    message(1, message(1, keyValue('service.name', 'shop')))(writer);
    message(2, message(2, metric))(writer);
  };
  const writer = Writer.create();
  message(1, resourceMetrics)(writer);
  return Buffer.from(writer.finish());
}

describe('POST /v1/metrics', () => {
  it('makes one message a host, with a process per resource', async () => {
    const { app, messages, batches, metric } = await createGateway();
    const answer = await app.inject(
      postJson(
        request(
          resourceOf(pod('a-1'), [rss(1)]),
          resourceOf(pod('a-2'), [rss(2)]),
          resourceOf({ ...pod('a-3'), 'host.name': 'node-2' }, [rss(3)]),
        ),
      ),
    );
    expect([answer.statusCode, answer.json()]).toEqual([200, {}]);
    expect(messages.map(({ key }) => key)).toEqual(['otlp/node-1', 'otlp/node-2']);
    expect(batches().map(({ processes, samples }) => [processes.instance, samples.rss])).toEqual([
      [
        ['a-1', 'a-2'],
        [1, 2],
      ],
      [['a-3'], [3]],
    ]);
    expect(await metric('leakline_gateway_samples_total', { source: 'otlp' })).toBe(3);
    expect(await metric('leakline_gateway_otlp_points_total', { outcome: 'mapped' })).toBe(3);
  });

  it('reads protobuf whatever the order of fields', async () => {
    const { app, batches } = await createGateway();
    const answer = await app.inject(postProtobuf(gzipSync(protobufRequest()), { 'content-encoding': 'gzip' }));
    expect([answer.statusCode, answer.headers['content-type'], answer.rawPayload.length]).toEqual([200, 'application/x-protobuf', 0]);
    expect(batches()[0]).toMatchObject({ processes: { service: ['shop'] }, samples: { rss: [1_234_567] } });
  });

  it('gives a resent request the same messages, to the byte', async () => {
    const { app, messages } = await createGateway();
    const payload = request(
      resourceOf(pod('a-1', { 'process.pid': 7 }), [rss(1), sum('v8js.memory.heap.used', 5, { startedAt: NOW - DAY })]),
    );
    await app.inject(postJson(payload));
    await app.inject(postJson(payload));
    expect(messages[1]).toEqual(messages[0]);
  });

  it('names batches and rows of one second apart when one resource is split over two requests', async () => {
    const { app, batches } = await createGateway();
    await app.inject(postJson(request(resourceOf(pod('a-1'), [rss(1)]))));
    await app.inject(postJson(request(resourceOf(pod('a-1'), [gauge('v8js.memory.heap.used', 2)]))));
    const [first, second] = batches();
    expect(second?.processes.lifetime).toEqual(first?.processes.lifetime);
    expect(second?.seq).not.toBe(first?.seq);
    expect(second?.samples.time).not.toEqual(first?.samples.time);
  });

  it.each([
    ['another pid', pod('a-1', { 'process.pid': 8 }), NOW - DAY, false],
    ['another start', pod('a-1', { 'process.pid': 7 }), NOW - DAY + 60_000, false],
    ['a start within the same ten seconds', pod('a-1', { 'process.pid': 7 }), NOW - DAY + 300, true],
    ['another container', pod('a-1', { 'process.pid': 7, 'container.id': 'x' }), NOW - DAY, false],
    ['another version', pod('a-1', { 'process.pid': 7, 'service.version': '2' }), NOW - DAY, true],
  ])('tells lifetimes apart by %s', async (_name, attributes, startedAt, isSame) => {
    const { app, batches } = await createGateway();
    const metrics = (start: number) => [sum('process.memory.usage', 1, { startedAt: start })];
    await app.inject(postJson(request(resourceOf(pod('a-1', { 'process.pid': 7 }), metrics(NOW - DAY)))));
    await app.inject(postJson(request(resourceOf(attributes, metrics(startedAt)))));
    const [first, second] = batches().map(({ processes }) => processes.lifetime[0]);
    expect(first === second).toBe(isSame);
  });

  it('names the instance by what survives a restart', async () => {
    const { app, batches } = await createGateway();
    const random = '0189cf4e-7a2c-4c7e-9c11-1a2b3c4d5e6f';
    const attributes = [
      { 'service.instance.id': 'shop-eu-1', 'k8s.pod.name': 'p' },
      { 'service.instance.id': random, 'k8s.pod.name': 'p' },
      { 'service.instance.id': random },
      { 'container.id': 'c' },
      { 'process.pid': 9 },
    ];
    await app.inject(postJson(request(...attributes.map((entry) => resourceOf({ 'host.id': 'h', ...entry }, [rss(1)])))));
    expect(batches()[0]?.processes.instance).toEqual(['shop-eu-1', 'p', random, 'c', 'pid-9']);
    expect(batches()[0]?.processes.service).toEqual(Array.from({ length: 5 }, () => 'unknown_service'));
  });

  it('says what it refused as partial success, in the encoding of the request', async () => {
    const { app, batches, metric } = await createGateway();
    const delta = sum('process.memory.usage', 1, {}, 'By', 1);
    const payload = request(
      resourceOf(pod('a-1'), [delta, gauge('v8js.memory.heap.used', 5)]),
      resourceOf(pod('a-2'), [rss(1, NOW - 9 * DAY)]),
    );
    const answer = await app.inject(postJson(payload));
    expect(answer.json()).toEqual({
      partialSuccess: {
        rejectedDataPoints: '2',
        errorMessage: '1 × not_cumulative (set OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE=cumulative), 1 × time_too_old',
      },
    });
    expect(batches()).toHaveLength(1);
    expect(batches()[0]?.samples.heap_used).toEqual([5]);
    expect(await metric('leakline_gateway_otlp_points_total', { outcome: 'not_cumulative' })).toBe(1);
  });

  it('ignores metrics it has no use for, and empty requests', async () => {
    const { app, messages } = await createGateway();
    const payload = request(resourceOf(pod('a-1'), [gauge('system.memory.usage', 1), histogram('http.server.request.duration', 5, 1)]));
    expect((await app.inject(postJson(payload))).json()).toEqual({});
    expect((await app.inject(postJson('{}'))).json()).toEqual({});
    expect((await app.inject(postProtobuf(Buffer.alloc(0)))).statusCode).toBe(200);
    expect(messages).toEqual([]);
  });

  it.each([
    ['no JSON', '{"resourceMetrics":['],
    ['JSON of something else', '{"resourceSpans":[]}'],
    ['a list', '[]'],
    ['deep JSON', '['.repeat(100_000) + ']'.repeat(100_000)],
  ])('refuses %s with a status, and the requests beside it go through', async (_name, payload) => {
    const { app, messages } = await createGateway();
    const [bad, good] = await Promise.all([app.inject(postJson(payload)), app.inject(postBatch(batchOf()))]);
    expect(bad.statusCode).toBe(400);
    expect(bad.json()).toMatchObject({ code: 3, error: { code: 'LKL_ERR_REQUEST_MALFORMED' } });
    expect(good.statusCode).toBe(200);
    expect(messages).toHaveLength(1);
  });

  it('answers errors to protobuf senders as google.rpc.Status', async () => {
    const gateway = await createGateway();
    const malformed = await gateway.app.inject(postProtobuf(Buffer.from([0x0a, 0xff])));
    expect([malformed.statusCode, malformed.headers['content-type']]).toEqual([400, 'application/x-protobuf']);
    gateway.bus = () => Promise.reject(new LeaklineError('LKL_ERR_BUS_UNAVAILABLE', 'no broker answers'));
    const away = await gateway.app.inject(postProtobuf(protobufRequest()));
    expect([away.statusCode, away.headers['retry-after']]).toEqual([503, '2']);
    const reader = protobuf.Reader.create(away.rawPayload);
    expect([reader.uint32(), reader.int32(), reader.uint32(), reader.string()]).toEqual([
      8,
      14,
      18,
      'LKL_ERR_BUS_UNAVAILABLE: no broker answers',
    ]);
    const refused = await (await createGateway({ ingestTokens: ['ingest-token-0123456789'] })).app.inject(postProtobuf(protobufRequest()));
    expect(refused.statusCode).toBe(401);
    expect((await gateway.app.inject(post('x', { 'content-type': 'text/plain' }, '/v1/metrics'))).statusCode).toBe(415);
  });

  it('builds nothing of a body that is all empty points', async () => {
    const { app } = await createGateway();
    // 30 MB of two-byte empty points in a metric that is wanted: 15 million of them.
    const head = (field: number, length: number) => {
      const writer = protobuf.Writer.create().uint32((field << 3) | 2);
      return Buffer.from(writer.uint32(length).finish());
    };
    let body: Buffer = Buffer.alloc(30_000_000, Buffer.from([0x0a, 0x00]));
    body = Buffer.concat([Buffer.from([0x0a, 20]), Buffer.from('process.memory.usage'), head(5, body.length), body]);
    for (const field of [2, 2, 1]) body = Buffer.concat([head(field, body.length), body]);
    const answer = await app.inject(postProtobuf(gzipSync(body), { 'content-encoding': 'gzip' }));
    expect(answer.statusCode).toBe(413);
  });

  it('never answers 5xx, whatever protobuf comes', async () => {
    const { app } = await createGateway();
    const sound = protobufRequest();
    const mutated = fc
      .array(fc.tuple(fc.nat(sound.length - 1), fc.nat(255)), { minLength: 1, maxLength: 6 })
      .map((changes) => changes.reduce((bytes, [index, value]) => ((bytes[index] = value), bytes), Buffer.from(sound)));
    const cut = fc.nat(sound.length).map((length) => sound.subarray(0, length));
    const random = fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes));
    const groups = fc.constant(Buffer.alloc(100_000, 0x0b));
    await fc.assert(
      fc.asyncProperty(fc.oneof(mutated, mutated, cut, random, groups), async (bytes) => {
        expect([200, 400, 413]).toContain((await app.inject(postProtobuf(bytes))).statusCode);
      }),
      { numRuns: 1_000 },
    );
  });

  it('never answers 5xx, whatever JSON comes', async () => {
    const { app } = await createGateway();
    const names = fc.constantFrom('process.memory.usage', 'jvm.memory.used', 'v8js.gc.duration', 'go.memory.gc.goal', '__proto__');
    const scalar = fc.oneof(
      fc.constantFrom<unknown>(null, true, [], {}, 0, -1, 1.5, NOW * 1e6, `${NOW}000000`, '1e400', '-5', '9'.repeat(400), 'NaN', ''),
      fc.string({ maxLength: 8 }),
      fc.double(),
    );
    const listOf = <Value>(item: fc.Arbitrary<Value>) => fc.oneof(fc.array(item, { maxLength: 3 }), scalar);
    const keys = fc.constantFrom('service.name', 'process.pid', 'process.creation.time', 'jvm.memory.type', '__proto__');
    const keyValue = fc.record({ key: keys, value: fc.record({ stringValue: scalar }) });
    const times = { timeUnixNano: scalar, startTimeUnixNano: scalar, attributes: listOf(keyValue), flags: scalar };
    const point = fc.record({ ...times, asInt: scalar, asDouble: scalar, count: scalar, sum: scalar }, { requiredKeys: [] });
    const data = fc.record({ aggregationTemporality: fc.constantFrom(0, 1, 2, '2'), dataPoints: listOf(point) });
    const metric = fc.record({ name: names, unit: scalar, gauge: data, sum: data, histogram: data }, { requiredKeys: ['name'] });
    const scope = fc.record({ metrics: listOf(metric) });
    const resource = fc.record({ resource: fc.record({ attributes: listOf(keyValue) }), scopeMetrics: listOf(scope) });
    await fc.assert(
      fc.asyncProperty(fc.oneof(listOf(resource), fc.jsonValue()), async (resourceMetrics) => {
        expect([200, 400, 413]).toContain((await app.inject(postJson(JSON.stringify({ resourceMetrics })))).statusCode);
      }),
      { numRuns: 500 },
    );
  });

  it('is documented with its path and content types', () => {
    const doc = readFileSync(new URL('../../../../docs/otlp.md', import.meta.url), 'utf8');
    expect(doc).toContain('/v1/metrics');
    expect(doc).toContain('application/x-protobuf');
  });
});
