import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { newSmapsState, SmapsRation, type SmapsTarget } from '../../../services/agent/smaps.ts';
import { FakeProc } from './fake-proc.ts';

const ROLLUP =
  '5581 7ffc ---p 00000000 00:00 0 [rollup]\nRss: 4000 kB\nPss: 3000 kB\nPss_Dirty: 1 kB\nPrivate_Clean: 100 kB\nPrivate_Dirty: 2000 kB\n';

let fake: FakeProc;
let nowMs: number;
/** How long the next read seems to take. */
let readMs: number;
let calls: number;
const clock = () => {
  // The ration looks at the clock before and after a read; the look after it is where time passes.
  calls++;
  return nowMs;
};

beforeEach(() => {
  fake = new FakeProc();
  nowMs = 0;
  readMs = 0;
  calls = 0;
});
afterEach(() => fake.remove());

function target(pid: number, rssBytes = 4 << 20): SmapsTarget {
  fake.write(`${pid}/smaps_rollup`, ROLLUP);
  return { pid, rssBytes, smaps: newSmapsState() };
}

describe('the ration of smaps_rollup', () => {
  it('reads PSS and USS, the stalest first, none more often than every five minutes', () => {
    const ration = new SmapsRation(fake.root, 0.001, 4096, clock);
    const [a, b] = [target(1), target(2)];
    expect(ration.spend([a, b])).toEqual([a, b]);
    expect(a.smaps).toMatchObject({ pssBytes: 3000 * 1024, ussBytes: 2100 * 1024 });
    nowMs = 299_000;
    expect(ration.spend([a, b])).toEqual([]);
    expect(ration.stats.stalestMs).toBe(299_000);
    nowMs = 300_000;
    b.smaps.readAt = -1;
    expect(ration.spend([a, b]).map(({ pid }) => pid)).toEqual([2, 1]);
  });

  it('never takes more than its share of a core', () => {
    const share = 0.001;
    // Every read seems to take 3 ms.
    const slow = () => {
      calls++;
      return calls % 2 === 1 ? nowMs : nowMs + readMs;
    };
    const ration = new SmapsRation(fake.root, share, 4096, slow);
    calls = 0;
    const targets = Array.from({ length: 400 }, (_, index) => target(index + 1, 100 << 20));
    let spentMs = 0;
    readMs = 3;
    for (let tick = 0; tick < 360; tick++) {
      calls = 1;
      nowMs += 10_000;
      // spend() looks once, then twice a read.
      calls = 0;
      const before = ration.stats.spentMs;
      calls = -1;
      ration.spend(targets);
      spentMs += ration.stats.spentMs - before;
    }
    expect(spentMs).toBeGreaterThan(1000);
    expect(spentMs).toBeLessThanOrEqual(share * (3_600_000 + 60_000) + 3);
  });

  it('leaves alone what one read would stall for more than 5 ms', () => {
    const ration = new SmapsRation(fake.root, 1, 4096, clock);
    const giant = target(1, 2 ** 31);
    const small = target(2);
    expect(ration.spend([giant, small])).toEqual([small]);
    expect(ration.stats.tooLarge).toBe(1);
    // With huge pages a page costs next to nothing: learnt while it was small, it holds when it has grown.
    giant.smaps.nanosecondsPerPage = 0.3;
    nowMs = 10_000;
    expect(ration.spend([giant])).toEqual([giant]);
  });

  it('counts a refusal once per lifetime and does not come back', () => {
    const ration = new SmapsRation(fake.root, 1, 4096, clock);
    const refused = target(1);
    fake.end(1);
    // A directory in place of the file: open succeeds, read is refused, as root too.
    fake.write('1/smaps_rollup/x', '');
    for (nowMs = 0; nowMs < 3_600_000; nowMs += 600_000) expect(ration.spend([refused])).toEqual([]);
    expect(refused.smaps.denied).toBe(true);
    expect(ration.stats.denied).toBe(1);
  });

  it('reads nothing at a share of nought', () => {
    const ration = new SmapsRation(fake.root, 0, 4096, clock);
    nowMs = 1e9;
    expect(ration.spend([target(1)])).toEqual([]);
    expect(ration.stats.reads).toBe(0);
  });
});
