import { describe, expect, it } from 'vitest';
import { sayHeldBack } from '../../../services/detector/held-back.ts';
import { reconcile, type LastLeak } from '../../../services/detector/incidents.ts';
import { policyFor } from '../../../services/detector/policy.ts';
import { eventId, foldEvents, type IncidentEvent } from '../../../shared/incident.ts';
import type { Judgement } from '../../../shared/judgement.ts';
import { MB, START } from './series-of.ts';

const HOUR = 3_600_000;
const policy = policyFor('production');

function judgement(at: number, over: Partial<Judgement> = {}): Judgement {
  return {
    service: 'shop',
    environment: 'test',
    version: 'v1',
    instance: '',
    lifetime: '',
    startedAt: START,
    at,
    verdict: 'leak',
    reason: 'keeps-growing',
    explanation: 'keeps growing 18 MB/h',
    kind: 'heap',
    signal: 'rss',
    slopeBytesPerHour: 18 * MB,
    slopeLow: 16 * MB,
    slopeHigh: 20 * MB,
    levelBytes: 400 * MB,
    limitBytes: 0,
    exhaustsAt: null,
    exhaustsEarliest: null,
    exhaustsLatest: null,
    onsetAt: START,
    confidence: 0.9,
    instances: ['shop-0'],
    fit: null,
    waitingFor: '',
    decidesBy: null,
    ...over,
  };
}

const steady = { verdict: 'steady', reason: 'flat', explanation: 'its floor is flat', instances: [] } as const;

/** Replays judgements hour by hour and collects what happened. */
function replay(hours: readonly (readonly [hour: number, Partial<Judgement>])[], seeded: readonly IncidentEvent[] = []) {
  const events = [...seeded];
  const lastLeak: LastLeak = new Map();
  for (const [hour, over] of hours) {
    const at = START + hour * HOUR;
    events.push(...reconcile([judgement(at, over)], foldEvents(events).values(), lastLeak, at, policy));
  }
  return events;
}

const types = (events: readonly IncidentEvent[]) => events.map(({ type }) => type);

describe('reconcile', () => {
  it.each([
    ['leaves a leak the fleet cannot afford to trust', { confidence: 0.95 }, []],
    ['opens it once it is surer', { confidence: 0.99 }, ['opened']],
    ['opens it a day before its earliest end', { confidence: 0.95, exhaustsEarliest: START + 23 * HOUR }, ['opened']],
    ['leaves it while there is time', { confidence: 0.95, exhaustsEarliest: START + 25 * HOUR }, []],
  ])('%s', (_, over, expected) => {
    expect(types(reconcile([judgement(START, over)], [], new Map(), START, policy, 0.98))).toEqual(expected);
  });

  it('opens with the leak that ends first where another of the service is surer but has time', () => {
    const slow = judgement(START, { confidence: 0.96, version: 'v1' });
    const urgent = judgement(START, { confidence: 0.95, version: 'v2', exhaustsEarliest: START + 23 * HOUR });
    const [event] = reconcile([slow, urgent], [], new Map(), START, policy, 0.98);
    expect(event).toMatchObject({ type: 'opened', judgement: { version: 'v2' } });
  });

  it('opens one incident however often the leak is judged', () => {
    expect(
      types(
        replay([
          [10, {}],
          [11, {}],
          [12, {}],
        ]),
      ),
    ).toEqual(['opened']);
  });

  it('edits only when a figure really changed', () => {
    const events = replay([
      [10, {}],
      [11, { slopeBytesPerHour: 20 * MB }],
      [12, { slopeBytesPerHour: 30 * MB }],
      [13, { slopeBytesPerHour: 31 * MB }],
    ]);
    expect(types(events)).toEqual(['opened', 'updated']);
  });

  it('does not resolve before it has been calm for as long as the leak took to show', () => {
    const early = replay([
      [10, {}],
      [15, steady],
    ]);
    expect(types(early)).toEqual(['opened']);
    const late = replay([
      [10, {}],
      [15, steady],
      [21, { ...steady, version: 'v2' }],
    ]);
    expect(types(late)).toEqual(['opened', 'resolved']);
    expect(late.at(-1)?.note).toContain('v2 has stayed calm');
  });

  it('does not resolve while a restarted process is still undecided', () => {
    expect(
      types(
        replay([
          [10, {}],
          [40, { verdict: 'undecided', reason: 'warming-up' }],
        ]),
      ),
    ).toEqual(['opened']);
  });

  it('reopens the same incident soon after it was resolved, and opens another one later', () => {
    const soon = replay([
      [10, {}],
      [21, steady],
      [22, {}],
    ]);
    expect(types(soon)).toEqual(['opened', 'resolved', 'reopened']);
    const later = replay([
      [10, {}],
      [21, steady],
      [60, {}],
    ]);
    expect(types(later)).toEqual(['opened', 'resolved', 'opened']);
  });

  it('remembers "not a leak" for the same shape and tells when it becomes worse', () => {
    const opened = replay([[10, {}]]);
    const incident = opened[0]?.incident ?? '';
    const at = START + 11 * HOUR;
    const dismissed: IncidentEvent = {
      id: eventId(incident, 'dismissed', at),
      incident,
      at,
      actor: 'ann',
      type: 'dismissed',
      note: 'a cache',
    };
    expect(replay([[12, {}]], [...opened, dismissed])).toHaveLength(2);
    expect(types(replay([[12, { slopeBytesPerHour: 60 * MB }]], [...opened, dismissed]))).toEqual(['opened', 'dismissed', 'opened']);
  });

  describe('of a leak that a restart took back', () => {
    const again = (hour: number, leak: Partial<Judgement> = {}) =>
      types(
        replay([
          [10, {}],
          [21, { ...steady, startedAt: START + 11 * HOUR }],
          [hour, { startedAt: START + 22 * HOUR, ...leak }],
        ]),
      );

    it('reopens the incident when a later process shows it within a week', () => {
      expect(again(34)).toEqual(['opened', 'resolved', 'reopened']);
      expect(again(21 + 167)).toEqual(['opened', 'resolved', 'reopened']);
    });

    it.each([
      ['more than a week later', 21 + 169, {}],
      ['it is another: faster', 34, { slopeBytesPerHour: 60 * MB }],
      ['it is another: outside the heap', 34, { kind: 'native' }],
      ['the process ran when it was resolved', 34, { startedAt: START }],
    ] as const)('opens another when %s', (_, hour, leak) => {
      expect(again(hour, leak)).toEqual(['opened', 'resolved', 'opened']);
    });
  });

  describe('of a process that gave back what it was alarmed of', () => {
    const fit = { fromTime: START, fromBytes: 300 * MB, toTime: START, toBytes: 300 * MB };
    const job = { fit, levelBytes: 400 * MB };
    const over = { ...steady, levelBytes: 310 * MB };
    const nextNight = (leak: Partial<Judgement>, calm: Partial<Judgement> = over) =>
      types(
        replay([
          [10, job],
          [21, calm],
          [34, { ...job, ...leak }],
        ]),
      );

    it('tells nothing while it grows as far again', () => {
      expect(nextNight({})).toEqual(['opened', 'resolved']);
      expect(nextNight({ levelBytes: 449 * MB })).toEqual(['opened', 'resolved']);
    });

    it.each([
      ['it grows well beyond that', { levelBytes: 451 * MB }, over],
      ['it stands near its limit', { levelBytes: 440 * MB, limitBytes: 480 * MB }, over],
      ['another instance grows', { instances: ['shop-1'] }, over],
      ['it had kept the memory', {}, { ...steady, levelBytes: 400 * MB }],
    ])('opens when %s', (_, leak, calm) => {
      expect(nextNight(leak, calm)).toEqual(['opened', 'resolved', 'opened']);
    });

    it('says what it waits for', () => {
      const incidents = [
        ...foldEvents(
          replay([
            [10, job],
            [21, over],
          ]),
        ).values(),
      ];
      const at = START + 34 * HOUR;
      const say = (leak: Partial<Judgement>) =>
        sayHeldBack([judgement(at, { ...job, ...leak })], incidents, { services: 1, discoveries: 0 }, policy)[0]?.waitingFor;
      expect(say({})).toBe('a level of 450 MB: it gave back by itself what it was alarmed of before');
      expect(say({ levelBytes: 460 * MB })).toBe('');
    });
  });

  it('gives the same events when it is asked twice', () => {
    expect(replay([[10, {}]])).toEqual(replay([[10, {}]]));
  });
});
