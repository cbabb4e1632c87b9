/** A detector that starts replays history and judges only its end: it must know what one knows that judged all of it. */
import { expect, it } from 'vitest';
import { GridWalk } from '../../../services/detector/grid-walk.ts';
import { policyFor } from '../../../services/detector/policy.ts';
import { MB, noise, seriesOf, START } from './series-of.ts';

const MINUTE = 60_000;
const STEP = 5 * MINUTE;
const policy = policyFor('production');

it.each([
  ['a leak', true, (minute: number) => 300 + 0.1 * Math.max(0, minute - 1440) + 2 * noise(minute)],
  ['a leak that has just begun', true, (minute: number) => 300 + 0.6 * Math.max(0, minute - 3600) + 2 * noise(minute)],
  ['a leak that is over', true, (minute: number) => 300 + 0.15 * Math.max(0, Math.min(minute, 3600) - 1440) + 2 * noise(minute)],
  ['a daily rhythm', false, (minute: number) => 400 + 80 * Math.sin((2 * Math.PI * minute) / 1440) + noise(minute)],
])('of %s ends as judging all of it does, whenever it ends', (_, leaks, level) => {
  const count = 3 * 1440;
  const series = seriesOf({
    blockMs: MINUTE,
    count,
    columns: { rssMin: (minute) => level(minute) * MB, memoryLimitLast: () => 1000 * MB },
  });
  const all = new GridWalk('shop', '', policy, STEP);
  let leaked = 0;
  for (let at = START + STEP; at <= START + count * MINUTE; at += STEP) {
    all.replay(at, [series], []);
    if (Math.round((at - START) / STEP) % 97 !== 0) continue;
    const short = new GridWalk('shop', '', policy, STEP);
    for (let moment = START + STEP; moment <= at; moment += STEP) short.replay(moment, [series], [], at);
    expect(short.history.judge(at)).toEqual(all.history.judge(at));
    if (all.history.hasLeak()) leaked += 1;
  }
  expect(leaked > 0).toBe(leaks);
});
