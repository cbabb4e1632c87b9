import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compareUrgency } from '../../../services/console/urgency.ts';
import { VERDICTS } from '../../../shared/judgement.ts';

const urgency = fc.option(
  fc.record({
    verdict: fc.constantFrom(...VERDICTS),
    exhaustsAt: fc.option(fc.integer({ min: 0, max: 5 })),
    slopeBytesPerHour: fc.integer({ min: -5, max: 5 }),
  }),
);

describe('urgency', () => {
  it('is an order: opposite when swapped, and transitive', () => {
    fc.assert(
      fc.property(urgency, urgency, urgency, (a, b, c) => {
        expect(Math.sign(compareUrgency(a, b)) + Math.sign(compareUrgency(b, a))).toBe(0);
        if (compareUrgency(a, b) <= 0 && compareUrgency(b, c) <= 0) expect(compareUrgency(a, c)).toBeLessThanOrEqual(0);
      }),
    );
  });

  it('puts a leak with an hour left before one with a day, and any leak before the rest', () => {
    const at = (verdict: (typeof VERDICTS)[number], exhaustsAt: number | null) => ({ verdict, exhaustsAt, slopeBytesPerHour: 1 });
    const sorted = [null, at('steady', null), at('leak', null), at('undecided', 1), at('leak', 24), at('leak', 1)].sort(compareUrgency);
    expect(sorted.map((one) => one && [one.verdict, one.exhaustsAt])).toEqual([
      ['leak', 1],
      ['leak', 24],
      ['leak', null],
      ['undecided', 1],
      ['steady', null],
      null,
    ]);
  });
});
