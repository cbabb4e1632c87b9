/** What the agent sees, as a table for people (`leakline agent --print`). The JSON form is the batch itself. */
import Table from 'cli-table3';
import type { Batch, MetricName } from '../../shared/sample.ts';

const HEAD = ['service', 'instance', 'pid', 'runtime', 'rss', 'anon', 'pss', 'heap', 'limit', 'cpu s', 'fds'];

const MIB = 1 << 20;
const mebibytes = (value: number | null | undefined): string =>
  value === null || value === undefined || Number.isNaN(value) ? '' : `${(value / MIB).toFixed(1)} MiB`;
const plain = (value: number | null | undefined): string =>
  value === null || value === undefined || Number.isNaN(value) ? '' : String(value);

/** Largest first; a blank cell is a value that is not known. */
export function batchTable(batch: Batch): string {
  const table = new Table({
    head: HEAD,
    style: { head: [], border: [] },
    colAligns: HEAD.map((_, column) => (column < 2 ? 'left' : 'right')),
  });
  const { processes, samples } = batch;
  const value = (name: MetricName, row: number) => samples[name]?.[row];
  const rows = samples.process
    .map((process, row) => ({ process, row, rssBytes: value('rss', row) ?? 0 }))
    .sort((a, b) => b.rssBytes - a.rssBytes);
  for (const { process, row } of rows) {
    const limit = value('memory_limit', row);
    table.push([
      processes.service[process] ?? '',
      processes.instance[process] ?? '',
      plain(processes.pid[process]),
      processes.runtime[process] ?? '',
      mebibytes(value('rss', row)),
      mebibytes(value('anon', row)),
      mebibytes(value('pss', row)),
      mebibytes(value('heap_live', row) ?? value('heap_used', row)),
      limit === 0 ? 'none' : mebibytes(limit),
      plain(value('cpu_seconds', row)),
      plain(value('open_fds', row)),
    ]);
  }
  return table.toString();
}
