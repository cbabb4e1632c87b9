/** Writing samples and exits. Rows are named by (service, instance, lifetime, time): writing them again changes nothing. */
import { METRIC_NAMES, METRICS, type ExitReason, type MetricName, type ProcessIdentity } from '../sample.ts';
import { encodeNativeBlock, type EncodedBlock, type NativeColumn } from './native-block.ts';
import type { Store } from './store.ts';

type Columns<Row> = { readonly [Field in keyof Row]: readonly Row[Field][] };

/** Many samples as columns. Several batches are put together by appending their processes and shifting `process`. */
export interface SampleColumns {
  /** Whose samples these are; may hold the same process more than once. */
  readonly processes: Columns<ProcessIdentity>;
  /** The batches the samples came in. */
  readonly sources: Columns<{ agent: string; boot: string; seq: number }>;
  /** Per sample: row of `processes`. */
  readonly process: Uint32Array;
  /** Per sample: row of `sources`. */
  readonly source: Uint32Array;
  /** Per sample: milliseconds UTC. */
  readonly time: Float64Array;
  /** Per sample and metric; NaN = absent. Bytes and counts are whole numbers in [0, 2^53). A metric no sample has is left out. */
  readonly metrics: Readonly<Partial<Record<MetricName, Float64Array>>>;
}

function gather(values: readonly number[], index: Uint32Array): Float64Array {
  const gathered = new Float64Array(index.length);
  for (let row = 0; row < index.length; row++) gathered[row] = values[index[row]!]!;
  return gathered;
}

const LOW_CARDINALITY = ['service', 'environment', 'version', 'host', 'runtime'] as const;

export function encodeSamples(columns: SampleColumns): EncodedBlock {
  const { processes, sources, process, source, time } = columns;
  const encoded: NativeColumn[] = [
    ...LOW_CARDINALITY.map((name): NativeColumn => ({ name, type: 'LowCardinality(String)', values: processes[name], index: process })),
    { name: 'instance', type: 'String', values: processes.instance, index: process },
    { name: 'lifetime', type: 'String', values: processes.lifetime, index: process },
    { name: 'pid', type: 'UInt32', values: gather(processes.pid, process) },
    { name: 'process_started_at', type: 'DateTime64(3)', values: gather(processes.process_started_at, process) },
    { name: 'labels', type: 'Map(String, String)', values: processes.labels, index: process },
    { name: 'time', type: 'DateTime64(3)', values: time },
    { name: 'agent', type: 'LowCardinality(String)', values: sources.agent, index: source },
    { name: 'boot', type: 'LowCardinality(String)', values: sources.boot, index: source },
    { name: 'seq', type: 'UInt64', values: gather(sources.seq, source) },
  ];
  for (const name of METRIC_NAMES) {
    const values = columns.metrics[name];
    if (values === undefined) continue;
    encoded.push({ name, type: METRICS[name].unit === 's' ? 'Nullable(Float64)' : 'Nullable(UInt64)', values });
  }
  return encodeNativeBlock(encoded, time.length);
}

/** Resolves once the samples are stored for good. */
export async function insertSamples(store: Store, columns: SampleColumns): Promise<void> {
  await store.insertNative('raw_samples', encodeSamples(columns));
}

export interface ExitRow {
  readonly process: Omit<ProcessIdentity, 'labels'>;
  /** Milliseconds UTC. */
  readonly time: number;
  readonly reason: ExitReason;
}

/** Few per batch, so rows and not columns. */
export async function insertExits(store: Store, exits: readonly ExitRow[]): Promise<void> {
  if (exits.length === 0) return;
  const processes = exits.map(({ process }) => process);
  const index = Uint32Array.from(exits.keys());
  const text = (name: 'service' | 'environment' | 'version' | 'host' | 'runtime' | 'instance' | 'lifetime'): NativeColumn => ({
    name,
    type: 'String',
    values: processes.map((process) => process[name]),
    index,
  });
  const columns: NativeColumn[] = [
    ...(['service', 'environment', 'version', 'host', 'runtime', 'instance', 'lifetime'] as const).map(text),
    { name: 'pid', type: 'UInt32', values: processes.map(({ pid }) => pid) },
    { name: 'process_started_at', type: 'DateTime64(3)', values: processes.map((process) => process.process_started_at) },
    { name: 'ended_at', type: 'DateTime64(3)', values: exits.map(({ time }) => time) },
    { name: 'reason', type: 'String', values: exits.map(({ reason }) => reason), index },
  ];
  await store.insertNative('process_exits', encodeNativeBlock(columns, exits.length));
}
