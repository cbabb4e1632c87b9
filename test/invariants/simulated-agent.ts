/** An agent in a loop: batches in order, each again until it is acknowledged, with a clock that can be stepped. */
import { LookTimes } from '../../services/agent/look-times.ts';
import { systemClock } from '../../shared/clock.ts';
import { encodeBatch } from '../../shared/wire.ts';
import type { Random } from '../eval/random.ts';
import { lifetimeOf, sampleBatch } from '../harness/sample-batch.ts';

const PROCESSES = 5;

export class SimulatedAgent {
  readonly #name: string;
  readonly #url: string;
  readonly #random: Random;
  #stepMs = 0;
  readonly #times = new LookTimes();

  constructor(name: string, url: string, random: Random) {
    this.#name = name;
    this.#url = url;
    this.#random = random;
  }

  get lifetimes(): string[] {
    return Array.from({ length: PROCESSES }, (_, process) => lifetimeOf(this.#name, process));
  }

  stepClock(stepMs: number): void {
    this.#stepMs = stepMs;
  }

  async run(signal: AbortSignal): Promise<void> {
    const random = this.#random;
    for (let seq = 0; !signal.aborted; seq++) {
      const time = this.#times.next(systemClock.now() + this.#stepMs);
      const body = encodeBatch(sampleBatch({ agent: this.#name, boot: 'boot', seq, time, processes: PROCESSES }));
      while (!(await this.#send(body))) await systemClock.sleep(random.between(50, 250));
      await systemClock.sleep(random.between(20, 80));
    }
  }

  async #send(body: Buffer): Promise<boolean> {
    const answer = await fetch(`${this.#url}/v1/samples`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body,
      signal: AbortSignal.timeout(40_000),
    }).catch(() => undefined);
    await answer?.arrayBuffer().catch(() => undefined);
    return answer?.ok === true;
  }
}
