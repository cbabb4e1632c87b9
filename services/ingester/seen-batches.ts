/** Tells batches that came before from new ones, for a counter: whether a row is stored twice is decided by its name alone. */
import type { Batch } from '../../shared/sample.ts';

/** Agents remembered; beyond it the one silent for longest is forgotten. */
const AGENTS = 100_000;

export class SeenBatches {
  readonly #latest = new Map<string, { readonly boot: string; readonly seq: number }>();

  /** True when this boot of the agent sent this seq or a later one before. */
  isRepeated({ agent, boot, seq }: Pick<Batch, 'agent' | 'boot' | 'seq'>): boolean {
    const latest = this.#latest.get(agent);
    const repeated = latest?.boot === boot && seq <= latest.seq;
    this.#latest.delete(agent);
    this.#latest.set(agent, repeated ? latest : { boot, seq });
    if (this.#latest.size > AGENTS) {
      for (const oldest of this.#latest.keys()) {
        this.#latest.delete(oldest);
        break;
      }
    }
    return repeated;
  }
}
