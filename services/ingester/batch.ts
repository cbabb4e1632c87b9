/**
 * Collects decoded batches into the columns of one insert, and how far each partition is covered by it. Pure.
 * No object per row: numbers go into typed arrays that double, identities are appended once per batch.
 */
import { emptyProcesses, METRIC_NAMES, PROCESS_FIELDS, type Batch, type MetricName } from '../../shared/sample.ts';
import type { ExitRow, SampleColumns } from '../../shared/store/samples.ts';

export interface Block {
  readonly columns: SampleColumns;
  readonly exits: readonly ExitRow[];
  /** Per partition: what may be committed once the block is stored. */
  readonly nextOffsets: ReadonlyMap<number, bigint>;
  readonly rows: number;
}

const INITIAL_ROWS = 1024;

export class BlockBuilder {
  #rows = 0;
  #capacity = INITIAL_ROWS;
  #processes = emptyProcesses();
  #sources = { agent: [] as string[], boot: [] as string[], seq: [] as number[] };
  #process = new Uint32Array(INITIAL_ROWS);
  #source = new Uint32Array(INITIAL_ROWS);
  #time = new Float64Array(INITIAL_ROWS);
  #metrics = new Map<MetricName, Float64Array>();
  #exits: ExitRow[] = [];
  #nextOffsets = new Map<number, bigint>();

  get rows(): number {
    return this.#rows;
  }

  /** Nothing to store and nothing to commit. */
  get isEmpty(): boolean {
    return this.#nextOffsets.size === 0 && this.#rows === 0 && this.#exits.length === 0;
  }

  add(batch: Batch): void {
    const { samples, processes } = batch;
    const { process, time, ...metrics } = samples;
    const firstProcess = this.#processes.lifetime.length;
    const source = this.#sources.seq.length;
    const start = this.#rows;
    this.#reserve(start + time.length);
    for (const name of PROCESS_FIELDS) append<unknown>(this.#processes[name], processes[name]);
    this.#sources.agent.push(batch.agent);
    this.#sources.boot.push(batch.boot);
    this.#sources.seq.push(batch.seq);
    this.#time.set(time, start);
    this.#source.fill(source, start, start + time.length);
    for (let row = 0; row < process.length; row++) this.#process[start + row] = firstProcess + process[row]!;
    for (const name of METRIC_NAMES) {
      const values = metrics[name];
      if (values !== undefined) this.#setMetric(name, values, start);
    }
    this.#rows = start + time.length;
    this.#addExits(batch);
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
    const rows = this.#rows;
    const metrics = Object.fromEntries([...this.#metrics].map(([name, values]) => [name, values.subarray(0, rows)]));
    const block: Block = {
      columns: {
        processes: this.#processes,
        sources: this.#sources,
        process: this.#process.subarray(0, rows),
        source: this.#source.subarray(0, rows),
        time: this.#time.subarray(0, rows),
        metrics,
      },
      exits: this.#exits,
      nextOffsets: this.#nextOffsets,
      rows,
    };
    this.#rows = 0;
    this.#processes = emptyProcesses();
    this.#sources = { agent: [], boot: [], seq: [] };
    this.#process = new Uint32Array(this.#capacity);
    this.#source = new Uint32Array(this.#capacity);
    this.#time = new Float64Array(this.#capacity);
    this.#metrics = new Map();
    this.#exits = [];
    this.#nextOffsets = new Map();
    return block;
  }

  #reserve(rows: number): void {
    if (rows <= this.#capacity) return;
    while (this.#capacity < rows) this.#capacity *= 2;
    this.#process = grown(this.#process, new Uint32Array(this.#capacity));
    this.#source = grown(this.#source, new Uint32Array(this.#capacity));
    this.#time = grown(this.#time, new Float64Array(this.#capacity));
    for (const [name, values] of this.#metrics) this.#metrics.set(name, grown(values, new Float64Array(this.#capacity).fill(NaN)));
  }

  #setMetric(name: MetricName, values: readonly (number | null)[], start: number): void {
    let column = this.#metrics.get(name);
    if (column === undefined) this.#metrics.set(name, (column = new Float64Array(this.#capacity).fill(NaN)));
    for (let row = 0; row < values.length; row++) column[start + row] = values[row] ?? NaN;
  }

  #addExits({ exits, processes }: Batch): void {
    exits?.time.forEach((time, row) => {
      const index = exits.process[row]!;
      this.#exits.push({
        process: {
          lifetime: processes.lifetime[index]!,
          service: processes.service[index]!,
          environment: processes.environment[index]!,
          version: processes.version[index]!,
          host: processes.host[index]!,
          instance: processes.instance[index]!,
          pid: processes.pid[index]!,
          process_started_at: processes.process_started_at[index]!,
          runtime: processes.runtime[index]!,
        },
        time,
        reason: exits.reason[row]!,
      });
    });
  }
}

function append<Value>(target: Value[], values: readonly Value[]): void {
  for (const value of values) target.push(value);
}

function grown<Values extends Uint32Array | Float64Array>(from: Values, to: Values): Values {
  to.set(from);
  return to;
}
