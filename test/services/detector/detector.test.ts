import { describe, expect, it } from 'vitest';
import { createDetector, type DetectorPorts, type SeriesQuery } from '../../../services/detector/detector.ts';
import { policyFor } from '../../../services/detector/policy.ts';
import { foldEvents, type IncidentEvent } from '../../../shared/incident.ts';
import type { Judgement } from '../../../shared/judgement.ts';
import { BLOCK_COLUMNS, type BlockColumn, type Series } from '../../../shared/series.ts';
import { MB, noise, seriesOf, START, type SeriesSpec } from './series-of.ts';

const SECOND = 1000;

/** A store in memory that cuts series like the real one does. */
function fakeStore(all: readonly Series[]) {
  const events: IncidentEvent[] = [];
  const judgements: Judgement[] = [];
  let judgedThrough: number | undefined;
  const cut = (series: Series, { from, to, blockMs }: SeriesQuery): Series => {
    const blocks = new Map<number, number[]>();
    for (const [index, time] of series.time.entries()) {
      if (time < from || time >= to) continue;
      const start = Math.floor(time / blockMs) * blockMs;
      blocks.set(start, [...(blocks.get(start) ?? []), index]);
    }
    const starts = [...blocks.keys()].sort((a, b) => a - b);
    const pick = (name: BlockColumn) =>
      Float64Array.from(starts, (start) => {
        if (name === 'sampleCount') return (blocks.get(start) as number[]).length;
        if (name === 'timeLast') return series.time[(blocks.get(start) as number[]).at(-1) as number] as number;
        const values = (blocks.get(start) as number[]).map((index) => series.columns[name][index] as number);
        return name.endsWith('Min') ? Math.min(...values) : (values.at(-1) as number);
      });
    return {
      ...series,
      blockMs,
      time: Float64Array.from(starts),
      columns: Object.fromEntries(BLOCK_COLUMNS.map((name) => [name, pick(name)])) as Record<BlockColumn, Float64Array>,
    };
  };
  const ports: DetectorPorts = {
    // One service at a time.
    async *readSeries(query) {
      await Promise.resolve();
      for (const series of all) if (cut(series, query).time.length > 0) yield [cut(series, query)];
    },
    readIncidentEvents: () => Promise.resolve(events),
    appendIncidentEvents: (more) => {
      events.push(...more);
      return Promise.resolve();
    },
    saveJudgements: (more) => {
      judgements.push(...more);
      return Promise.resolve();
    },
    readJudgedThrough: () => Promise.resolve(judgedThrough),
    saveJudgedThrough: (at) => {
      judgedThrough = at;
      return Promise.resolve();
    },
  };
  return { ports, events, judgements };
}

const seconds = (columns: SeriesSpec['columns'], identity: SeriesSpec['identity'] = {}, count = 240) =>
  seriesOf({ blockMs: SECOND, count, columns, identity });

/** 60 MB at the start, 0.6 MB/s on top: what a leaking demo program looks like. */
const leaking = seconds(
  {
    rssMin: (block) => (60 + 20 * Math.min(1, block / 10) + 0.6 * block + 0.5 * noise(block)) * MB,
    heapUsedMin: (block) => (20 + 0.6 * block + 0.5 * noise(block + 7)) * MB,
  },
  { service: 'leaky', lifetime: 'a', instance: 'leaky-0' },
);
/** Warm-up, a sawtooth of a collector, and a cache that is full after a minute. */
const healthy = seconds(
  { rssMin: (block) => (60 + 60 * (1 - Math.exp(-block / 15)) + (block % 20) + 10 * Math.min(1, block / 60)) * MB },
  { service: 'healthy', lifetime: 'b', instance: 'healthy-0' },
  1800,
);

async function watch(store: ReturnType<typeof fakeStore>, from: number, to: number, every = 5) {
  const detector = createDetector({ policy: policyFor('minutes'), ports: store.ports });
  let opened: number | undefined;
  for (let second = from; second <= to; second += every) {
    const { events } = await detector.evaluate(START + second * SECOND);
    if (opened === undefined && events.some(({ type }) => type === 'opened')) opened = second;
  }
  return { detector, opened };
}

describe('detector in minutes', () => {
  it('opens one incident for a leak within two minutes and says heap', async () => {
    const store = fakeStore([leaking]);
    const { opened } = await watch(store, 5, 240);
    expect(opened).toBeLessThanOrEqual(120);
    expect(store.events.filter(({ type }) => type === 'opened')).toHaveLength(1);
    const [incident] = [...foldEvents(store.events).values()];
    expect(incident?.judgement).toMatchObject({ verdict: 'leak', reason: 'keeps-growing', kind: 'heap', instances: ['leaky-0'] });
    expect(incident?.judgement.slopeBytesPerHour).toBeCloseTo(0.6 * 3600 * MB, -8);
  });

  it('never alarms on warm-up, sawtooth and a bounded cache in half an hour, and says why', async () => {
    const store = fakeStore([healthy]);
    await watch(store, 5, 1800);
    expect(store.events).toEqual([]);
    expect(store.judgements.at(-1)).toMatchObject({ service: 'healthy', verdict: 'steady' });
  });

  it('goes on with the same incident after a restart of the detector', async () => {
    const store = fakeStore([leaking]);
    await watch(store, 5, 150);
    await watch(store, 155, 240);
    expect(store.events.filter(({ type }) => type !== 'updated')).toHaveLength(1);
  });

  it('catches up after a pause without a storm', async () => {
    const store = fakeStore([leaking, healthy]);
    const { detector } = await watch(store, 5, 40);
    await detector.evaluate(START + 240 * SECOND);
    expect(store.events.map(({ type }) => type)).toEqual(['opened']);
  });

  it('says what it waits for while it cannot know', async () => {
    const store = fakeStore([leaking]);
    await watch(store, 5, 20);
    expect(store.judgements.at(-1)).toMatchObject({ verdict: 'undecided', reason: 'warming-up' });
    expect(store.judgements.at(-1)?.waitingFor).not.toBe('');
    expect(store.judgements.at(-1)?.decidesBy).toBeGreaterThan(START + 20 * SECOND);
  });

  it('is in less of a hurry in a large fleet, while there is time', async () => {
    // Two hours and a half to its limit, after half an hour that settled.
    const slow = seconds(
      {
        rssMin: (block) => (300 + 0.08 * Math.max(0, block - 1800) + 0.2 * noise(block)) * MB,
        memoryLimitLast: () => 1000 * MB,
      },
      { service: 'slow', lifetime: 'c', instance: 'slow-0' },
      7200,
    );
    const others = Array.from({ length: 150 }, (_, index) =>
      seconds({ rssMin: () => 100 * MB }, { service: `still-${index}`, lifetime: `still-${index}`, instance: `still-${index}` }, 60),
    );
    const alone = fakeStore([slow]);
    const { opened } = await watch(alone, 5, 7200, 60);
    const among = fakeStore([...others, slow]);
    const { opened: openedAmong } = await watch(among, 5, 7200, 60);
    expect(openedAmong).toBeGreaterThan(opened!);
    const [incident] = [...foldEvents(among.events).values()];
    // Meanwhile it says so, also by when it will be told at the latest; once it is told, no longer.
    const leaks = among.judgements.filter(({ instance, verdict }) => instance === '' && verdict === 'leak');
    const waiting = leaks.filter(({ at }) => at < incident!.openedAt);
    expect(waiting.length).toBeGreaterThan(0);
    for (const one of waiting) {
      expect(one.waitingFor).toBe(
        '98 % confidence before it alerts, as one of 151 services that share a detector’s budget of false alarms',
      );
      expect(one.decidesBy).toBe(one.exhaustsEarliest! - policyFor('minutes').leadMs);
    }
    expect(incident!.openedAt).toBeLessThanOrEqual(waiting.at(-1)!.decidesBy! + 5 * SECOND);
    const told = leaks.filter(({ at }) => at >= incident!.openedAt);
    // It is opened at a moment of the grid, which is finer than what is evaluated here.
    expect(told[0]!.at - incident!.openedAt).toBeLessThan(60 * SECOND);
    expect(told[0]).toMatchObject({ waitingFor: '', decidesBy: null });
    expect(told.filter(({ waitingFor }) => waitingFor !== '')).toEqual([]);
    expect(alone.judgements.filter(({ verdict, waitingFor }) => verdict === 'leak' && waitingFor !== '')).toEqual([]);
    expect(incident!.service).toBe('slow');
    expect(incident!.openedWith.confidence).toBeGreaterThan([...foldEvents(alone.events).values()][0]!.openedWith.confidence);
  });
});
