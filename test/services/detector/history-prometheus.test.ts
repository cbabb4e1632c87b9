import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import { text } from 'node:stream/consumers';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { backtestRows } from '../../../services/detector/backtest.ts';
import { prometheusRows, type PrometheusRange } from '../../../services/detector/history-prometheus.ts';
import { policyFor } from '../../../services/detector/policy.ts';
import { MB, noise, START } from './series-of.ts';

const DAY = 1440;
const MINUTE = 60_000;
type Level = (minute: number) => number;

const closers: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

interface Series {
  readonly metric: Readonly<Record<string, string>>;
  readonly level: Level;
}

/** query_range as documented: 11,000 points a series at most, a cap on samples, errors as JSON. */
async function standIn(answers: Readonly<Record<string, readonly Series[]>>, { maxSamples = 50_000_000, token = '' } = {}) {
  const requests: URLSearchParams[] = [];
  const respond = (request: IncomingMessage, form: URLSearchParams): [number, unknown] => {
    if (token !== '' && request.headers.authorization !== `Bearer ${token}`) return [401, 'no'];
    const failed = (status: number, errorType: string, error: string): [number, unknown] => [status, { status: 'error', errorType, error }];
    const [start, end, step] = ['start', 'end', 'step'].map((name) => Number(form.get(name))) as [number, number, number];
    if ((end - start) / step > 11_000)
      return failed(
        400,
        'bad_data',
        'exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)',
      );
    const series = answers[form.get('query') ?? ''];
    if (series === undefined) return failed(400, 'bad_data', 'invalid parameter "query": parse error');
    const times = Array.from({ length: Math.floor((end - start) / step) + 1 }, (_, index) => start + index * step);
    if (times.length * series.length > maxSamples)
      return failed(422, 'execution', 'query processing would load too many samples into memory in query execution');
    const result = series.map(({ metric, level }) => ({
      metric,
      values: times.flatMap((at) => {
        const value = level((at * 1000 - START) / MINUTE);
        return Number.isNaN(value) ? [] : [[at, String(value)]];
      }),
    }));
    return [200, { status: 'success', data: { resultType: 'matrix', result } }];
  };
  const server = createServer((request, response) => {
    void text(request).then((body) => {
      const form = new URLSearchParams(body);
      requests.push(form);
      const [status, answer] = request.url === '/prefix/api/v1/query_range' ? respond(request, form) : [404, 'no such page'];
      response.writeHead(status, { 'content-type': 'application/json' });
      response.end(JSON.stringify(answer));
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  closers.push(() => new Promise((resolve) => server.close(resolve)));
  return { url: `http://127.0.0.1:${String((server.address() as AddressInfo).port)}/prefix/`, requests };
}

const rangeOf = (url: string, more: Partial<PrometheusRange> = {}): PrometheusRange => ({
  url,
  token: '',
  queries: [
    { column: 'rss', expression: 'rss' },
    { column: 'limit', expression: 'limit' },
  ],
  from: START,
  to: START + 3 * DAY * MINUTE,
  resolutionMs: MINUTE,
  serviceLabels: ['job'],
  instanceLabels: ['pod'],
  ...more,
});

const judge = (range: PrometheusRange) => backtestRows(prometheusRows(range), { stepMs: 5 * MINUTE, policy: policyFor('production') });

const leaking: Level = (minute) => Math.round((300 + Math.max(0, minute - 2 * DAY) / 3 + 3 * noise(minute)) * MB);
const flat: Level = (minute) => Math.round((300 + 3 * noise(minute)) * MB);
const fleet = {
  rss: [
    { metric: { job: 'shop', pod: 'shop-a' }, level: leaking },
    { metric: { job: 'shop', pod: 'shop-b' }, level: flat },
    { metric: { job: 'cart', pod: 'cart-a' }, level: (minute: number) => (minute < DAY ? NaN : flat(minute)) },
  ],
  // A limit per service, not per process.
  limit: [{ metric: { job: 'shop' }, level: () => 1e9 }],
};

describe('a Prometheus range', () => {
  it('is judged page by page, in order of time, joined with the limit of its service', async () => {
    const { url, requests } = await standIn(fleet);
    const result = await judge(rangeOf(url, { resolutionMs: 10_000 }));
    expect(result.rows).toBe(2 * (3 * DAY * 6 + 1) + 2 * DAY * 6 + 1);
    expect(result.findings).toMatchObject([{ service: 'shop', instances: ['shop-a'] }]);
    expect(result.findings[0]?.exhaustsAt).not.toBeNull();
    const pages = requests.filter((form) => form.get('query') === 'rss');
    const points = pages.map((form) => (Number(form.get('end')) - Number(form.get('start'))) / 10 + 1);
    expect(Math.max(...points)).toBeLessThanOrEqual(11_000);
    expect(points.reduce((sum, one) => sum + one, 0)).toBe(3 * DAY * 6 + 1);
  });

  it('asks for less where the server refuses to load so many samples', async () => {
    const { url, requests } = await standIn(fleet, { maxSamples: 3000 });
    const result = await judge(rangeOf(url));
    expect(result.findings).toHaveLength(1);
    expect(result.rows).toBe(2 * (3 * DAY + 1) + 2 * DAY + 1);
    expect(requests.length).toBeGreaterThan(8);
  });

  it('refuses series that would be mixed under one name, and a range without samples', async () => {
    const twice = { metric: { job: 'shop', pod: 'shop-a', container: 'proxy' }, level: flat };
    const { url } = await standIn({ rss: [...fleet.rss, twice], limit: [], none: [] });
    await expect(judge(rangeOf(url))).rejects.toThrow(
      /two series of rss are service "shop", instance "shop-a".*"container":"proxy".*--instance-label/,
    );
    await expect(judge(rangeOf(url, { queries: [{ column: 'rss', expression: 'none' }] }))).rejects.toThrow(
      /no samples between .* for none/,
    );
  });

  it('says what the server said, and never the token', async () => {
    const { url } = await standIn(fleet, { token: 's3cret' });
    const refused = (await judge(rangeOf(url, { token: 'wr0ng' })).catch((error: unknown) => error)) as Error;
    expect(refused).toMatchObject({ code: 'LKL_ERR_UNAUTHORIZED' });
    expect(`${refused.message}${JSON.stringify(refused)}`).not.toContain('wr0ng');
    const queries = [{ column: 'rss' as const, expression: 'sum(' }];
    await expect(judge(rangeOf(url, { token: 's3cret', queries }))).rejects.toThrow(
      /answers 400 to sum\(: invalid parameter "query": parse error/,
    );
    await expect(judge(rangeOf('http://user:pa55@127.0.0.1:9'))).rejects.toThrow(/^http:\/\/127\.0\.0\.1:9 does not answer/);
  });
});
