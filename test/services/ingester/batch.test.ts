/** The columns of one insert hold exactly what the batches held. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BlockBuilder, type Block } from '../../../services/ingester/batch.ts';
import { METRIC_NAMES, type Batch } from '../../../shared/sample.ts';

const batches = fc
  .record({
    agent: fc.constantFrom('a', 'b'),
    seq: fc.nat(1000),
    processes: fc.integer({ min: 1, max: 4 }),
    rows: fc.array(
      fc.record({
        process: fc.nat(3),
        time: fc.nat(1e6),
        values: fc.dictionary(fc.constantFrom('rss', 'heap_used', 'threads'), fc.option(fc.nat(1e9))),
      }),
      { maxLength: 600 },
    ),
  })
  .map(({ agent, seq, processes, rows }): Batch => {
    const ids = Array.from({ length: processes }, (_, index) => index);
    const present = METRIC_NAMES.filter((name) => rows.some(({ values }) => name in values));
    return {
      v: 1,
      agent,
      boot: 'boot',
      seq,
      sent_at: 0,
      processes: {
        lifetime: ids.map((id) => `${agent}-${seq}-${id}`),
        service: ids.map((id) => `service-${id}`),
        environment: ids.map(() => 'prod'),
        version: ids.map(() => '1'),
        host: ids.map(() => 'host'),
        instance: ids.map((id) => `instance-${id}`),
        pid: ids,
        process_started_at: ids.map(() => 5),
        runtime: ids.map(() => 'go'),
        labels: ids.map((id) => ({ id: String(id) })),
      },
      samples: {
        process: rows.map(({ process }) => process % processes),
        time: rows.map(({ time }) => time),
        ...Object.fromEntries(present.map((name) => [name, rows.map(({ values }) => values[name] ?? null)])),
      },
      ...(rows.length > 0 && { exits: { process: [0], time: [7], reason: ['oom' as const] } }),
    };
  });

const NUMBERS = METRIC_NAMES;

/** Rows as people would write them, for comparison only. */
const rowsOf = ({ columns }: Block) =>
  Array.from(columns.time, (time, row) => ({
    lifetime: columns.processes.lifetime[columns.process[row]!],
    labels: columns.processes.labels[columns.process[row]!],
    agent: columns.sources.agent[columns.source[row]!],
    seq: columns.sources.seq[columns.source[row]!],
    time,
    values: NUMBERS.map((name) => columns.metrics[name]?.[row] ?? NaN),
  }));

const expectedRows = (batch: Batch) =>
  batch.samples.time.map((time, row) => ({
    lifetime: batch.processes.lifetime[batch.samples.process[row]!],
    labels: batch.processes.labels[batch.samples.process[row]!],
    agent: batch.agent,
    seq: batch.seq,
    time,
    values: NUMBERS.map((name) => batch.samples[name]?.[row] ?? NaN),
  }));

describe('a block', () => {
  it('holds every row of every batch, in order, absent as NaN', () => {
    fc.assert(
      fc.property(fc.array(batches, { maxLength: 5 }), fc.array(batches, { maxLength: 3 }), (first, second) => {
        const builder = new BlockBuilder();
        for (const part of [first, second]) {
          for (const batch of part) builder.add(batch);
          const block = builder.take();
          expect(rowsOf(block)).toEqual(part.flatMap(expectedRows));
          expect(block.rows).toBe(block.columns.time.length);
          expect(block.exits.map(({ process, reason }) => [process.lifetime, reason])).toEqual(
            part.filter(({ exits }) => exits !== undefined).map((batch) => [batch.processes.lifetime[0], 'oom']),
          );
        }
      }),
      { numRuns: 60 },
    );
  });

  it('leaves out a metric nobody sent', () => {
    expect(Object.keys(new BlockBuilder().take().columns.metrics)).toEqual([]);
  });

  it('covers partitions up to the last message, and no longer those taken away', () => {
    const builder = new BlockBuilder();
    builder.cover(0, 5n);
    builder.cover(1, 9n);
    builder.cover(0, 7n);
    expect(builder.isEmpty).toBe(false);
    builder.uncover([1, 2]);
    expect([...builder.take().nextOffsets]).toEqual([[0, 7n]]);
    expect(builder.isEmpty).toBe(true);
  });
});
