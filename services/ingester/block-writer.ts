/**
 * Puts a block into the store. Rows the store refuses for what they hold are looked for by halving, so that the message they
 * came in is set aside and all others are stored. Everything else the store says has to pass or to be mended first.
 */
import { LeaklineError } from '../../shared/errors.ts';
import type { BusMessage } from '../../shared/bus/bus.ts';
import { insertExits, insertSamples } from '../../shared/store/samples.ts';
import type { Store } from '../../shared/store/store.ts';
import type { Block } from './batch.ts';
import type { IngesterMetrics } from './ingester-metrics.ts';

/** Messages [from, to) of a block. */
interface Piece {
  readonly from: number;
  readonly to: number;
}

export interface Refused {
  readonly message: BusMessage;
  readonly error: LeaklineError;
}

/** A block on its way. What is done is not done again when the rest has to be tried once more. */
export class PendingBlock {
  readonly block: Block;
  readonly refused: Refused[] = [];
  /** Samples in what was refused. */
  refusedRows = 0;
  /** Last first. */
  readonly pieces: Piece[];

  constructor(block: Block) {
    this.block = block;
    const { length } = block.messages;
    this.pieces = length === 0 ? [] : [{ from: 0, to: length }];
  }
}

/**
 * So many messages in a row are not what is wrong: then it is a constraint or a view that refuses everything, and setting
 * aside a whole topic would help nobody.
 */
const MAX_REFUSED_IN_A_ROW = 100;

export class BlockWriter {
  readonly #store: Store;
  readonly #metrics: IngesterMetrics;
  #refusedInARow = 0;

  constructor(store: Store, metrics: IngesterMetrics) {
    this.#store = store;
    this.#metrics = metrics;
  }

  /** Throws LKL_ERR_STORE_UNAVAILABLE; to be called again with the same block then. */
  async write(pending: PendingBlock): Promise<void> {
    const { block, pieces } = pending;
    for (let piece = pieces.at(-1); piece !== undefined; piece = pieces.at(-1)) {
      const error = await this.#insert(block, piece);
      const { from, to } = piece;
      if (error === undefined) this.#refusedInARow = 0;
      else if (to - from === 1) this.#setAside(pending, from, error);
      pieces.pop();
      if (error === undefined || to - from === 1) continue;
      const middle = (from + to) >> 1;
      pieces.push({ from: middle, to }, { from, to: middle });
    }
  }

  #setAside(pending: PendingBlock, at: number, error: LeaklineError): void {
    if (this.#refusedInARow === MAX_REFUSED_IN_A_ROW) {
      throw new LeaklineError(
        'LKL_ERR_STORE_UNAVAILABLE',
        `${MAX_REFUSED_IN_A_ROW} messages in a row were refused, the rest waits until the store is mended: ${error.message}`,
        { cause: error },
      );
    }
    this.#refusedInARow++;
    pending.refused.push({ message: pending.block.messages[at]!, error });
    pending.refusedRows += pending.block.samples.slice(at, at + 1).rows;
  }

  /** The error when these rows are refused for what they hold. */
  async #insert(block: Block, { from, to }: Piece): Promise<LeaklineError | undefined> {
    const isWhole = to - from === block.messages.length;
    const samples = isWhole ? block.samples : block.samples.slice(from, to);
    const exits = isWhole ? block.exits : block.exits.filter(({ part }) => part >= from && part < to);
    const done = this.#metrics.insertSeconds.startTimer();
    try {
      await insertSamples(this.#store, samples.encode());
      await insertExits(this.#store, exits);
    } catch (error) {
      if (error instanceof LeaklineError && error.code === 'LKL_ERR_ROWS_REFUSED') return error;
      // Also what the store calls final: it is the store that has to be mended, and nothing may be dropped.
      throw new LeaklineError('LKL_ERR_STORE_UNAVAILABLE', error instanceof Error ? error.message : String(error), { cause: error });
    }
    done();
    if (samples.rows > 0) this.#metrics.insertRows.observe(samples.rows);
    return undefined;
  }
}
