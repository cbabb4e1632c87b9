/** What the scanner takes is what decodeBatch makes of it, without a problem; whatever it does not take is decodeBatch's. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { METRIC_NAMES, METRICS, type Batch } from '../../shared/sample.ts';
import { BatchScanner } from '../../shared/wire-scan.ts';
import { decodeBatch, encodeBatch, type Arrival } from '../../shared/wire.ts';

const AT = 1_790_000_000_000;
const arrival: Arrival = { at: AT, maxFutureMs: 86_400_000, maxAgeMs: 7 * 86_400_000 };
const scanner = new BatchScanner();

const word = fc.oneof(fc.string({ maxLength: 8 }), fc.constantFrom('}', '{"', '\\', '\\"', '"processes":{', 'ä'));

function column(rows: number, isWhole: boolean) {
  const whole = fc.oneof(
    { weight: 300, arbitrary: fc.nat({ max: 999_999_999_999_999 }) },
    { weight: 300, arbitrary: fc.nat(20) },
    fc.maxSafeNat(),
  );
  const seconds = fc.oneof(whole, fc.double({ min: 0, max: 1e9, noNaN: true }), fc.double({ min: 0, max: 1e-6, noNaN: true }));
  return fc.array(fc.option(isWhole ? whole : seconds), { minLength: rows, maxLength: rows });
}

const batches: fc.Arbitrary<Batch> = fc
  .record({
    processes: fc.array(fc.tuple(word, fc.dictionary(word, word, { maxKeys: 3 })), { minLength: 1, maxLength: 4 }),
    rows: fc.nat(20),
  })
  .chain(({ processes, rows }) =>
    fc.record({
      v: fc.constant(1 as const),
      agent: fc.constantFrom('agent-1', 'agent "2"', 'agent-ä'),
      boot: fc.constant('boot'),
      seq: fc.oneof(fc.nat(), fc.maxSafeNat()),
      sent_at: fc.constant(AT),
      processes: fc.constant({
        lifetime: processes.map((_, id) => id.toString(16).padStart(16, '0')),
        service: processes.map(([name]) => name),
        environment: processes.map(() => 'prod'),
        version: processes.map(() => '1'),
        host: processes.map(() => 'host'),
        instance: processes.map(([name]) => name),
        pid: processes.map((_, id) => id),
        process_started_at: processes.map(() => AT - 5),
        runtime: processes.map(() => 'go' as const),
        labels: processes.map(([, labels]) => labels),
      }),
      samples: fc.record(
        {
          process: fc.array(fc.nat(processes.length - 1), { minLength: rows, maxLength: rows }),
          time: fc.array(
            fc.oneof({ weight: 99, arbitrary: fc.integer({ min: AT - 1e6, max: AT + 8e7 }) }, fc.integer({ min: AT - 1e9, max: AT + 1e8 })),
            { minLength: rows, maxLength: rows },
          ),
          ...Object.fromEntries(METRIC_NAMES.map((name) => [name, column(rows, METRICS[name].unit !== 's')])),
        },
        { requiredKeys: ['process', 'time'] },
      ),
    }),
  );

/** The general way, as columns of numbers; undefined: it found something wrong. */
function general(message: Buffer) {
  const { batch, problems } = decodeBatch(message, arrival);
  if (problems.refused.size + problems.cleared.size + problems.normalised.size > 0 || batch.exits !== undefined) return undefined;
  const { process, time, ...metrics } = batch.samples;
  const numbers = Object.entries(metrics).map(([name, values]) => [name, Float64Array.from(values, (value) => value ?? NaN)]);
  return { batch, process: Float64Array.from(process), time: Float64Array.from(time), metrics: Object.fromEntries(numbers) as object };
}

const scan = (message: Buffer, text: Buffer, count: number) => scanner.scan(message, arrival, () => ({ text, count }));

describe('the scanner', () => {
  it('agrees with the decoder about every batch it takes, and takes the plain ones', () => {
    let taken = 0;
    fc.assert(
      fc.property(batches, (batch) => {
        const message = encodeBatch(batch);
        const text = scanner.processesOf(message);
        const isPlain = batch.agent === 'agent-1' && batch.seq < 1e15;
        if (isPlain) expect(text?.toString()).toBe(JSON.stringify(batch.processes));
        // The ingester remembers only processes of which nothing had to be mended.
        const areSound = general(encodeBatch({ ...batch, samples: { process: [], time: [] } })) !== undefined;
        if (text === undefined || !areSound) return;
        const scanned = scan(message, text, batch.processes.pid.length);
        if (scanned === undefined) return;
        taken++;
        const expected = general(message);
        const { process, time, metrics, agent, boot, seq } = scanned;
        expect({ process, time, metrics }).toEqual({ process: expected?.process, time: expected?.time, metrics: expected?.metrics });
        expect({ agent, boot, seq }).toEqual({ agent: batch.agent, boot: batch.boot, seq: batch.seq });
      }),
      { numRuns: 400 },
    );
    expect(taken).toBeGreaterThan(20);
  });

  it('takes nothing that the decoder would refuse or change, however a message is torn', () => {
    const sound = encodeBatch({
      v: 1,
      agent: 'a',
      boot: 'b',
      seq: 1,
      sent_at: AT,
      processes: {
        lifetime: ['00000000000000aa'],
        service: ['s'],
        environment: ['e'],
        version: ['v'],
        host: ['h'],
        instance: ['i'],
        pid: [1],
        process_started_at: [AT],
        runtime: ['go'],
        labels: [{}],
      },
      samples: { process: [0, 0], time: [AT, AT + 1], rss: [100, null], cpu_seconds: [0.25, 1e-7], threads: [0, 10] },
    });
    const text = scanner.processesOf(sound)!;
    expect(scan(sound, text, 1)).toBeDefined();
    const piece = fc.oneof(
      fc.constantFrom('-', '.', 'e', 'E', '+', '0', '1', 'null', ',', ']', '}', '"', ' ', '[', '"rss":[1,2],', '1e3', '00', '\\', '\u00e4'),
      fc.string({ maxLength: 3 }),
    );
    fc.assert(
      fc.property(fc.nat(sound.length), fc.nat(3), piece, (at, cut, inserted) => {
        const torn = Buffer.concat([sound.subarray(0, at), Buffer.from(inserted), sound.subarray(at + cut)]);
        const scanned = scan(torn, text, 1);
        if (scanned === undefined) return;
        const expected = general(torn);
        expect(expected).toBeDefined();
        const { process, time, metrics } = scanned;
        expect({ process, time, metrics }).toEqual({ process: expected?.process, time: expected?.time, metrics: expected?.metrics });
      }),
      { numRuns: 20_000 },
    );
  });

  it('leaves to the decoder what an agent says of other processes than before', () => {
    const message = Buffer.from(
      `{"v":1,"agent":"a","boot":"b","seq":1,"sent_at":${AT},"processes":{"pid":[1]},"samples":{"process":[0],"time":[${AT}]}}`,
    );
    expect(scan(message, Buffer.from('{"pid":[1]}'), 1)).toBeDefined();
    expect(scan(message, Buffer.from('{"pid":[2]}'), 1)).toBeUndefined();
    expect(scan(message, Buffer.from('{"pid":[1]}'), 0)).toBeUndefined();
    expect(scanner.scan(message, arrival, () => undefined)).toBeUndefined();
  });
});
