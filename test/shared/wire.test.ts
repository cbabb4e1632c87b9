/** The wire format: what goes in comes out, and whatever else arrives is refused by a named rule. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LeaklineError } from '../../shared/errors.ts';
import { METRIC_NAMES, METRICS, RUNTIMES, type Batch } from '../../shared/sample.ts';
import { decodeBatch, encodeBatch, LIMITS, REFUSALS, type Arrival } from '../../shared/wire.ts';

const AT = 1_790_000_000_000;
const arrival: Arrival = { at: AT, maxFutureMs: 86_400_000, maxAgeMs: 7 * 86_400_000 };

function sampleBatch(overrides: Partial<Batch> = {}): Batch {
  return {
    v: 1,
    agent: 'agent-1',
    boot: 'boot-1',
    seq: 7,
    sent_at: AT,
    processes: {
      lifetime: ['00000000000000aa', '00000000000000bb'],
      service: ['cart', 'checkout'],
      environment: ['prod', 'prod'],
      version: ['1', '2'],
      host: ['h', 'h'],
      instance: ['cart-0', 'checkout-0'],
      pid: [10, 11],
      process_started_at: [AT - 1000, AT - 2000],
      runtime: ['nodejs', 'python'],
      labels: [{ team: 'a' }, {}],
    },
    samples: {
      process: [0, 1, 0],
      time: [AT - 2, AT - 1, AT],
      rss: [100, 200, 300],
      heap_used: [null, 5, null],
      cpu_seconds: [0.25, 1, 2],
    },
    exits: { process: [1], time: [AT], reason: ['oom'] },
    ...overrides,
  };
}

const decodeJson = (value: unknown) => decodeBatch(Buffer.from(JSON.stringify(value)), arrival);

/** Widened so that a test can put anything anywhere. */
const mutable = (batch: Batch = sampleBatch()) => JSON.parse(JSON.stringify(batch)) as Record<string, Record<string, unknown[]>>;

function codeOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof LeaklineError) return error.code;
    throw error;
  }
  return 'none';
}

describe('a good batch', () => {
  it('comes out as it went in, without problems', () => {
    const { batch, problems } = decodeBatch(encodeBatch(sampleBatch()), arrival);
    expect(batch).toEqual(sampleBatch());
    expect(problems).toEqual({ refused: new Map(), cleared: new Map(), normalised: new Map() });
  });

  it('ignores unknown fields at every level', () => {
    const extended = mutable();
    extended['trace'] = { deep: [[[[1]]]] };
    extended['samples']!['colour'] = [1, 2, 3];
    extended['processes']!['mood'] = ['a', 'b'];
    expect(decodeJson(extended).batch).toEqual(sampleBatch());
  });

  it('takes any valid batch', () => {
    const column = (rows: number, integer: boolean) =>
      fc.array(fc.option(integer ? fc.maxSafeNat() : fc.double({ min: 0, max: 1e12, noNaN: true })), { minLength: rows, maxLength: rows });
    const batches = fc.integer({ min: 0, max: 20 }).chain((rows) =>
      fc.record({
        process: fc.array(fc.nat(1), { minLength: rows, maxLength: rows }),
        time: fc.array(fc.integer({ min: AT - arrival.maxAgeMs, max: AT + arrival.maxFutureMs }), { minLength: rows, maxLength: rows }),
        ...Object.fromEntries(METRIC_NAMES.map((name) => [name, column(rows, METRICS[name].unit !== 's')])),
      }),
    );
    fc.assert(
      fc.property(batches, (samples) => {
        const sent = sampleBatch({ samples: samples as unknown as Batch['samples'] });
        const { batch, problems } = decodeBatch(encodeBatch(sent), arrival);
        expect(JSON.stringify(batch.samples)).toBe(JSON.stringify(samples));
        expect(problems.refused.size + problems.cleared.size + problems.normalised.size).toBe(0);
      }),
      { numRuns: 200 },
    );
  });
});

describe('a bad value', () => {
  it.each([
    ['negative', 'rss', -1],
    ['above 2^53', 'rss', 2 ** 53],
    ['infinite', 'rss', '1e999'],
    ['a string', 'rss', '"12"'],
    ['an object', 'rss', '{}'],
    ['fractional bytes', 'rss', 1.5],
    ['a fractional count', 'threads', 0.5],
    ['negative seconds', 'cpu_seconds', -0.5],
  ])('%s becomes absent and is counted', (_, name, bad) => {
    const text = JSON.stringify(
      sampleBatch({ samples: { process: [0, 0], time: [AT, AT], [name]: ['@', 4] } as unknown as Batch['samples'] }),
    );
    const { batch, problems } = decodeBatch(Buffer.from(text.replace('"@"', String(bad))), arrival);
    expect((batch.samples as unknown as Record<string, unknown>)[name]).toEqual([null, 4]);
    expect(problems.cleared).toEqual(new Map([[name, 1]]));
  });

  it('clears a column of another length and leaves its neighbours', () => {
    const batch = mutable();
    batch['samples']!['rss'] = [1, 2];
    const decoded = decodeJson(batch);
    expect(decoded.batch.samples.rss).toBeUndefined();
    expect(decoded.batch.samples.heap_used).toEqual([null, 5, null]);
    expect(decoded.problems.cleared).toEqual(new Map([['rss', 3]]));
  });
});

describe('a bad row', () => {
  it.each([
    ['process_index', 2, AT],
    ['process_index', -1, AT],
    ['process_index', 0.5, AT],
    ['process_index', '0', AT],
    ['time_not_a_number', 0, null],
    ['time_not_a_number', 0, AT + 0.5],
    ['time_not_a_number', 0, 1e300],
    ['time_in_future', 0, AT + arrival.maxFutureMs + 1],
    ['time_too_old', 0, AT - arrival.maxAgeMs - 1],
    ['time_too_old', 0, 0],
  ])('%s is refused alone', (reason, process, time) => {
    const batch = mutable();
    batch['samples']!['process']![1] = process;
    batch['samples']!['time']![1] = time;
    const decoded = decodeJson(batch);
    expect(decoded.batch.samples).toEqual({
      process: [0, 0],
      time: [AT - 2, AT],
      rss: [100, 300],
      heap_used: [null, null],
      cpu_seconds: [0.25, 2],
    });
    expect(decoded.problems.refused).toEqual(new Map([[reason, 1]]));
  });

  it('keeps the bounds themselves', () => {
    const batch = mutable();
    batch['samples']!['time'] = [AT + arrival.maxFutureMs, AT - arrival.maxAgeMs, AT];
    expect(decodeJson(batch).problems.refused.size).toBe(0);
  });

  it.each([
    ['lifetime', 'xyz'],
    ['pid', -1],
    ['pid', null],
    ['process_started_at', 1e15],
  ])('a process with a bad %s takes its rows and exits, the others move up', (column, bad) => {
    const batch = mutable();
    batch['processes']![column]![0] = bad;
    const decoded = decodeJson(batch);
    expect(decoded.batch.processes.service).toEqual(['checkout']);
    expect(decoded.batch.samples).toEqual({ process: [0], time: [AT - 1], rss: [200], heap_used: [5], cpu_seconds: [1] });
    expect(decoded.batch.exits).toEqual({ process: [0], time: [AT], reason: ['oom'] });
    expect(decoded.problems.refused).toEqual(new Map([['process_identity', 2]]));
  });
});

describe('strings and labels', () => {
  it('cuts, cleans and counts', () => {
    const batch = mutable();
    batch['processes']!['service'] = ['s'.repeat(10_000_000), 'a\u0000b\n'];
    batch['processes']!['version'] = ['😀'.repeat(200), 5];
    const { batch: decoded, problems } = decodeJson(batch);
    expect(decoded.processes.service).toEqual(['s'.repeat(LIMITS.nameLength), 'a b ']);
    expect(decoded.processes.version).toEqual([`${'😀'.repeat(127)}\ufffd`, '']);
    expect(problems.normalised).toEqual(
      new Map([
        ['service', 2],
        ['version', 2],
      ]),
    );
  });

  it('names the nameless and files unknown runtimes under native', () => {
    const batch = mutable();
    batch['processes']!['service'] = ['', 'ok'];
    batch['processes']!['runtime'] = ['cobol', 'go'];
    const { batch: decoded, problems } = decodeJson(batch);
    expect(decoded.processes.service).toEqual(['unknown_service', 'ok']);
    expect(decoded.processes.runtime).toEqual(['native', 'go']);
    expect([...problems.normalised.values()]).toEqual([1, 1]);
  });

  it('keeps at most so many labels, cuts long ones, drops what is no string', () => {
    const many = Object.fromEntries(Array.from({ length: LIMITS.labels + 3 }, (_, index) => [`l${index}`, 'v']));
    const batch = mutable();
    batch['processes']!['labels'] = [many, { big: 'x'.repeat(1000), number: 5, ok: 'y' }];
    const { batch: decoded, problems } = decodeJson(batch);
    expect(Object.keys(decoded.processes.labels[0]!)).toHaveLength(LIMITS.labels);
    expect(decoded.processes.labels[1]).toEqual({ big: 'x'.repeat(LIMITS.labelValueLength), ok: 'y' });
    expect(problems.normalised).toEqual(new Map([['labels', 5]]));
  });

  it('is not fooled by a label called __proto__', () => {
    const encoded = Buffer.from(JSON.stringify(sampleBatch()).replace('{"team":"a"}', '{"__proto__":"x\\u0007"}'));
    const labels = decodeBatch(encoded, arrival).batch.processes.labels[0]!;
    expect(Object.entries(labels)).toEqual([['__proto__', 'x ']]);
  });
});

describe('a batch that cannot be read', () => {
  it.each([
    ['nothing', ''],
    ['no JSON', '{'],
    ['an array', '[]'],
    ['null', 'null'],
    ['deep nesting', `${'['.repeat(200_000)}${']'.repeat(200_000)}`],
    ['a version nested without end', `{"v":${'['.repeat(200_000)}${']'.repeat(200_000)}}`],
    ['no processes', JSON.stringify({ ...sampleBatch(), processes: undefined })],
    ['no samples', JSON.stringify({ ...sampleBatch(), samples: [] })],
    ['a short identity column', JSON.stringify({ ...sampleBatch(), processes: { ...sampleBatch().processes, host: [] } })],
    ['rows without time', JSON.stringify({ ...sampleBatch(), samples: { process: [0] } })],
    ['no agent', JSON.stringify({ ...sampleBatch(), agent: '' })],
    ['a negative seq', JSON.stringify({ ...sampleBatch(), seq: -1 })],
    ['version zero', JSON.stringify({ ...sampleBatch(), v: 0 })],
  ])('%s is malformed', (_, text) => {
    expect(codeOf(() => decodeBatch(Buffer.from(text), arrival))).toBe('LKL_ERR_BATCH_MALFORMED');
  });

  it('a version too new says so', () => {
    expect(codeOf(() => decodeJson({ ...sampleBatch(), v: 2 }))).toBe('LKL_ERR_BATCH_VERSION');
  });

  it('too many rows, processes or bytes say so', () => {
    const rows = new Array<number>(LIMITS.rows + 1).fill(0);
    const processes = Object.fromEntries(
      Object.keys(sampleBatch().processes).map((name) => [name, new Array<string>(LIMITS.processes + 1).fill('')]),
    );
    expect(codeOf(() => decodeJson({ ...sampleBatch(), samples: { process: rows, time: rows } }))).toBe('LKL_ERR_BATCH_TOO_LARGE');
    expect(codeOf(() => decodeJson({ ...sampleBatch(), processes }))).toBe('LKL_ERR_BATCH_TOO_LARGE');
    expect(codeOf(() => decodeBatch(Buffer.alloc(LIMITS.encodedBytes + 1, 32), arrival))).toBe('LKL_ERR_BATCH_TOO_LARGE');
  });
});

/** Whatever was taken obeys every rule of the format. */
function expectSound({ batch, problems }: ReturnType<typeof decodeBatch>): void {
  const processes = batch.processes.lifetime.length;
  for (const column of Object.values(batch.processes)) expect(column.length).toBe(processes);
  for (const name of ['service', 'environment', 'version', 'host', 'instance'] as const)
    expect(batch.processes[name].every((text) => typeof text === 'string' && text.length <= LIMITS.nameLength)).toBe(true);
  expect(batch.processes.runtime.every((runtime) => RUNTIMES.includes(runtime))).toBe(true);
  const { process, time, ...metrics } = batch.samples;
  for (const column of [process, time, ...Object.values(metrics)]) expect(column.length).toBe(time.length);
  expect(process.every((index) => Number.isInteger(index) && index >= 0 && index < processes)).toBe(true);
  expect(time.every((at) => at >= AT - arrival.maxAgeMs && at <= AT + arrival.maxFutureMs)).toBe(true);
  for (const column of Object.values(metrics))
    expect(column.every((value) => value === null || (value >= 0 && value <= 2 ** 53))).toBe(true);
  expect([...problems.refused.keys()].every((reason) => REFUSALS.includes(reason))).toBe(true);
  const again = decodeBatch(encodeBatch(batch), arrival);
  expect(encodeBatch(again.batch).equals(encodeBatch(batch))).toBe(true);
  expect(again.problems).toEqual({ refused: new Map(), cleared: new Map(), normalised: new Map() });
}

const decodesOrRefuses = (encoded: Buffer) => {
  let decoded;
  try {
    decoded = decodeBatch(encoded, arrival);
  } catch (error) {
    expect(error).toBeInstanceOf(LeaklineError);
    expect((error as LeaklineError).code).toMatch(/^LKL_ERR_BATCH_/);
    return;
  }
  expectSound(decoded);
};

/** Every place in a JSON tree, as a path of keys. */
const pathsOf = (node: unknown, path: readonly string[] = []): (readonly string[])[] =>
  typeof node === 'object' && node !== null
    ? [path, ...Object.entries(node).flatMap(([key, child]) => pathsOf(child, [...path, key]))]
    : [path];

const PATHS = pathsOf(sampleBatch()).filter((path) => path.length > 0);

describe('mutated input', () => {
  it('never throws anything but its own errors when bytes are changed', () => {
    const original = encodeBatch(sampleBatch());
    const edits = fc.array(fc.tuple(fc.nat(original.length - 1), fc.nat(255), fc.constantFrom('set', 'cut', 'insert')), {
      minLength: 1,
      maxLength: 4,
    });
    fc.assert(
      fc.property(edits, (changes) => {
        let bytes = Buffer.from(original);
        for (const [at, byte, how] of changes) {
          if (how === 'set') bytes[at % Math.max(1, bytes.length)] = byte;
          else if (how === 'cut') bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1 + (byte % 8))]);
          else bytes = Buffer.concat([bytes.subarray(0, at), Buffer.from([byte]), bytes.subarray(at)]);
        }
        decodesOrRefuses(bytes);
      }),
      { numRuns: 6000 },
    );
  });

  it('never throws anything but its own errors when values are changed', () => {
    const odd = fc.oneof(
      fc.jsonValue({ maxDepth: 2 }),
      fc.double(),
      fc.integer(),
      fc.string(),
      fc.constantFrom(null, -0, 1e308, AT, [], {}),
    );
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.constantFrom(...PATHS), odd, fc.boolean()), { minLength: 1, maxLength: 4 }), (changes) => {
        const tree = JSON.parse(JSON.stringify(sampleBatch())) as Record<string, unknown>;
        for (const [path, value, remove] of changes) {
          let node: unknown = tree;
          for (const key of path.slice(0, -1)) node = (node as Record<string, unknown> | null | undefined)?.[key];
          if (typeof node !== 'object' || node === null) continue;
          if (remove) Reflect.deleteProperty(node, path.at(-1)!);
          // The constants above are the same objects in every run, and a later change may be made inside an earlier one's value.
          else Reflect.set(node, path.at(-1)!, structuredClone(value));
        }
        decodesOrRefuses(Buffer.from(JSON.stringify(tree)));
      }),
      { numRuns: 6000 },
    );
  });
});
