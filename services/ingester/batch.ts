/** Collects batches for one insert, and how far each partition is covered by it. Pure. */
import type { BusMessage } from '../../shared/bus/bus.ts';
import type { Batch } from '../../shared/sample.ts';
import { SampleBlock, type Resolution, type SamplePart } from '../../shared/store/sample-block.ts';
import type { ProcessTable } from '../../shared/store/process-table.ts';
import type { ExitRow } from '../../shared/store/samples.ts';

export interface Block {
  /** A part per message. */
  readonly samples: SampleBlock;
  /** `part`: of the message they came in. */
  readonly exits: readonly (ExitRow & { readonly part: number })[];
  /** Kept until all is stored: a message the store refuses is set aside whole. */
  readonly messages: readonly BusMessage[];
  /** Per partition: what may be committed once the block is stored. */
  readonly nextOffsets: ReadonlyMap<number, bigint>;
}

export class BlockBuilder {
  readonly #resolution: Resolution;
  #samples: SampleBlock;
  #spare: SampleBlock | undefined;
  #exits: (ExitRow & { part: number })[] = [];
  #messages: BusMessage[] = [];
  #bytes = 0;
  #nextOffsets = new Map<number, bigint>();

  constructor(resolution: Resolution) {
    this.#resolution = resolution;
    this.#samples = new SampleBlock(resolution);
  }

  get rows(): number {
    return this.#samples.rows;
  }

  /** Of the messages that are held. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Nothing to store and nothing to commit. */
  get isEmpty(): boolean {
    return this.#nextOffsets.size === 0 && this.#messages.length === 0;
  }

  /** `processes`: those of the batch. */
  add({ agent, boot, seq, samples, processes: identities, exits }: Batch, processes: ProcessTable, message: BusMessage): void {
    const { process, time, ...metrics } = samples;
    const part = this.#samples.parts;
    this.addSamples({ processes, agent, boot, seq, process, time, metrics }, message);
    exits?.time.forEach((at, row) => {
      const index = exits.process[row]!;
      this.#exits.push({
        part,
        process: {
          lifetime: identities.lifetime[index]!,
          service: identities.service[index]!,
          environment: identities.environment[index]!,
          version: identities.version[index]!,
          host: identities.host[index]!,
          instance: identities.instance[index]!,
          pid: identities.pid[index]!,
          process_started_at: identities.process_started_at[index]!,
          runtime: identities.runtime[index]!,
        },
        time: at,
        reason: exits.reason[row]!,
      });
    });
  }

  /** Copies what it is given, but for the message. */
  addSamples(part: SamplePart, message: BusMessage): void {
    this.#samples.append(part);
    this.#messages.push(message);
    this.#bytes += message.value.length;
  }

  /** The message at `next - 1` and all before it in the partition are in here, or have been stored. */
  cover(partition: number, next: bigint): void {
    this.#nextOffsets.set(partition, next);
  }

  /** The partitions are delivered again from their last commit: rows may stay (storing them twice changes nothing), offsets may not. */
  uncover(partitions: readonly number[]): void {
    for (const partition of partitions) this.#nextOffsets.delete(partition);
  }

  /** Hands over what was collected and starts anew. */
  take(): Block {
    const block: Block = { samples: this.#samples, exits: this.#exits, messages: this.#messages, nextOffsets: this.#nextOffsets };
    // The next will be about as large.
    this.#samples = this.#spare ?? new SampleBlock(this.#resolution, block.samples.rows);
    this.#spare = undefined;
    this.#exits = [];
    this.#messages = [];
    this.#bytes = 0;
    this.#nextOffsets = new Map();
    return block;
  }

  /** Of a block that is stored: nobody reads it again. */
  giveBack(samples: SampleBlock): void {
    samples.clear();
    this.#spare = samples;
  }
}
