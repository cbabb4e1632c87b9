/**
 * Knows what was issued and what was acknowledged. It stands between senders and the gateway as an HTTP forwarder, so
 * what it saw acknowledged is an obligation, whatever became of the answer on its way back.
 */
import { once } from 'node:events';
import http from 'node:http';
import { gunzipSync } from 'node:zlib';
import type { Batch } from '../../shared/sample.ts';

export interface ObligedRow {
  readonly rss: number | null;
  readonly anon: number | null;
  readonly acknowledged: boolean;
}

/** `lifetime@time`: what names a row. */
export const rowKey = (lifetime: string, time: number): string => `${lifetime}@${time}`;

export class Oracle {
  readonly rows = new Map<string, ObligedRow>();
  /** Times the gateway did not answer, or answered that it cannot. */
  failures = 0;
  /** Batches that were sent more than once. */
  repeated = 0;
  acknowledgedBatches = 0;
  /** Rows acknowledged, by agent. */
  readonly acknowledgedByAgent = new Map<string, number>();
  readonly #seen = new Set<string>();
  readonly #server: http.Server;
  readonly #gatewayPort: number;

  constructor(gatewayPort: number) {
    this.#gatewayPort = gatewayPort;
    this.#server = http.createServer((request, response) => void this.#forward(request, response));
  }

  async listen(): Promise<string> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    return `http://127.0.0.1:${(this.#server.address() as { port: number }).port}`;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #forward(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks);
    const batch = JSON.parse((request.headers['content-encoding'] === 'gzip' ? gunzipSync(body) : body).toString()) as Batch;
    this.#record(batch, false);
    const name = JSON.stringify([batch.agent, batch.boot, batch.seq]);
    if (this.#seen.has(name)) this.repeated++;
    this.#seen.add(name);
    const answer = await this.#pass(request, body);
    if (answer !== undefined && answer.status >= 200 && answer.status < 300) {
      this.#record(batch, true);
      this.acknowledgedBatches++;
      this.acknowledgedByAgent.set(batch.agent, (this.acknowledgedByAgent.get(batch.agent) ?? 0) + batch.samples.time.length);
    } else this.failures++;
    if (answer === undefined) response.destroy();
    else response.writeHead(answer.status, { 'content-type': 'application/json' }).end(answer.body);
  }

  #pass(request: http.IncomingMessage, body: Buffer): Promise<{ status: number; body: Buffer } | undefined> {
    const { 'content-type': type = 'application/json', 'content-encoding': encoding } = request.headers;
    return new Promise((resolve) => {
      const passed = http.request({
        host: '127.0.0.1',
        port: this.#gatewayPort,
        path: request.url,
        method: 'POST',
        headers: { 'content-type': type, ...(encoding !== undefined && { 'content-encoding': encoding }), 'content-length': body.length },
      });
      passed.on('error', () => resolve(undefined));
      passed.on('response', (answer) => {
        const parts: Buffer[] = [];
        answer.on('data', (part: Buffer) => parts.push(part));
        answer.on('error', () => resolve(undefined));
        answer.on('close', () => {
          if (!answer.complete) resolve(undefined);
        });
        answer.on('end', () => resolve({ status: answer.statusCode ?? 0, body: Buffer.concat(parts) }));
      });
      passed.end(body);
    });
  }

  #record(batch: Batch, acknowledged: boolean): void {
    const { samples, processes } = batch;
    samples.time.forEach((time, row) => {
      const key = rowKey(processes.lifetime[samples.process[row]!]!, time);
      const before = this.rows.get(key)?.acknowledged ?? false;
      this.rows.set(key, { rss: samples.rss?.[row] ?? null, anon: samples.anon?.[row] ?? null, acknowledged: acknowledged || before });
    });
  }
}
