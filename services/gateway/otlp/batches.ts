/** Resources with their data points → batches, one per host, named so that a resent request gives the same batches. Pure. */
import { createHash } from 'node:crypto';
import { appendProcess, emptyProcesses, METRIC_NAMES, type Batch, type MetricName, type ProcessIdentity } from '../../../shared/sample.ts';
import { identityOf } from './identity.ts';
import type { OtlpResource } from './points.ts';
import { rowsOf, type PointRefusal, type SampleRow } from './rows.ts';

interface ProcessRows {
  readonly identity: ProcessIdentity;
  readonly rows: readonly SampleRow[];
}

export interface OtlpBatch {
  readonly batch: Batch;
  /** Data points behind each row, in the order of the rows. */
  readonly pointsOfRow: readonly number[];
}

export interface OtlpBatches {
  readonly batches: readonly OtlpBatch[];
  readonly refused: ReadonlyMap<PointRefusal, number>;
  readonly withoutMemory: number;
}

/** Low bits of `seq` that tell apart batches of one host and millisecond. */
const SEQ_SPREAD = 1024;
/** In the year 2248; later times are refused anyway, but must not make `seq` unsafe. */
const MAX_SEQ_TIME = Math.floor(Number.MAX_SAFE_INTEGER / SEQ_SPREAD) - 1;

/** Reads as a clock, so it only grows; equal for equal content. */
function seqOf(processes: readonly ProcessRows[], newest: number): number {
  const content = processes.map(({ identity, rows }) => [identity.lifetime, ...rows.map(({ time }) => time)]);
  return (
    Math.min(newest, MAX_SEQ_TIME) * SEQ_SPREAD +
    (createHash('sha256').update(JSON.stringify(content)).digest().readUInt32BE() % SEQ_SPREAD)
  );
}

function columnsOf(processes: readonly ProcessIdentity[]): Batch['processes'] {
  const columns = emptyProcesses();
  for (const process of processes) appendProcess(columns, process);
  return columns;
}

function batchOf(agent: string, processes: readonly ProcessRows[]): OtlpBatch {
  const rows = processes.flatMap((process, index) => process.rows.map((row) => ({ index, row })));
  const newest = rows.reduce((latest, { row }) => Math.max(latest, row.time), 0);
  const metrics: { [Name in MetricName]?: (number | null)[] } = {};
  for (const name of METRIC_NAMES) {
    if (rows.some(({ row }) => row.values.has(name))) metrics[name] = rows.map(({ row }) => row.values.get(name) ?? null);
  }
  return {
    batch: {
      v: 1,
      agent,
      boot: 'otlp',
      seq: seqOf(processes, newest),
      sent_at: newest,
      processes: columnsOf(processes.map(({ identity }) => identity)),
      samples: { process: rows.map(({ index }) => index), time: rows.map(({ row }) => row.time), ...metrics },
    },
    pointsOfRow: rows.map(({ row }) => row.points),
  };
}

export function batchesOf(resources: readonly OtlpResource[]): OtlpBatches {
  const byAgent = new Map<string, ProcessRows[]>();
  const refused = new Map<PointRefusal, number>();
  let withoutMemory = 0;
  for (const { attributes, points } of resources) {
    const resourceRows = rowsOf(points);
    for (const [reason, count] of resourceRows.refused) refused.set(reason, (refused.get(reason) ?? 0) + count);
    withoutMemory += resourceRows.withoutMemory;
    if (resourceRows.rows.length === 0) continue;
    const identity = identityOf(attributes, points);
    const agent = `otlp/${(identity.host || identity.instance || identity.service).slice(0, 200)}`;
    const processes = byAgent.get(agent) ?? [];
    processes.push({ identity, rows: resourceRows.rows });
    byAgent.set(agent, processes);
  }
  return { batches: [...byAgent].map(([agent, processes]) => batchOf(agent, processes)), refused, withoutMemory };
}
