/** A detector that starts replays history and judges only its end: it must know what one knows that judged all of it. */
import { expect, it, vi } from 'vitest';
import type { Series } from '../../../shared/series.ts';
import { GridWalk } from '../../../services/detector/grid-walk.ts';
import { policyFor } from '../../../services/detector/policy.ts';
import { replicasBehindNoise } from './noisy-replicas.ts';
import { MB, noise, seriesOf, START } from './series-of.ts';

const MINUTE = 60_000;
const STEP = 5 * MINUTE;
const policy = policyFor('production');

it.each([
  ['a leak', true, (minute: number) => 300 + 0.1 * Math.max(0, minute - 1440) + 2 * noise(minute)],
  ['a leak that has just begun', true, (minute: number) => 300 + 0.6 * Math.max(0, minute - 3600) + 2 * noise(minute)],
  ['a leak that is over', true, (minute: number) => 300 + 0.15 * Math.max(0, Math.min(minute, 3600) - 1440) + 2 * noise(minute)],
  ['a job that leaks each day', true, (minute: number) => 300 + 60 * Math.max(0, Math.floor((minute - 120) / 1440)) + 2 * noise(minute)],
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

it('of replicas that leak behind their noise ends as judging all of it does, whenever it ends', () => {
  const series = replicasBehindNoise(4, 3, (minute) => 0.2 * Math.max(0, minute - 2 * 1440));
  const all = new GridWalk('shop', '', policy, STEP);
  let together = 0;
  for (let at = START + STEP; at <= START + 3 * 1440 * MINUTE; at += STEP) {
    all.replay(at, series, []);
    if (Math.round((at - START) / STEP) % 23 !== 0 || at < START + 2 * 1440 * MINUTE) continue;
    const some = new GridWalk('shop', '', policy, STEP);
    some.replayAll({ from: START, to: at, strideMs: STEP }, series, [], at);
    expect(some.history.judge(at)).toEqual(all.history.judge(at));
    if (all.history.judge(at).instances.some(({ explanation }) => explanation.includes('instances together'))) together += 1;
  }
  expect(together).toBeGreaterThan(0);
});

it('of lives whose leak restarts take back ends as walking all of it does', () => {
  const hour = 60 * MINUTE;
  const lives = Array.from({ length: 15 }, (_, life) =>
    seriesOf({
      blockMs: hour,
      count: 24,
      from: START + life * 24 * hour,
      identity: { instance: 'shop-0', lifetime: `life-${String(life)}` },
      columns: {
        rssMin: (block) =>
          (320 - 20 * Math.cos((2 * Math.PI * block) / 24) + 2 * noise(block + 977 * life) + (life < 7 ? 0 : 0.75 * block)) * MB,
        memoryLimitLast: () => 1000 * MB,
        sampleCount: () => 60,
        timeLast: (block) => START + (life * 24 + block + 1) * hour - MINUTE,
      },
    }),
  );
  for (const to of [9.5, 12.5, 14.5].map((days) => START + days * 24 * hour)) {
    const [each, some] = [new GridWalk('shop', '', policy, STEP), new GridWalk('shop', '', policy, STEP)];
    for (let at = START + hour; at <= to; at += hour) each.replay(at, lives, [], to);
    some.replayAll({ from: START, to, strideMs: hour }, lives, [], to);
    expect(learned(some)).toEqual(learned(each));
    expect(some.history.judge(to)).toEqual(each.history.judge(to));
    expect(some.history.hasLeak()).toBe(to > START + 12 * 24 * hour);
  }
});

/** Lifetimes that begin, fall silent, come back, end and overlap, by a seed. */
function comings(blockMs: number, count: number, seed: number): Series[] {
  const random = (salt: number) => 0.5 + noise(100 * seed + salt) / 2;
  const ends: number[] = [];
  return Array.from({ length: 5 }, (_, life) => {
    // The last two follow others within minutes, as after a restart.
    const begin =
      life > 2
        ? Math.min((ends[life - 2] as number) + Math.floor(12 * random(life)), count - 8)
        : Math.floor(random(life) * 0.7 * count * Number(life > 0));
    const length = Math.floor((0.2 + 0.8 * random(10 + life)) * (count - begin));
    ends.push(begin + length);
    const whole = seriesOf({
      blockMs,
      count: length,
      from: START + begin * blockMs,
      identity: {
        instance: `shop-${String(life % 2)}`,
        lifetime: `life-${String(life)}`,
        ...(random(20 + life) < 0.4 ? { endedAt: START + (begin + length) * blockMs } : {}),
      },
      columns: {
        rssMin: (block) => (200 + 100 * random(30 + life) * (1 - Math.exp(-block / 20)) + block * random(40 + life) * (50 / count)) * MB,
        memoryLimitLast: () => 1000 * MB,
        sampleCount: (block) => 60 - 40 * Number(noise(block * 7 + life) > 0.95),
        timeLast: (block) => START + (begin + block + 1) * blockMs - (noise(block * 3 + life) > 0.97 ? 0.9 : 0.01) * blockMs,
      },
    });
    const hole = Math.floor(random(50 + life) * length);
    const holeEnd = hole + Math.floor(random(60 + life) ** 3 * length * 0.4);
    const kept = Uint32Array.from({ length }, (_, block) => block).filter((block) => block < hole || block >= holeEnd);
    const pick = (values: Float64Array) => Float64Array.from(kept, (block) => values[block] as number);
    return {
      ...whole,
      time: pick(whole.time),
      columns: Object.fromEntries(Object.entries(whole.columns).map(([name, values]) => [name, pick(values)])) as Series['columns'],
    };
  });
}

const learned = ({ history }: GridWalk) => [...history.lifetimes].map(([lifetime, { past }]) => ({ lifetime, past }));

it.each([
  ['hours', 60 * MINUTE, 60 * MINUTE, 28 * 24],
  ['minutes', MINUTE, STEP, 2 * 1440],
])('of %s may leave out moments at which nothing happens', (_, blockMs, strideMs, count) => {
  const to = START + count * blockMs;
  let left = 0;
  for (let seed = 1; seed <= 8; seed += 1) {
    const series = comings(blockMs, count, seed);
    for (const through of [to, to + 30 * 60 * MINUTE]) {
      const each = new GridWalk('shop', '', policy, STEP);
      for (let at = START + strideMs; at <= to; at += strideMs) each.replay(at, series, [], through);
      const some = new GridWalk('shop', '', policy, STEP);
      const replayed = vi.spyOn(some, 'replay');
      some.replayAll({ from: START, to, strideMs }, series, [], through);
      left += 1 - replayed.mock.calls.length / ((to - START) / strideMs);
      expect(some.history.judge(to)).toEqual(each.history.judge(to));
      expect(learned(some)).toEqual(learned(each));
      // What both go on to think of a lifetime that begins now shows what else they know.
      const next = seriesOf({
        blockMs: MINUTE,
        count: 600,
        from: to,
        identity: { lifetime: 'next' },
        columns: { rssMin: (minute) => (150 + minute) * MB },
      });
      for (const walk of [each, some]) for (let at = to + STEP; at <= to + 600 * MINUTE; at += STEP) walk.replay(at, [next], []);
      expect(some.history.judge(to + 600 * MINUTE)).toEqual(each.history.judge(to + 600 * MINUTE));
    }
  }
  expect(left / 16).toBeGreaterThan(0.5);
});
