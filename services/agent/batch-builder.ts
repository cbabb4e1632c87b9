/** Collects samples by column, ready to be a Batch: no object per sample, unknown values are NaN until encoding writes null. */
import {
  appendProcess,
  emptyProcesses,
  METRIC_NAMES,
  type Batch,
  type ExitReason,
  type MetricName,
  type ProcessIdentity,
} from '../../shared/sample.ts';

export class BatchBuilder {
  #processes = emptyProcesses();
  /** Row of `processes` per identity object: an identity that changed is a new object and gets its own row. */
  #rows = new Map<ProcessIdentity, number>();
  #process: number[] = [];
  #time: number[] = [];
  #columns = new Map<MetricName, number[]>();
  #exits = { process: [] as number[], time: [] as number[], reason: [] as ExitReason[] };

  get samples(): number {
    return this.#time.length;
  }

  get isEmpty(): boolean {
    return this.#time.length === 0 && this.#exits.time.length === 0;
  }

  /** Begins a sample; set() then fills it. */
  add(identity: ProcessIdentity, time: number): void {
    this.#process.push(this.#row(identity));
    this.#time.push(time);
  }

  /** A value of the sample last begun. NaN is unknown: left out. */
  set(name: MetricName, value: number): void {
    if (Number.isNaN(value)) return;
    let column = this.#columns.get(name);
    if (column === undefined) this.#columns.set(name, (column = []));
    const row = this.#time.length - 1;
    while (column.length < row) column.push(NaN);
    column[row] = value;
  }

  exit(identity: ProcessIdentity, time: number, reason: ExitReason): void {
    this.#exits.process.push(this.#row(identity));
    this.#exits.time.push(time);
    this.#exits.reason.push(reason);
  }

  /** The batch so far; the builder is empty afterwards. */
  take(header: Pick<Batch, 'agent' | 'boot' | 'seq' | 'sent_at'>): Batch {
    const columns: Partial<Record<MetricName, number[]>> = {};
    for (const name of METRIC_NAMES) {
      const column = this.#columns.get(name);
      if (column === undefined) continue;
      while (column.length < this.#time.length) column.push(NaN);
      columns[name] = column;
    }
    const batch: Batch = {
      v: 1,
      ...header,
      processes: this.#processes,
      samples: { process: this.#process, time: this.#time, ...columns },
      ...(this.#exits.time.length > 0 ? { exits: this.#exits } : {}),
    };
    this.#processes = emptyProcesses();
    this.#rows = new Map();
    this.#process = [];
    this.#time = [];
    this.#columns = new Map();
    this.#exits = { process: [], time: [], reason: [] };
    return batch;
  }

  #row(identity: ProcessIdentity): number {
    let row = this.#rows.get(identity);
    if (row === undefined) {
      row = this.#rows.size;
      this.#rows.set(identity, row);
      appendProcess(this.#processes, identity);
    }
    return row;
  }
}
