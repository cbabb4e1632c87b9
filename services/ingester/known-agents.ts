/**
 * The processes each agent named last, encoded, with the bytes they came as. Bounded: what was not seen for long makes room;
 * while there is none, the processes of new agents are decoded flush by flush.
 */
import { ownCopy, tabulate, type ProcessTable } from '../../shared/store/process-table.ts';
import type { Batch } from '../../shared/sample.ts';

interface Known {
  readonly text: Buffer;
  readonly count: number;
  readonly table: ProcessTable;
}

interface Entry {
  readonly known: Known;
  seenAt: number;
}

/**
 * 22,000 agents of 50 processes with long names: more than a million processes, which one ingester is to carry. An agent beyond it
 * costs 6.7 µs a sample instead of 1.9. What the allocator takes beside is about half as much again.
 */
const BUDGET_BYTES = 512 * 1024 * 1024;
/** An agent silent for longer may be forgotten for another. */
const SILENT_MS = 60_000;

export class KnownAgents {
  /** In the order they were last seen. */
  readonly #entries = new Map<string, Entry>();
  #bytes = 0;

  /** `at`: milliseconds of any clock that goes on. */
  find(agent: string, at: number): Known | undefined {
    const entry = this.#entries.get(agent);
    if (entry === undefined) return undefined;
    entry.seenAt = at;
    // Last in order again.
    this.#entries.delete(agent);
    this.#entries.set(agent, entry);
    return entry.known;
  }

  /** `text`: as the processes stand in the message. */
  learn(agent: string, text: Buffer, processes: Batch['processes'], at: number): ProcessTable {
    const table = tabulate(processes);
    this.#forget(agent);
    for (const [silent, { seenAt }] of this.#entries) {
      if (this.#bytes + table.bytes + text.length <= BUDGET_BYTES || at - seenAt < SILENT_MS) break;
      this.#forget(silent);
    }
    if (this.#bytes + table.bytes + text.length > BUDGET_BYTES) return table;
    // A copy: the message is a slice of everything that was fetched with it.
    this.#entries.set(agent, { known: { text: ownCopy(text), count: table.count, table }, seenAt: at });
    this.#bytes += table.bytes + text.length;
    return table;
  }

  #forget(agent: string): void {
    const entry = this.#entries.get(agent);
    if (entry === undefined) return;
    this.#entries.delete(agent);
    this.#bytes -= entry.known.table.bytes + entry.known.text.length;
  }
}
