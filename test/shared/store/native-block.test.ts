import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { encodeNativeBlock, type NativeColumn } from '../../../shared/store/native-block.ts';
import { decodeNative, NumberColumns } from '../../../shared/store/native-read.ts';
import type { Store } from '../../../shared/store/store.ts';
import { temporaryStore } from './fixture.ts';

let store: Store;
let close: () => Promise<void>;

beforeAll(async () => {
  ({ store, close } = await temporaryStore());
  await store.command(`CREATE TABLE anything (
    row UInt32, whole UInt64, maybe Nullable(UInt64), ratio Nullable(Float64), plain Float64, at DateTime64(3, 'UTC'),
    word String, kind LowCardinality(String)
  ) ENGINE = Memory`);
});
afterAll(() => close());

const whole = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER });
const word = fc.string({ unit: 'grapheme', maxLength: 40 });
const rowArbitrary = fc.record({
  whole,
  maybe: fc.option(whole, { nil: null }),
  ratio: fc.option(fc.double({ noNaN: true }), { nil: null }),
  plain: fc.double({ noNaN: true, noDefaultInfinity: true }),
  at: fc.integer({ min: Date.UTC(1930, 0), max: Date.UTC(2200, 0) }),
  word,
  kind: word,
});

describe('Native blocks', () => {
  it('hold as many rows as they say, however many', async () => {
    for (const rows of [4095, 4096, 4097, 10_000]) {
      await store.command('TRUNCATE TABLE anything');
      const values = Float64Array.from({ length: rows }, (_, row) => row * 1_000_000_007);
      await store.insertNative('anything', encodeNativeBlock([{ name: 'whole', type: 'UInt64', values }], rows));
      const back = await store.query<{ whole: number }>('SELECT whole FROM anything ORDER BY whole');
      expect(back.map(({ whole: value }) => value)).toEqual([...values]);
    }
  });

  it('are read back by the engine as they were written', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(rowArbitrary, { minLength: 1, maxLength: 300 }), async (rows) => {
        await store.command('TRUNCATE TABLE anything');
        const index = Uint32Array.from(rows.keys());
        const numbers = (pick: (row: (typeof rows)[number]) => number | null) => Float64Array.from(rows, (row) => pick(row) ?? Number.NaN);
        const kinds = [...new Set(rows.map((row) => row.kind))];
        const columns: NativeColumn[] = [
          { name: 'row', type: 'UInt32', values: index },
          { name: 'whole', type: 'UInt64', values: numbers((row) => row.whole) },
          { name: 'maybe', type: 'Nullable(UInt64)', values: numbers((row) => row.maybe) },
          { name: 'ratio', type: 'Nullable(Float64)', values: numbers((row) => row.ratio) },
          { name: 'plain', type: 'Float64', values: numbers((row) => row.plain) },
          { name: 'at', type: 'DateTime64(3)', values: numbers((row) => row.at) },
          { name: 'word', type: 'String', values: rows.map((row) => row.word) },
          { name: 'kind', type: 'LowCardinality(String)', words: kinds, keys: Uint32Array.from(rows, (row) => kinds.indexOf(row.kind)) },
        ];
        await store.insertNative('anything', encodeNativeBlock(columns, rows.length));
        const back = await store.query<Record<string, unknown>>(`SELECT
          whole, maybe, isNull(ratio) AS ratioIsNull, reinterpretAsUInt64(ifNull(ratio, 0)) = reinterpretAsUInt64(ifNull(ratio, 0)) AS same,
          toUnixTimestamp64Milli(anything.at) AS at, word, toString(kind) AS kind FROM anything ORDER BY row`);
        expect(back.map(({ whole: w, maybe, at, word: text, kind }) => ({ w, maybe, at, text, kind }))).toEqual(
          rows.map((row) => ({
            w: row.whole,
            maybe: row.maybe,
            at: row.at,
            text: row.word,
            kind: row.kind,
          })),
        );
        const bytes = await store.queryBytes('SELECT ifNull(ratio, nan) AS ratio, plain FROM anything ORDER BY row', 'Native');
        const table = decodeNative(bytes);
        expect(table.numbers('plain')).toEqual(numbers((row) => row.plain));
        expect(table.numbers('ratio')).toEqual(numbers((row) => row.ratio));
      }),
      { numRuns: 25 },
    );
  });

  it('use wider keys as a dictionary grows', async () => {
    for (const distinct of [1, 256, 257, 65_536, 65_537]) {
      await store.command('TRUNCATE TABLE anything');
      const words = Array.from({ length: distinct }, (_, item) => `kind ${item}`);
      const block = encodeNativeBlock(
        [{ name: 'kind', type: 'LowCardinality(String)', words, keys: Uint32Array.from(words.keys()) }],
        distinct,
      );
      await store.insertNative('anything', block);
      expect(await store.query('SELECT uniqExact(kind) AS kinds, max(length(kind)) > 0 AS some FROM anything')).toEqual([
        { kinds: distinct, some: 1 },
      ]);
    }
  });

  it('of no rows is no insert', async () => {
    await store.command('TRUNCATE TABLE anything');
    await store.insertNative('anything', encodeNativeBlock([{ name: 'whole', type: 'UInt64', values: [] }], 0));
    expect(await store.query('SELECT count() AS rows FROM anything')).toEqual([{ rows: 0 }]);
  });
});

function columnsOf(piece: Buffer): NumberColumns {
  const columns = new NumberColumns();
  columns.add(piece);
  return columns;
}

describe('decodeNative', () => {
  it('joins blocks and gives each row its array', async () => {
    const bytes = await store.queryBytes(
      `SELECT toString(number) AS name, toFloat64(number) AS value, arrayMap(i -> toFloat64(i), range(number % 5)) AS items
      FROM numbers(200000)`,
      'Native',
    );
    const table = decodeNative(bytes);
    expect(table.rows).toBe(200_000);
    expect(table.strings('name')[199_999]).toBe('199999');
    expect(table.numbers('value')[123_456]).toBe(123_456);
    expect(table.arrays('items')[199_999]).toEqual(Float64Array.of(0, 1, 2, 3));
  });

  it('refuses an answer that was cut off, wherever', async () => {
    const answer = (format: string) => store.queryBytes(`SELECT toFloat64(number) AS value, ${format} FROM numbers(3)`, 'Native');
    const whole = await answer("concat('a', toString(number)) AS name, [toFloat64(1)] AS items, number AS size");
    const numbers = await answer('toUInt32(number) AS size');
    expect(decodeNative(whole).rows).toBe(3);
    expect(columnsOf(numbers).numbers('size')).toEqual(Float64Array.of(0, 1, 2));
    for (const [bytes, decode] of [[whole, decodeNative] as const, [numbers, columnsOf] as const])
      for (let length = 1; length < bytes.length; length++)
        expect(() => decode(bytes.subarray(0, length))).toThrow(expect.objectContaining({ code: 'LKL_ERR_STORE_REFUSED' }));
  });

  it('are not made of columns of unequal length', () => {
    const short: NativeColumn = { name: 'row', type: 'UInt32', values: [1, 2] };
    const keys: NativeColumn = { name: 'kind', type: 'LowCardinality(String)', words: ['a'], keys: Uint32Array.of(0, 0, 0, 0) };
    for (const column of [short, keys]) {
      expect(() => encodeNativeBlock([column], 3)).toThrow(expect.objectContaining({ code: 'LKL_ERR_ROWS_REFUSED' }));
    }
  });
});

describe('NumberColumns', () => {
  const answer = (rows: number) =>
    store.queryBytes(
      `SELECT
        toUInt32(number) AS whole, toFloat64(number) / 7 AS ratio, toDateTime(1700000000 + number, 'UTC') AS at,
        if(number % 3 = 1, NULL, toFloat64(number)) AS sometimes, toNullable(toUInt32(number)) AS always, CAST(NULL AS Nullable(Float64)) AS never
      FROM numbers(${String(rows)})`,
      'Native',
    );

  it('tell moments in milliseconds and NULL as NaN, over blocks and pieces', async () => {
    const columns = new NumberColumns();
    const [first, second] = await Promise.all([answer(150_000), answer(50_000)]);
    columns.add(first);
    columns.add(second);
    expect(columns.rows).toBe(200_000);
    const told = (value: (row: number) => number) => Float64Array.from({ length: 200_000 }, (_, row) => value(row % 150_000));
    expect(columns.numbers('whole')).toEqual(told((row) => row));
    expect(columns.numbers('ratio')).toEqual(told((row) => row / 7));
    expect(columns.numbers('at')).toEqual(told((row) => (1_700_000_000 + row) * 1000));
    expect(columns.numbers('sometimes')).toEqual(told((row) => (row % 3 === 1 ? Number.NaN : row)));
    expect(columns.numbers('always')).toEqual(told((row) => row));
    expect(columns.numbers('never')).toEqual(told(() => Number.NaN));
  });

  it('hold nothing of an answer before, and refuse what is no number', async () => {
    const columns = columnsOf(await answer(10));
    columns.clear();
    columns.add(await answer(3));
    expect(columns.numbers('sometimes')).toEqual(Float64Array.of(0, Number.NaN, 2));
    const text = await store.queryBytes("SELECT 'a' AS name", 'Native');
    expect(() => columns.add(text)).toThrow(expect.objectContaining({ code: 'LKL_ERR_STORE_REFUSED' }));
  });
});
