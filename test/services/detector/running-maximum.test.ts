import fc from 'fast-check';
import { expect, it } from 'vitest';
import { RunningMaximum } from '../../../services/detector/running-maximum.ts';

it('knows the maximum as of every block that is still asked for', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: -50, max: 50 })), fc.nat(100), (values, forgotten) => {
      const maximum = new RunningMaximum(0);
      for (const [block, value] of values.entries()) maximum.raise(block, value);
      maximum.forgetBefore(forgotten);
      for (let block = forgotten; block < values.length; block += 1) {
        expect(maximum.at(block)).toBe(Math.max(0, ...values.slice(0, block + 1)));
      }
      expect(maximum.latest).toBe(Math.max(0, ...values));
    }),
  );
});
