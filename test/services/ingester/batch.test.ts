/** A block holds exactly what the batches held: read back from the engine it was inserted into. */
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BlockBuilder } from '../../../services/ingester/batch.ts';
import { METRIC_NAMES, type Batch } from '../../../shared/sample.ts';
import { tabulate } from '../../../shared/store/process-table.ts';
import { insertSamples } from '../../../shared/store/samples.ts';
import type { Store } from '../../../shared/store/store.ts';
import { temporaryStore } from '../../shared/store/fixture.ts';

let store: Store;
let close: () => Promise<void>;

beforeAll(async () => ({ store, close } = await temporaryStore()));
afterAll(() => close());

/** What a batch came in does not matter to what is stored. */
const message = { key: 'agent', value: Buffer.from('{}'), partition: 0, offset: 0n, timestamp: 0 };

const base = Math.floor(Date.now() / 1000) * 1000;
const word = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 9 });

/** `no` makes the rows of a batch its own, so that none replaces another's. */
const batches = fc
  .array(
    fc.record({
      processes: fc.array(fc.record({ name: word, labels: fc.dictionary(word, word, { maxKeys: 3 }) }), { minLength: 1, maxLength: 4 }),
      rows: fc.array(
        fc.record({
          process: fc.nat(3),
          values: fc.dictionary(fc.constantFrom('rss', 'heap_used', 'gc_pause_seconds', 'threads'), fc.option(fc.nat(1e9))),
        }),
        { maxLength: 100 },
      ),
      inOrder: fc.boolean(),
    }),
    { minLength: 1, maxLength: 6 },
  )
  .map((all) =>
    all.map(({ processes, rows: drawn, inOrder }, no): Batch => {
      const ids = [...processes.keys()];
      const rows = inOrder ? ids.map((process) => ({ process, values: drawn[process]?.values ?? {} })) : drawn;
      const present = METRIC_NAMES.filter((name) => rows.some(({ values }) => name in values));
      return {
        v: 1,
        agent: `agent-${no % 3}`,
        boot: `boot-${no % 2}`,
        seq: no,
        sent_at: 0,
        processes: {
          lifetime: ids.map((id) => `${no}-${id}`),
          service: ids.map((id) => `service ${processes[id]!.name}`),
          environment: ids.map(() => 'prod'),
          version: processes.map(({ name }) => name),
          host: ids.map(() => 'host'),
          instance: processes.map(({ name }, id) => `${name} ${id}`),
          pid: ids.map((id) => 70_000 + id),
          process_started_at: ids.map((id) => 1_790_000_000_000 + id),
          runtime: ids.map((id) => (id % 2 === 0 ? 'go' : 'jvm')),
          labels: processes.map(({ labels }) => labels),
        },
        samples: {
          process: rows.map(({ process }) => process % ids.length),
          time: rows.map((_, row) => base + no * 1000 + row),
          ...Object.fromEntries(present.map((name) => [name, rows.map(({ values }) => values[name] ?? null)])),
        },
        ...(rows.length > 0 && { exits: { process: [0], time: [7], reason: ['oom' as const] } }),
      };
    }),
  );

const expectedRows = ({ agent, boot, seq, processes, samples }: Batch) =>
  samples.time.map((time, row) => {
    const process = samples.process[row]!;
    return {
      at: time,
      lifetime: processes.lifetime[process],
      service: processes.service[process],
      version: processes.version[process],
      instance: processes.instance[process],
      pid: processes.pid[process],
      started: processes.process_started_at[process],
      runtime: processes.runtime[process],
      labels: processes.labels[process],
      agent,
      boot,
      seq,
      ...Object.fromEntries(METRIC_NAMES.map((name) => [name, samples[name]?.[row] ?? null])),
    };
  });

const storedRows = () =>
  store.query(`SELECT toUnixTimestamp64Milli(time) AS at, lifetime, service, version, instance, pid,
    toUnixTimestamp64Milli(process_started_at) AS started, runtime, labels, agent, boot, seq, ${METRIC_NAMES.join(', ')}
    FROM samples ORDER BY time`);

describe('a block', () => {
  it('gives its room to a later one, and none of its values', async () => {
    await fc.assert(
      fc.asyncProperty(batches, async (all) => {
        await store.command('TRUNCATE TABLE raw_samples');
        const builder = new BlockBuilder('full');
        for (const batch of all) {
          builder.add(batch, tabulate(batch.processes), message);
          const { samples } = builder.take();
          await insertSamples(store, samples.encode());
          builder.giveBack(samples);
        }
        expect(await storedRows()).toEqual(all.flatMap(expectedRows));
      }),
      { numRuns: 15 },
    );
  });

  it('holds every row of every batch, absent as NULL', async () => {
    await fc.assert(
      fc.asyncProperty(batches, async (all) => {
        await store.command('TRUNCATE TABLE raw_samples');
        const builder = new BlockBuilder('full');
        for (const batch of all) builder.add(batch, tabulate(batch.processes), message);
        const { samples, exits } = builder.take();
        expect(builder.isEmpty).toBe(true);
        await insertSamples(store, samples.encode());
        expect(await storedRows()).toEqual(all.flatMap(expectedRows));
        expect(exits.map(({ process, reason }) => [process.lifetime, reason])).toEqual(
          all.filter(({ exits: ended }) => ended !== undefined).map((batch) => [batch.processes.lifetime[0], 'oom']),
        );
      }),
      { numRuns: 25 },
    );
  });

  it('rounds down to whole KiB and microseconds where the resolution is coarse', async () => {
    await store.command('TRUNCATE TABLE raw_samples');
    const [whole] = fc.sample(batches, { seed: 1, numRuns: 1 })[0]!;
    const samples = {
      process: [0],
      time: [base],
      rss: [5_000_000],
      threads: [7],
      gc_pause_seconds: [1.234_567_891],
      cpu_seconds: [0.123_456_7],
    };
    const builder = new BlockBuilder('coarse');
    builder.add({ ...whole!, samples }, tabulate(whole!.processes), message);
    await insertSamples(store, builder.take().samples.encode());
    expect(await store.query('SELECT rss, threads, gc_pause_seconds, cpu_seconds FROM samples')).toEqual([
      { rss: 4_999_168, threads: 7, gc_pause_seconds: 1.234_567, cpu_seconds: 0.123_456_7 },
    ]);
  });

  it('holds thousands of rows after the last that had a metric', async () => {
    const builder = new BlockBuilder('full');
    const processes = {
      lifetime: ['sparse'],
      service: ['sparse'],
      environment: ['prod'],
      version: ['v1'],
      host: ['host'],
      instance: ['sparse-0'],
      pid: [1],
      process_started_at: [base],
      runtime: ['jvm' as const],
      labels: [{}],
    };
    const table = tabulate(processes);
    for (let seq = 0; seq < 5000; seq++) {
      const samples = { process: [0], time: [base + seq], rss: [seq], ...(seq < 3 ? { heap_used: [7 + seq] } : {}) };
      builder.add({ v: 1, agent: 'sparse', boot: 'boot', seq, sent_at: base, processes, samples }, table, message);
    }
    await insertSamples(store, builder.take().samples.encode());
    const rows = await store.query<{ rows: number; heaps: number[] }>(
      `SELECT toUInt32(count()) AS rows, arraySort(groupArray(toFloat64(heap_used))) AS heaps FROM samples WHERE service = 'sparse'`,
    );
    expect(rows).toEqual([{ rows: 5000, heaps: [7, 8, 9] }]);
  });

  it('leaves out a metric nobody sent', () => {
    expect(new BlockBuilder('full').take().samples.encode().columns).not.toContain('rss');
  });

  it('covers partitions up to the last message, and no longer those taken away', () => {
    const builder = new BlockBuilder('full');
    builder.cover(0, 5n);
    builder.cover(1, 9n);
    builder.cover(0, 7n);
    expect(builder.isEmpty).toBe(false);
    builder.uncover([1, 2]);
    expect([...builder.take().nextOffsets]).toEqual([[0, 7n]]);
    expect(builder.isEmpty).toBe(true);
  });
});
