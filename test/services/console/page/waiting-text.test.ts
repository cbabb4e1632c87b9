import { expect, it } from 'vitest';
import type { ApiJudgement } from '../../../../services/console/api-schema.ts';
import { waitingText } from '../../../../services/console/page/waiting-text.ts';

const HOUR = 3_600_000;
const NOW = Date.UTC(2026, 0, 1);
const judged = (verdict: ApiJudgement['verdict'], waitingFor: string, decidesBy: number | null) =>
  waitingText({ verdict, waitingFor, decidesBy } as ApiJudgement, NOW);

it('tells a verdict that is awaited from an alert that is, and by when', () => {
  expect(judged('undecided', 'a longer stretch of growth', NOW + HOUR)).toBe(
    'waits for a longer stretch of growth and decides within 60\u202fmin',
  );
  expect(judged('leak', '98 % confidence before it alerts', NOW + 30 * HOUR)).toBe(
    'no alert yet: waits for 98 % confidence before it alerts; in any case it goes out within 30\u202fh',
  );
  expect(judged('leak', '98 % confidence before it alerts', null)).toBe('no alert yet: waits for 98 % confidence before it alerts');
  expect(judged('leak', '', null)).toBe('');
});
