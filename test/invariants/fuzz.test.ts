/** Promise: no message ends anything, what is refused has its reason, and what stands beside it arrives as it was sent. */
import { expect, it } from 'vitest';
import { ERROR_CODES } from '../../shared/errors.ts';
import { runFuzz } from './fuzz.ts';

const ROWS = ['process_index', 'process_identity', 'time_not_a_number', 'time_in_future', 'time_too_old'];

it('holds for 20,000 messages, nine in ten of them spoiled', { timeout: 600_000 }, async () => {
  const result = await runFuzz({ messages: 20_000, seed: 7 });
  expect(result.harmed).toEqual([]);
  expect(result.sound).toBeGreaterThan(1_500);
  // Every reason came up, and each letter is one that decodeBatch, asked alone, wants written.
  expect(Object.keys(result.expected)).toEqual(expect.arrayContaining(['LKL_ERR_BATCH_MALFORMED', 'LKL_ERR_BATCH_VERSION', ...ROWS]));
  expect(result.refused).toEqual(result.expected);
  // The gateway took some, refused the others by name, and never failed.
  const answers = Object.keys(result.answers);
  expect(answers).toEqual(
    expect.arrayContaining(['200', '400 LKL_ERR_BATCH_MALFORMED', '400 LKL_ERR_REQUEST_MALFORMED', '413 LKL_ERR_REQUEST_TOO_LARGE']),
  );
  const codes = new Set<string>(ERROR_CODES);
  expect(answers.filter((answer) => answer !== '200' && !(/^4/.test(answer) && codes.has(answer.slice(4))))).toEqual([]);
});
