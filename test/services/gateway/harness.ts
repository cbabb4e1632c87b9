/** A gateway on a bus that remembers, for app.inject. */
import { createAuth } from '../../../shared/auth.ts';
import type { OutgoingMessage } from '../../../shared/bus/bus.ts';
import { createHttpServer } from '../../../shared/http-server.ts';
import { createLog } from '../../../shared/log.ts';
import { Metrics } from '../../../shared/metrics.ts';
import type { Batch } from '../../../shared/sample.ts';
import { decodeBatch, encodeBatch } from '../../../shared/wire.ts';
import { registerGateway } from '../../../services/gateway/gateway.ts';

export const NOW = Date.UTC(2026, 5, 1, 12);
export const DAY = 86_400_000;

export interface GatewayHarness {
  readonly server: ReturnType<typeof createHttpServer>;
  readonly app: ReturnType<typeof createHttpServer>['app'];
  /** Messages the bus has taken. */
  readonly messages: OutgoingMessage[];
  readonly batches: () => Batch[];
  readonly lines: string[];
  readonly metric: (name: string, labels?: Record<string, string>) => Promise<number | undefined>;
  /** What the bus does with the next messages; default: takes them. */
  bus: (messages: readonly OutgoingMessage[]) => Promise<void>;
}

export async function createGateway(
  options: { ingestTokens?: string[]; maxInflatedBytes?: number; publishTimeoutMs?: number; now?: number; maxServices?: number } = {},
) {
  const { ingestTokens = [], maxInflatedBytes = 32 * 1024 * 1024, publishTimeoutMs = 15_000, now = NOW, maxServices = 1000 } = options;
  const lines: string[] = [];
  const messages: OutgoingMessage[] = [];
  const log = createLog({ level: 'info', secrets: [], destination: { write: (line) => lines.push(line) } });
  const auth = createAuth({ ingestTokens, readerTokens: [], operatorTokens: [], trustedProxyHeader: '' });
  const metrics = new Metrics();
  const ready = () => ({ ok: true, reasons: [] });
  const server = createHttpServer({ log, metrics, auth, maxBodyBytes: 4 * 1024 * 1024, maxInflatedBytes, ready });
  const harness: GatewayHarness = {
    server,
    app: server.app,
    messages,
    batches: () => messages.map(({ value }) => decodeBatch(value, { at: now, maxFutureMs: DAY, maxAgeMs: 7 * DAY }).batch),
    lines,
    metric: async (name, labels = {}) => {
      const values = (await metrics.registry.getSingleMetric(name)?.get())?.values ?? [];
      return values.find((value) => Object.entries(labels).every(([label, wanted]) => value.labels[label] === wanted))?.value;
    },
    bus: (taken) => {
      messages.push(...taken);
      return Promise.resolve();
    },
  };
  await registerGateway(server.app, {
    bus: { publish: (_topic, taken) => harness.bus(taken) },
    auth,
    log,
    metrics,
    clock: { now: () => now, sleep: () => Promise.resolve() },
    maxFutureMs: DAY,
    maxAgeMs: 7 * DAY,
    limits: { services: maxServices, series: 10_000 },
    publishTimeoutMs,
  });
  return harness;
}

/** A sound batch of one process with a row per given time. */
export function batchOf(times: readonly number[] = [NOW], changes: Partial<Batch> = {}): Batch {
  return {
    v: 1,
    agent: 'agent-1',
    boot: 'boot-1',
    seq: 0,
    sent_at: NOW,
    processes: {
      lifetime: ['0123456789abcdef'],
      service: ['checkout'],
      environment: ['prod'],
      version: ['1.2.3'],
      host: ['host-1'],
      instance: ['checkout-0'],
      pid: [42],
      process_started_at: [NOW - DAY],
      runtime: ['nodejs'],
      labels: [{}],
    },
    samples: { process: times.map(() => 0), time: times, rss: times.map((_, row) => 1_000_000 + row) },
    ...changes,
  };
}

export const post = (payload: string | Buffer, headers: Record<string, string> = {}, url = '/v1/samples') => ({
  method: 'POST' as const,
  url,
  headers: { 'content-type': 'application/json', ...headers },
  payload,
});

export const postBatch = (batch: Batch, headers: Record<string, string> = {}) => post(encodeBatch(batch), headers);
