/**
 * Knows what was issued and what was acknowledged. It stands between senders and the gateway as an HTTP forwarder, so
 * what it saw acknowledged is an obligation, whatever became of the answer on its way back.
 */
import { once } from 'node:events';
import http from 'node:http';
import { gunzipSync } from 'node:zlib';
import { METRIC_NAMES, type Batch } from '../../shared/sample.ts';

export interface ObligedRow {
  /** Everything that was said, in one string; see `payloadOf`. */
  readonly payload: string;
  acknowledged: boolean;
  /** The gateway said that it does not take it. */
  refused: boolean;
}

/** What the gateway was sent, to be sent again. */
export interface SentBody {
  readonly body: Buffer;
  readonly encoding: string | undefined;
}

/** `lifetime@time`: what names a row. */
export const rowKey = (lifetime: string, time: number): string => `${lifetime}@${time}`;

/** All that is to be found in the store beside the name of the row; '' = absent. */
export const payloadOf = (names: readonly (string | number)[], metrics: readonly (number | null | undefined)[]): string =>
  [...names, ...metrics.map((value) => value ?? '')].join('|');

/** What the names of simulated agents begin with. */
export const SIMULATED = 'simulated-';

/** Bodies kept for later. */
const KEPT_BODIES = 2_000;

export class Oracle {
  /** By lifetime, by name of the row. */
  readonly rows = new Map<string, Map<string, ObligedRow>>();
  /** Rows whose name was issued for two different samples. */
  readonly ambiguous: string[] = [];
  /** Times the gateway did not answer, or answered that it cannot. */
  failures = 0;
  /** Batches that were sent more than once. */
  repeated = 0;
  acknowledgedBatches = 0;
  acknowledgedRows = 0;
  refusedRows = 0;
  /** Rows acknowledged of agents that are none of the simulated. */
  realRows = 0;
  /** Of acknowledged batches, the last so many. */
  readonly bodies: SentBody[] = [];
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
    try {
      for await (const chunk of request) chunks.push(chunk as Buffer);
    } catch {
      // The sender was killed while it spoke: nothing was issued.
      return;
    }
    const sent = { body: Buffer.concat(chunks), encoding: request.headers['content-encoding'] };
    const answer = await this.deliver(sent);
    if (answer === undefined) response.destroy();
    else response.writeHead(answer.status, { 'content-type': 'application/json' }).end(answer.body);
  }

  /** undefined: the gateway broke off. */
  async deliver(sent: SentBody): Promise<{ status: number; body: Buffer } | undefined> {
    const batch = JSON.parse((sent.encoding === 'gzip' ? gunzipSync(sent.body) : sent.body).toString()) as Batch;
    const rows = this.#issue(batch);
    const name = JSON.stringify([batch.agent, batch.boot, batch.seq]);
    if (this.#seen.has(name)) this.repeated++;
    this.#seen.add(name);
    const answer = await this.#pass(sent);
    if (answer === undefined || answer.status < 200 || answer.status > 299) {
      this.failures++;
      return answer;
    }
    this.acknowledgedBatches++;
    // Senders here make times that are all fine or all refused; which of a mixture were refused the answer does not say.
    const { accepted } = JSON.parse(answer.body.toString()) as { accepted: number };
    if (accepted !== 0 && accepted !== rows.length) throw new Error(`${accepted} of ${rows.length} rows accepted`);
    for (const row of rows) {
      if (accepted === 0 && !row.refused) this.refusedRows++;
      if (accepted === 0) row.refused = true;
      else if (!row.acknowledged) this.#acknowledge(row, batch.agent);
    }
    if (accepted > 0) this.bodies.push(sent);
    if (this.bodies.length > KEPT_BODIES) this.bodies.splice(Math.floor((this.acknowledgedBatches * 7919) % KEPT_BODIES), 1);
    return answer;
  }

  #acknowledge(row: ObligedRow, agent: string): void {
    row.acknowledged = true;
    this.acknowledgedRows++;
    if (!agent.startsWith(SIMULATED)) this.realRows++;
  }

  #pass({ body, encoding }: SentBody): Promise<{ status: number; body: Buffer } | undefined> {
    return new Promise((resolve) => {
      const passed = http.request({
        host: '127.0.0.1',
        port: this.#gatewayPort,
        path: '/v1/samples',
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          ...(encoding !== undefined && { 'content-encoding': encoding }),
          'content-length': body.length,
        },
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

  /** The rows of a batch, known from now on. */
  #issue({ agent, boot, seq, processes, samples }: Batch): ObligedRow[] {
    return samples.time.map((time, index) => {
      const process = samples.process[index]!;
      const lifetime = processes.lifetime[process]!;
      const names = [processes.service[process]!, processes.instance[process]!, processes.version[process]!, agent, boot, seq];
      const payload = payloadOf(
        names,
        METRIC_NAMES.map((name) => samples[name]?.[index]),
      );
      let ofLifetime = this.rows.get(lifetime);
      if (ofLifetime === undefined) this.rows.set(lifetime, (ofLifetime = new Map<string, ObligedRow>()));
      const key = rowKey(lifetime, time);
      let row = ofLifetime.get(key);
      if (row === undefined) ofLifetime.set(key, (row = { payload, acknowledged: false, refused: false }));
      else if (row.payload !== payload) this.ambiguous.push(`${key}: ${row.payload} and ${payload}`);
      return row;
    });
  }
}
