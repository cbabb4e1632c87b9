import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LeaklineError } from '../../../shared/errors.ts';
import { encodeBatch } from '../../../shared/wire.ts';
import { batchOf, createGateway, DAY, NOW, post, postBatch } from './harness.ts';

const TOKEN = 'ingest-token-0123456789';
const codeOf = (answer: { json: () => unknown }) => (answer.json() as { error: { code: string } }).error.code;

describe('POST /v1/samples', () => {
  it('puts a batch on the bus under its agent and says how many samples it took', async () => {
    const { app, messages, batches, metric } = await createGateway();
    const answer = await app.inject(postBatch(batchOf([NOW - 10_000, NOW])));
    expect([answer.statusCode, answer.json()]).toEqual([200, { accepted: 2, refused: [], cleared: [], normalised: [] }]);
    expect(messages.map(({ key }) => key)).toEqual(['agent-1']);
    expect(batches()).toEqual([batchOf([NOW - 10_000, NOW])]);
    expect(await metric('leakline_gateway_samples_total', { source: 'agent', team: 'anonymous' })).toBe(2);
  });

  it('takes gzip', async () => {
    const { app, batches } = await createGateway();
    const answer = await app.inject(post(gzipSync(encodeBatch(batchOf())), { 'content-encoding': 'gzip' }));
    expect(answer.statusCode).toBe(200);
    expect(batches()).toHaveLength(1);
  });

  it('answers only when the bus has it for good', async () => {
    const gateway = await createGateway();
    let take = (): void => undefined;
    gateway.bus = () => new Promise((resolve) => (take = resolve));
    let answered = false;
    const answer = gateway.app.inject(postBatch(batchOf())).then((response) => ((answered = true), response));
    await expect.poll(() => take.length === 1).toBe(true);
    expect(answered).toBe(false);
    take();
    expect((await answer).statusCode).toBe(200);
  });

  it('refuses single rows with the reason and takes the others', async () => {
    const { app, batches, metric } = await createGateway();
    const times = [NOW, 0, NOW + 2 * DAY, Date.UTC(2100, 0), NOW - 8 * DAY, NOW - 1];
    const answer = await app.inject(postBatch(batchOf(times)));
    expect(answer.json()).toMatchObject({
      accepted: 2,
      refused: [
        { reason: 'time_too_old', count: 2 },
        { reason: 'time_in_future', count: 2 },
      ],
    });
    expect(batches()[0]?.samples.time).toEqual([NOW, NOW - 1]);
    expect(await metric('leakline_gateway_refused_total', { source: 'agent', reason: 'time_in_future' })).toBe(2);
  });

  it('clears negative and non-numeric values and says so', async () => {
    const { app, batches } = await createGateway();
    const batch = batchOf([NOW - 2, NOW - 1, NOW]);
    const answer = await app.inject(post(JSON.stringify({ ...batch, samples: { ...batch.samples, rss: [-5, 'NaN', 7] } })));
    expect(answer.json()).toMatchObject({ accepted: 3, cleared: [{ field: 'rss', count: 2 }] });
    expect(batches()[0]?.samples.rss).toEqual([null, null, 7]);
  });

  it('cuts a 10 MB label when it fits into the body at all', async () => {
    const { app, batches } = await createGateway();
    const batch = batchOf();
    const huge = encodeBatch({ ...batch, processes: { ...batch.processes, labels: [{ big: 'x'.repeat(10_000_000) }] } });
    expect((await app.inject(post(huge))).statusCode).toBe(413);
    const squeezed = await app.inject(post(gzipSync(huge), { 'content-encoding': 'gzip' }));
    expect(squeezed.json()).toMatchObject({ accepted: 1, normalised: [{ field: 'labels', count: 1 }] });
    expect(batches()[0]?.processes.labels[0]?.['big']).toHaveLength(256);
  });

  it.each([
    ['nothing', '', 400, 'LKL_ERR_BATCH_MALFORMED'],
    ['no JSON', '{"v":1,', 400, 'LKL_ERR_BATCH_MALFORMED'],
    ['bytes', Buffer.from([0xff, 0xfe, 0, 1]), 400, 'LKL_ERR_BATCH_MALFORMED'],
    ['NaN as a number', '{"v":NaN}', 400, 'LKL_ERR_BATCH_MALFORMED'],
    ['an array', '[]', 400, 'LKL_ERR_BATCH_MALFORMED'],
    ['no columns', '{"v":1,"agent":"a","boot":"b","seq":0}', 400, 'LKL_ERR_BATCH_MALFORMED'],
    ['a newer version', '{"v":99}', 400, 'LKL_ERR_BATCH_VERSION'],
    ['deep arrays', `{"v":${'['.repeat(200_000)}${']'.repeat(200_000)}}`, 400, 'LKL_ERR_BATCH_MALFORMED'],
    ['deep objects', `{"v":1,"agent":${'{"a":'.repeat(200_000)}1${'}'.repeat(200_000)}}`, 400, 'LKL_ERR_BATCH_MALFORMED'],
  ])('refuses %s, and the batches beside it go through', async (_name, payload, status, code) => {
    const { app, messages } = await createGateway();
    const answers = await Promise.all([app.inject(postBatch(batchOf())), app.inject(post(payload)), app.inject(postBatch(batchOf()))]);
    expect(answers.map(({ statusCode }) => statusCode)).toEqual([200, status, 200]);
    expect(codeOf(answers[1])).toBe(code);
    expect(messages).toHaveLength(2);
  });

  it('refuses a zip bomb without inflating it whole', async () => {
    const { app } = await createGateway({ maxInflatedBytes: 1_000_000 });
    const bomb = gzipSync(Buffer.alloc(200_000_000, 32));
    const before = process.memoryUsage().arrayBuffers;
    const answer = await app.inject(post(bomb, { 'content-encoding': 'gzip' }));
    expect([answer.statusCode, codeOf(answer)]).toEqual([413, 'LKL_ERR_REQUEST_TOO_LARGE']);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(10_000_000);
  });

  it.each([['text/plain'], ['application/x-protobuf'], ['application/octet-stream']])('refuses content type %s', async (type) => {
    const { app } = await createGateway();
    const answer = await app.inject(post(encodeBatch(batchOf()), { 'content-type': type }));
    expect([answer.statusCode, codeOf(answer)]).toEqual([415, 'LKL_ERR_MEDIA_TYPE']);
  });

  it('takes ingest tokens only, counts by team, and logs none of it', async () => {
    const { app, lines, metric } = await createGateway({ ingestTokens: [`shop=${TOKEN}`] });
    expect((await app.inject(postBatch(batchOf()))).statusCode).toBe(401);
    const wrong = await app.inject(postBatch(batchOf(), { authorization: 'Bearer wrong-token-0123456789' }));
    expect([wrong.statusCode, codeOf(wrong)]).toEqual([401, 'LKL_ERR_UNAUTHORIZED']);
    expect((await app.inject(postBatch(batchOf(), { authorization: `Bearer ${TOKEN}` }))).statusCode).toBe(200);
    expect(await metric('leakline_gateway_samples_total', { team: 'shop' })).toBe(1);
    expect(lines.join()).not.toMatch(/ingest-token|wrong-token/);
  });

  it.each([
    ['away', new LeaklineError('LKL_ERR_BUS_UNAVAILABLE', 'no broker answers'), 503, 'LKL_ERR_BUS_UNAVAILABLE'],
    ['full', new LeaklineError('LKL_ERR_BUS_FULL', 'the queue is full'), 503, 'LKL_ERR_BUS_FULL'],
    ['of a library’s error', new Error('ECONNRESET password=hunter2'), 503, 'LKL_ERR_BUS_UNAVAILABLE'],
    ['refusing the size', new LeaklineError('LKL_ERR_BATCH_TOO_LARGE', 'message too large'), 413, 'LKL_ERR_BATCH_TOO_LARGE'],
  ])('says when the bus is %s', async (_name, error, status, code) => {
    const gateway = await createGateway();
    gateway.bus = () => Promise.reject(error);
    const answer = await gateway.app.inject(postBatch(batchOf()));
    expect([answer.statusCode, codeOf(answer), answer.headers['retry-after']]).toEqual([status, code, status === 503 ? '2' : undefined]);
    expect(answer.body).not.toContain('hunter2');
    expect(await gateway.metric('leakline_gateway_samples_total')).toBeUndefined();
  });

  it('gives up on a bus that hangs, and logs the outage once', async () => {
    const gateway = await createGateway({ publishTimeoutMs: 5 });
    const take = gateway.bus;
    gateway.bus = () => new Promise(() => undefined);
    for (let attempt = 0; attempt < 3; attempt++) expect((await gateway.app.inject(postBatch(batchOf()))).statusCode).toBe(503);
    gateway.bus = take;
    expect((await gateway.app.inject(postBatch(batchOf()))).statusCode).toBe(200);
    expect(gateway.lines.map((line) => (JSON.parse(line) as { msg: string }).msg)).toEqual([
      'the bus takes no samples; senders are told to come again',
      'the bus takes samples again',
    ]);
  });

  it('refuses services beyond those one token may name, says so, and takes the rest', async () => {
    const gateway = await createGateway({ maxServices: 2, ingestTokens: ['a=token-of-team-a-0123', 'b=token-of-team-b-0123'] });
    const send = async (service: string, team = 'a') => {
      const batch = batchOf();
      const named = { ...batch, processes: { ...batch.processes, service: [service] } };
      const answer = await gateway.app.inject(postBatch(named, { authorization: `Bearer token-of-team-${team}-0123` }));
      expect(answer.statusCode).toBe(200);
      return answer.json<{ accepted: number; refused: unknown[] }>();
    };
    expect(await send('one')).toMatchObject({ accepted: 1, refused: [] });
    expect(await send('two')).toMatchObject({ accepted: 1 });
    expect(await send('three')).toMatchObject({ accepted: 0, refused: [{ reason: 'too_many_services', count: 1 }] });
    expect(await send('two')).toMatchObject({ accepted: 1 });
    expect(await send('three', 'b')).toMatchObject({ accepted: 1 });
    expect(await gateway.metric('leakline_gateway_refused_total', { reason: 'too_many_services' })).toBe(1);
  });

  it('never answers 5xx, whatever JSON comes', async () => {
    const { app } = await createGateway();
    const sound = JSON.parse(encodeBatch(batchOf([NOW, NOW - 1])).toString()) as object;
    const mutated = fc.tuple(fc.constantFrom(...Object.keys(sound)), fc.jsonValue()).map(([key, value]) => ({ ...sound, [key]: value }));
    const columns = fc
      .tuple(fc.constantFrom('processes', 'samples'), fc.dictionary(fc.string(), fc.jsonValue()), fc.jsonValue())
      .map(([key, extra, value]) => ({ ...sound, [key]: { ...batchOf()[key as 'samples'], ...extra, time: value } }));
    await fc.assert(
      fc.asyncProperty(fc.oneof(fc.jsonValue(), mutated, columns), async (value) => {
        const answer = await app.inject(post(JSON.stringify(value)));
        expect([200, 400, 413]).toContain(answer.statusCode);
      }),
      { numRuns: 500 },
    );
  });

  it('never answers 5xx, whatever bytes and headers come', async () => {
    const { app } = await createGateway();
    const types = fc.constantFrom('application/json', 'application/json; charset=utf-8', 'text/html', '/', 'application/x-protobuf');
    const encodings = fc.constantFrom('identity', 'gzip', 'deflate', 'br', '', 'gzip, gzip');
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), types, encodings, async (bytes, type, encoding) => {
        const answer = await app.inject(post(Buffer.from(bytes), { 'content-type': type, 'content-encoding': encoding }));
        expect([400, 413, 415]).toContain(answer.statusCode);
      }),
      { numRuns: 300 },
    );
  });
});
