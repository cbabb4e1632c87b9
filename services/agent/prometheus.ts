/**
 * Reads `/metrics` pages of watched processes at the agent's interval and joins each to the process it speaks for.
 * A page may be slow, huge, wrong or gone: it is bounded in time and size, counted, and never delays the agent.
 */
import { request as httpRequest, type RequestOptions } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { lookup } from 'node:dns';
import type { LookupFunction } from 'node:net';
import type { Clock } from '../../shared/clock.ts';
import { LeaklineError } from '../../shared/errors.ts';
import { forbiddenAddress } from '../../shared/forbidden-address.ts';
import type { Metrics } from '../../shared/metrics.ts';
import { listenersOn } from './listening-port.ts';
import { isRuntimeMetric, readRuntimeMetrics } from './prometheus-names.ts';
import { parsePrometheusText } from './prometheus-text.ts';
import type { RuntimeReading, RuntimeSource, RuntimeTarget } from './runtime-source.ts';
import { parseScrapeEntry, type ScrapeTarget } from './scrape-target.ts';

export interface PrometheusOptions {
  /** `agent.scrape`: URL, PORT=URL or SERVICE=URL each. */
  readonly entries: readonly string[];
  readonly intervalMs: number;
  readonly clock: Clock;
  readonly metrics: Metrics;
  readonly procRoot?: string;
}

const MAX_TIMEOUT_MS = 5_000;
const MAX_PAGE_BYTES = 8 << 20;
/** A page that failed is skipped for at most this many intervals, twice as many after each failure. */
const MAX_SKIPPED = 16;
const STALE_INTERVALS = 3;

interface Endpoint extends ScrapeTarget {
  reading: RuntimeReading | undefined;
  readAt: number;
  /** The one watched process that listens on the port, or is of the service. */
  joined: RuntimeTarget | undefined;
  failures: number;
  skip: number;
}

export class PrometheusSource implements RuntimeSource {
  readonly #options: PrometheusOptions;
  readonly #endpoints: Endpoint[];
  /** Watched processes by pid and when the agent last asked for them: pages are joined among these only. */
  readonly #asked = new Map<number, { readonly target: RuntimeTarget; readonly at: number }>();
  readonly #stop = new AbortController();
  readonly #loop: Promise<void>;

  /** Throws LKL_ERR_CONFIG for an entry it cannot follow. Starts reading at once. */
  constructor(options: PrometheusOptions) {
    this.#options = options;
    this.#endpoints = options.entries.map((entry) => ({
      ...parseScrapeEntry(entry),
      reading: undefined,
      readAt: 0,
      joined: undefined,
      failures: 0,
      skip: 0,
    }));
    this.#loop = this.#endpoints.length === 0 ? Promise.resolve() : this.#run();
  }

  read(target: RuntimeTarget): RuntimeReading | undefined {
    if (this.#endpoints.length === 0) return undefined;
    const now = this.#options.clock.now();
    this.#asked.set(target.pid, { target, at: now });
    const endpoint = this.#endpoints.find(({ joined }) => joined?.pid === target.pid && joined.startedAt === target.startedAt);
    return endpoint === undefined || now - endpoint.readAt > STALE_INTERVALS * this.#options.intervalMs ? undefined : endpoint.reading;
  }

  async close(): Promise<void> {
    this.#stop.abort();
    await this.#loop;
  }

  async #run(): Promise<void> {
    const { clock, intervalMs } = this.#options;
    while (!this.#stop.signal.aborted) {
      await Promise.all(this.#endpoints.map((endpoint) => this.#visit(endpoint)));
      this.#joinPages();
      await clock.sleep(intervalMs, this.#stop.signal).catch(() => undefined);
    }
  }

  async #visit(endpoint: Endpoint): Promise<void> {
    if (endpoint.skip-- > 0) return;
    const scrapes = this.#options.metrics.counter('leakline_agent_scrapes_total', 'Reads of Prometheus pages, by result', ['result']);
    try {
      const timeout = AbortSignal.timeout(Math.min(this.#options.intervalMs, MAX_TIMEOUT_MS));
      const text = await fetchPage(endpoint.url, AbortSignal.any([timeout, this.#stop.signal]));
      endpoint.reading = readRuntimeMetrics(parsePrometheusText(text, isRuntimeMetric));
      endpoint.readAt = this.#options.clock.now();
      endpoint.failures = 0;
      scrapes.inc({ result: endpoint.reading === undefined ? 'no_runtime_metrics' : 'ok' });
    } catch (error) {
      if (this.#stop.signal.aborted) return;
      endpoint.skip = Math.min(MAX_SKIPPED, 2 ** endpoint.failures++ - 1);
      scrapes.inc({ result: error instanceof LeaklineError && !error.retry ? 'refused' : 'failed' });
    }
  }

  /** Joins only what is clear: workers that share one listening socket answer in turn, so their page belongs to none of them. */
  #joinPages(): void {
    const { clock, intervalMs, procRoot } = this.#options;
    const expired = clock.now() - STALE_INTERVALS * intervalMs;
    for (const [pid, { at }] of this.#asked) if (at < expired) this.#asked.delete(pid);
    const targets = [...this.#asked.values()].map(({ target }) => target);
    for (const endpoint of this.#endpoints) {
      const { join } = endpoint;
      const candidates =
        'service' in join ? targets.filter(({ service }) => service === join.service) : listening(join.port, targets, procRoot);
      endpoint.joined = candidates.length === 1 ? candidates[0] : undefined;
    }
  }
}

function listening(port: number, targets: readonly RuntimeTarget[], procRoot: string | undefined): RuntimeTarget[] {
  const pids = new Set(
    listenersOn(
      port,
      targets.map(({ pid }) => pid),
      procRoot,
    ),
  );
  return targets.filter(({ pid }) => pids.has(pid));
}

const refused = (url: URL, problem: string) =>
  new LeaklineError('LKL_ERR_TARGET_FORBIDDEN', `agent.scrape: ${url.origin}${url.pathname} ${problem}`, { details: { url: url.origin } });

/** Resolves the name once and connects to that very address, if it may. */
const guardedLookup =
  (url: URL): LookupFunction =>
  (hostname, options, callback) => {
    lookup(hostname, { ...options, all: false }, (error, address, family) => {
      if (error !== null) callback(error, '', 0);
      else if (forbiddenAddress(address) !== undefined)
        callback(refused(url, `leads to the address ${address}: link-local and metadata addresses are off limits`), '', 0);
      else if (options.all === true) callback(null, [{ address, family }]);
      else callback(null, address, family);
    });
  };

/** The page's text. No redirect is followed: what a watched process answers must not choose where the agent goes. */
function fetchPage(url: URL, signal: AbortSignal): Promise<string> {
  const options: RequestOptions = { signal, lookup: guardedLookup(url), headers: { accept: 'text/plain;version=0.0.4' }, agent: false };
  return new Promise((resolve, reject) => {
    const request = (url.protocol === 'https:' ? httpsRequest : httpRequest)(url, options, (response) => {
      const fail = (error: Error) => {
        response.destroy();
        reject(error);
      };
      if (response.statusCode !== 200) {
        fail(refused(url, `answered ${String(response.statusCode)}: must answer 200 itself`));
        return;
      }
      const chunks: Buffer[] = [];
      let size = 0;
      response.on('data', (chunk: Buffer) => {
        size += chunk.length;
        if (size > MAX_PAGE_BYTES) fail(refused(url, `is larger than ${String(MAX_PAGE_BYTES >> 20)} MiB`));
        else chunks.push(chunk);
      });
      response.on('end', () => resolve(Buffer.concat(chunks).toString('utf8')));
      response.on('error', reject);
    });
    request.on('error', reject);
    request.end();
  });
}
