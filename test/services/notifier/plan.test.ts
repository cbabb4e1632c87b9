/** What is said when, decided without a clock and without a channel. */
import { describe, expect, it } from 'vitest';
import type { Cadence } from '../../../services/notifier/channel.ts';
import { decide, TIMING } from '../../../services/notifier/plan.ts';
import { foldEvents, type IncidentEvent } from '../../../shared/incident.ts';
import type { Delivery } from '../../../shared/store/deliveries.ts';
import { event, HOUR, INCIDENT, leak, NOW } from './leak.ts';

const opened = event('opened', NOW);
const MINUTE = 60_000;

const delivery = (revision: string, state: Delivery['state'], at: number, more: Partial<Delivery> = {}): Delivery => ({
  incident: INCIDENT,
  event: revision,
  channel: 'any',
  state,
  external: {},
  at,
  error: '',
  attempt: 1,
  ...more,
});

const decided = (events: IncidentEvent[], deliveries: Delivery[], at: number, cadence: Cadence = 'every-change') =>
  decide({
    incident: foldEvents(events).get(INCIDENT)!,
    events: new Map(events.map((one) => [one.id, one])),
    deliveries,
    cadence,
    refreshes: cadence === 'every-change',
    at,
    timing: TIMING,
    startedAt: NOW,
    isAlone: false,
  });

describe('beginning', () => {
  it('tells what is open, leaves alone what is under way, takes up what was left', () => {
    expect(decided([opened], [], NOW)).toEqual({ plan: { revision: opened.id, change: 'opened' } });
    expect(decided([opened], [delivery(opened.id, 'intent', NOW)], NOW + 30_000)).toEqual({ wait: 'under-way' });
    expect(decided([opened], [delivery(opened.id, 'intent', NOW)], NOW + 61_000)).toEqual({
      plan: { revision: opened.id, change: 'opened' },
    });
  });

  it.each(['acknowledged', 'silenced', 'dismissed', 'resolved'] as const)('does not tell anew what was %s before', (type) => {
    expect(decided([opened, event(type, NOW + 1)], [], NOW + 2)).toEqual({ nothing: 'over-before-told' });
  });

  it('tries again ever more slowly', () => {
    const failed = (attempt: number) => [delivery(opened.id, 'failed', NOW, { attempt })];
    expect(decided([opened], failed(1), NOW + 4_999)).toEqual({ wait: 'retry-later' });
    expect(decided([opened], failed(1), NOW + 5_000)).toHaveProperty('plan');
    expect(decided([opened], failed(4), NOW + 39_000)).toEqual({ wait: 'retry-later' });
    expect(decided([opened], failed(40), NOW + 10 * MINUTE)).toHaveProperty('plan');
  });

  it('does not let a new event run past a pause the channel asked for', () => {
    const paused = [delivery(opened.id, 'failed', NOW, { external: { retry_after_ms: '90000' } })];
    const updated = event('updated', NOW + 1000, { judgement: leak({ slopeBytesPerHour: 4e7 }) });
    expect(decided([opened, updated], paused, NOW + 60_000)).toEqual({ wait: 'retry-later' });
    expect(decided([opened, updated], paused, NOW + 91_000)).toEqual({ plan: { revision: updated.id, change: 'opened' } });
  });
});

describe('a message of unknown fate', () => {
  it('is followed by at most three reminders', () => {
    const told = [delivery(opened.id, 'unconfirmed', NOW)];
    let at = NOW;
    const said: string[] = [];
    for (let quarter = 0; quarter < 12; quarter++) {
      at += 15 * MINUTE;
      const next = decided([opened], told, at, 'endpoints');
      if ('plan' in next) {
        said.push(next.plan.revision);
        told.push(delivery(next.plan.revision, 'unconfirmed', at));
      }
    }
    expect(said).toEqual([1, 2, 3].map((count) => `${opened.id}:reminder-${count}`));
  });

  it('is not followed by one when it arrived, or when all is over', () => {
    expect(decided([opened], [delivery(opened.id, 'sent', NOW)], NOW + HOUR, 'endpoints')).toEqual({ nothing: 'said' });
    const over = [opened, event('dismissed', NOW + 1)];
    expect(decided(over, [delivery(opened.id, 'unconfirmed', NOW)], NOW + HOUR, 'endpoints')).toEqual({ nothing: 'unconfirmed-and-over' });
  });

  it('is remembered past changes the channel is not told of', () => {
    const events = [opened, event('acknowledged', NOW + 1), event('unacknowledged', NOW + 2)];
    expect(decided(events, [delivery(opened.id, 'unconfirmed', NOW)], NOW + HOUR, 'milestones')).toEqual({
      plan: { revision: `${opened.id}:reminder-1`, change: 'reminder' },
    });
  });
});

describe('silence', () => {
  const silenced = event('silenced', NOW + 1, { until: NOW + HOUR });
  const told = [delivery(opened.id, 'sent', NOW), delivery(silenced.id, 'sent', NOW + 2)];

  it('keeps quiet about new figures and speaks once when it ends', () => {
    const updated = event('updated', NOW + 10 * MINUTE, { judgement: leak({ slopeBytesPerHour: 4e7 }) });
    expect(decided([opened, silenced, updated], told, NOW + 20 * MINUTE)).toEqual({ nothing: 'silenced' });
    const ended = `${silenced.id}:silence-ended`;
    expect(decided([opened, silenced, updated], told, NOW + HOUR)).toEqual({ plan: { revision: ended, change: 'silence-ended' } });
    expect(decided([opened, silenced, updated], [...told, delivery(ended, 'sent', NOW + HOUR)], NOW + HOUR + MINUTE, 'milestones')).toEqual(
      { nothing: 'said' },
    );
  });
});

describe('the last call', () => {
  it('comes once, and not to somebody who looks after it', () => {
    const told = [delivery(opened.id, 'sent', NOW)];
    const call = { plan: { revision: `${opened.id}:last-call`, change: 'last-call' } };
    expect(decided([opened], told, NOW + 7.1 * HOUR, 'milestones')).toEqual(call);
    expect(decided([opened, event('acknowledged', NOW + 1)], told, NOW + 7.1 * HOUR, 'milestones')).toEqual({ nothing: 'said' });
    expect(
      decided([opened], [...told, delivery(`${opened.id}:last-call`, 'sent', NOW + 7.1 * HOUR)], NOW + 7.9 * HOUR, 'milestones'),
    ).toEqual({ nothing: 'said' });
  });
});
