/** Stores on temporary directories and samples for them. chDB binds one directory per process: one open store per test file. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { appendProcess, emptyProcesses, type MetricName, type ProcessIdentity } from '../../../shared/sample.ts';
import { migrate } from '../../../shared/store/migrate.ts';
import type { EncodedBlock } from '../../../shared/store/native-block.ts';
import { tabulate, type ProcessTable } from '../../../shared/store/process-table.ts';
import { SampleBlock } from '../../../shared/store/sample-block.ts';
import { openStore, type Store } from '../../../shared/store/store.ts';

export function temporaryDirectory(): { path: string; remove: () => void } {
  const path = mkdtempSync(join(tmpdir(), 'leakline-store-'));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

export async function temporaryStore(): Promise<{ store: Store; path: string; close: () => Promise<void> }> {
  const { path, remove } = temporaryDirectory();
  const store = await openStore({ path });
  await migrate(store);
  return {
    store,
    path,
    close: async () => {
      await store.close();
      remove();
    },
  };
}

export interface SampleRow extends Partial<ProcessIdentity>, Partial<Record<MetricName, number>> {
  readonly time: number;
}

const IDENTITY: ProcessIdentity = {
  lifetime: '00000000000000aa',
  service: 'checkout',
  environment: 'production',
  version: '1.4.0',
  host: 'host-1',
  instance: 'checkout-0',
  pid: 4242,
  process_started_at: Date.UTC(2026, 0, 1),
  runtime: 'nodejs',
  labels: {},
};

export function tableOf(identities: readonly ProcessIdentity[]): ProcessTable {
  const columns = emptyProcesses();
  for (const identity of identities) appendProcess(columns, identity);
  return tabulate(columns);
}

/** Rows as the block the ingester makes; a process per row, as a decoder would append them. */
export function columnsOf(rows: readonly SampleRow[], source = { agent: 'agent-1', boot: 'boot-1', seq: 0 }): EncodedBlock {
  const processes = rows.map((row) => ({ ...IDENTITY, ...row }));
  const names = new Set<MetricName>();
  for (const row of rows) for (const name of Object.keys(row)) if (!(name in IDENTITY) && name !== 'time') names.add(name as MetricName);
  const block = new SampleBlock();
  block.append({
    processes: tableOf(processes),
    ...source,
    process: [...rows.keys()],
    time: rows.map((row) => row.time),
    metrics: Object.fromEntries([...names].map((name) => [name, rows.map((row) => row[name] ?? null)])),
  });
  return block.encode();
}
