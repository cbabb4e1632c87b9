import { expect, it } from 'vitest';
import { LeaklineError } from '../../shared/errors.ts';
import { combineReadiness } from '../../shared/readiness.ts';

it('names what is away and why, and hides what others threw', async () => {
  const ready = combineReadiness({
    store: () => Promise.resolve(),
    bus: () => Promise.reject(new LeaklineError('LKL_ERR_BUS_UNAVAILABLE', 'no broker answers')),
    other: () => Promise.reject(new Error('password=hunter2')),
  });
  expect(await ready()).toEqual({ ok: false, reasons: ['bus: no broker answers', 'other: not reachable'] });
});

it('does not wait for a check that hangs', async () => {
  const ready = combineReadiness({ bus: () => new Promise(() => undefined) }, 5);
  expect(await ready()).toEqual({ ok: false, reasons: ['bus: no answer within 5 ms'] });
});

it('shares one round of checks among callers at the same time', async () => {
  let rounds = 0;
  const ready = combineReadiness({ bus: () => ((rounds += 1), Promise.resolve()) });
  await Promise.all([ready(), ready(), ready()]);
  expect(rounds).toBe(1);
  expect(await ready()).toEqual({ ok: true, reasons: [] });
  expect(rounds).toBe(2);
});
