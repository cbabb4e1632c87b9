/** Letters: what they say, that a replay writes the same one, and that a flood is cut. */
import { describe, expect, it } from 'vitest';
import { LetterBudget, refusedRows, toMessage, unreadable } from '../../../services/ingester/dead-letter.ts';
import { SeenBatches } from '../../../services/ingester/seen-batches.ts';
import { LeaklineError } from '../../../shared/errors.ts';
import type { DecodedBatch } from '../../../shared/wire.ts';

const message = { key: 'agent-1', value: Buffer.from('{"v":9}'), partition: 3, offset: 1027n, timestamp: 1_790_000_000_000 };

describe('a letter', () => {
  it('says what, why and where from, the same at every replay', () => {
    const letter = unreadable(message, new LeaklineError('LKL_ERR_BATCH_VERSION', 'batch has version 9'));
    expect(letter).toEqual({
      at: message.timestamp,
      source: 'leakline.samples/3/1027',
      agent: 'agent-1',
      code: 'LKL_ERR_BATCH_VERSION',
      reason: 'batch has version 9',
      payload: message.value,
      isCut: false,
    });
    expect(toMessage(letter)).toEqual({
      key: 'agent-1',
      value: message.value,
      headers: { code: 'LKL_ERR_BATCH_VERSION', reason: 'batch has version 9', source: 'leakline.samples/3/1027' },
    });
  });

  it('carries no more than its share of a large message', () => {
    const letter = unreadable({ ...message, value: Buffer.alloc(2_000_000, 'x') }, new LeaklineError('LKL_ERR_BATCH_MALFORMED', 'no'));
    expect(letter.payload).toHaveLength(1_048_576);
    expect(letter.reason).toBe('no (payload cut: 1048576 of 2000000 bytes)');
  });

  it('names all refusals under the most frequent one', () => {
    const decoded = {
      batch: { samples: { time: [1, 2] } },
      problems: {
        refused: new Map([
          ['time_too_old', 1],
          ['process_index', 4],
        ]),
      },
    } as unknown as DecodedBatch;
    expect(refusedRows(message, decoded)).toMatchObject({
      code: 'process_index',
      reason: '5 rows refused, 2 samples taken: process_index 4, time_too_old 1',
    });
    expect(refusedRows(message, { ...decoded, problems: { ...decoded.problems, refused: new Map() } })).toBeUndefined();
  });
});

describe('the budget of letters', () => {
  const taken = (budget: LetterBudget, at: number, agent: string, code = 'code', bytes = 1) =>
    budget.take({ agent, code, payload: Buffer.alloc(bytes) }, at);

  it('keeps so many a minute', () => {
    const budget = new LetterBudget({ letters: 2, bytes: 100, alike: 9 });
    expect([0, 1, 59_999, 60_000, 60_001, 60_002].map((at) => taken(budget, at, 'a'))).toEqual([true, true, false, true, true, false]);
  });

  it('leaves room for others where one agent floods', () => {
    const budget = new LetterBudget({ letters: 100, bytes: 100, alike: 2 });
    expect([1, 2, 3].map(() => taken(budget, 0, 'flood'))).toEqual([true, true, false]);
    expect([taken(budget, 0, 'flood', 'another'), taken(budget, 0, 'quiet')]).toEqual([true, true]);
  });

  it('counts bytes, so that large messages do not fill the memory', () => {
    const budget = new LetterBudget({ letters: 100, bytes: 100, alike: 100 });
    expect([60, 60, 30].map((bytes) => taken(budget, 0, 'a', 'code', bytes))).toEqual([true, false, true]);
  });
});

describe('repeated batches', () => {
  it('are those of the same boot whose seq came before', () => {
    const seen = new SeenBatches();
    const repeated = (agent: string, boot: string, seq: number) => seen.isRepeated({ agent, boot, seq });
    expect([repeated('a', '1', 0), repeated('a', '1', 1), repeated('b', '1', 1)]).toEqual([false, false, false]);
    expect([repeated('a', '1', 1), repeated('a', '1', 0), repeated('a', '2', 0), repeated('a', '2', 1)]).toEqual([
      true,
      true,
      false,
      false,
    ]);
  });
});
