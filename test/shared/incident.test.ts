import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { eventId, foldEvents, incidentAt, incidentId, type IncidentEvent } from '../../shared/incident.ts';
import type { Judgement } from '../../shared/judgement.ts';

const judgement = { service: 'checkout', environment: 'prod', version: 'v1', verdict: 'leak' } as Judgement;
const incident = incidentId('checkout', 'prod', 1000);
const by = (type: IncidentEvent['type'], at: number): IncidentEvent => ({
  id: eventId(incident, type, at),
  incident,
  at,
  actor: type === 'acknowledged' ? 'ada' : 'detector',
  type,
  note: '',
  judgement,
  until: at + 500,
});

const state = (...events: IncidentEvent[]) => foldEvents(events).get(incident)?.state;

describe('foldEvents', () => {
  it.each([
    [['opened'], 'open'],
    [['opened', 'acknowledged'], 'acknowledged'],
    [['opened', 'acknowledged', 'updated'], 'acknowledged'],
    [['opened', 'silenced', 'updated'], 'silenced'],
    [['opened', 'resolved'], 'resolved'],
    [['opened', 'resolved', 'reopened'], 'open'],
    [['opened', 'resolved', 'acknowledged'], 'resolved'],
    [['opened', 'dismissed', 'updated', 'reopened'], 'dismissed'],
    [['acknowledged'], undefined],
  ] as [IncidentEvent['type'][], string | undefined][])('%j ends %s', (types, expected) => {
    expect(state(...types.map((type, index) => by(type, 1000 + index)))).toBe(expected);
  });

  it('keeps a silence through updates', () => {
    const folded = foldEvents([by('opened', 1), by('silenced', 2), by('updated', 3)]).get(incident);
    expect(folded?.silencedUntil).toBe(502);
  });

  it('a silence ends by itself, and whoever silences again begins a new one', () => {
    const silenced = foldEvents([by('opened', 1), by('silenced', 2)]).get(incident)!;
    expect(incidentAt(silenced, 501)).toEqual(silenced);
    expect(incidentAt(silenced, 502)).toMatchObject({ state: 'open', silencedUntil: null });
    const again = foldEvents([by('opened', 1), by('silenced', 2), { ...by('silenced', 600), id: 'again' }]).get(incident)!;
    expect(incidentAt(again, 700)).toMatchObject({ state: 'silenced', silencedUntil: 1100 });
  });

  it('does not depend on the order events are read in, nor on duplicates', () => {
    const events = [by('opened', 1), by('acknowledged', 1), by('updated', 2), by('resolved', 3), by('reopened', 4)];
    fc.assert(
      fc.property(fc.shuffledSubarray(events, { minLength: events.length }), fc.subarray(events), (shuffled, again) => {
        expect(foldEvents([...shuffled, ...again]).get(incident)).toEqual(foldEvents(events).get(incident));
      }),
    );
  });

  it('takes events of two incidents for two, though they go by one name', () => {
    const opened = by('opened', 1);
    expect([...foldEvents([opened, { ...opened, incident: 'another' }]).keys()]).toEqual([opened.incident, 'another']);
  });
});
