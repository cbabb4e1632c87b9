/** Writing samples and exits. Rows are named by (service, instance, lifetime, time): writing them again changes nothing. */
import type { ExitReason, ProcessIdentity } from '../sample.ts';
import { encodeNativeBlock, type EncodedBlock, type NativeColumn } from './native-block.ts';
import type { Store } from './store.ts';

/** Resolves once the samples are stored for good. */
export async function insertSamples(store: Store, samples: EncodedBlock): Promise<void> {
  await store.insertNative('raw_samples', samples);
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
  const text = (name: 'service' | 'environment' | 'version' | 'host' | 'runtime' | 'instance' | 'lifetime'): NativeColumn => ({
    name,
    type: 'String',
    values: processes.map((process) => process[name]),
  });
  const columns: NativeColumn[] = [
    ...(['service', 'environment', 'version', 'host', 'runtime', 'instance', 'lifetime'] as const).map(text),
    { name: 'pid', type: 'UInt32', values: processes.map(({ pid }) => pid) },
    { name: 'process_started_at', type: 'DateTime64(3)', values: processes.map((process) => process.process_started_at) },
    { name: 'ended_at', type: 'DateTime64(3)', values: exits.map(({ time }) => time) },
    { name: 'reason', type: 'String', values: exits.map(({ reason }) => reason) },
  ];
  await store.insertNative('process_exits', encodeNativeBlock(columns, exits.length));
}
