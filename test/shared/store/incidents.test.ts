import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { foldEvents, incidentAt, type IncidentEvent, type IncidentEventType } from '../../../shared/incident.ts';
import type { Judgement } from '../../../shared/judgement.ts';
import { appendIncidentEvents, readIncidentEvents } from '../../../shared/store/incidents.ts';
import type { Store } from '../../../shared/store/store.ts';
import { readJudgementHistory, readLatestJudgements, saveJudgements } from '../../../shared/store/trends.ts';
import { temporaryStore } from './fixture.ts';

let store: Store;
let close: () => Promise<void>;
const HOUR = 3_600_000;
const base = Math.floor(Date.now() / 1000) * 1000;

beforeAll(async () => ({ store, close } = await temporaryStore()));
afterAll(() => close());
beforeEach(async () => {
  for (const table of ['incident_events', 'judgements', 'current_judgements']) await store.command(`TRUNCATE TABLE ${table}`);
});

const judgementOf = (more: Partial<Judgement> = {}): Judgement => ({
  service: 'checkout',
  environment: 'production',
  version: '1.4.0',
  instance: '',
  lifetime: '',
  startedAt: base - 3_600_000,
  at: base,
  verdict: 'leak',
  reason: 'steady-growth',
  explanation: 'it\'s growing by 12 MB/h\nsince "1.4.0" \\ Größe',
  kind: 'heap',
  signal: 'anon',
  slopeBytesPerHour: 12.5e6,
  slopeLow: Number.NEGATIVE_INFINITY,
  slopeHigh: Number.POSITIVE_INFINITY,
  levelBytes: 4.1e8,
  limitBytes: 1e9,
  exhaustsAt: base + 7_200_123,
  exhaustsEarliest: null,
  exhaustsLatest: null,
  onsetAt: base - 3_600_001,
  confidence: 0.93,
  instances: ['checkout-0', "checkout-'1'"],
  fit: { fromTime: 1, fromBytes: 2.5, toTime: 3, toBytes: 4.5 },
  waitingFor: '',
  decidesBy: null,
  ...more,
});

const eventArbitrary: fc.Arbitrary<IncidentEvent> = fc
  .record({
    type: fc.constantFrom<IncidentEventType>(
      'opened',
      'updated',
      'acknowledged',
      'unacknowledged',
      'silenced',
      'dismissed',
      'resolved',
      'reopened',
    ),
    id: fc.stringMatching(/^[0-9a-f]{4}$/),
    incident: fc.constantFrom('first', 'second'),
    at: fc.integer({ min: 0, max: 6 }).map((step) => base + step),
    // Long over or far away: which one does not depend on how long the test takes.
    until: fc.constantFrom(base - 1000, base + HOUR),
    slope: fc.integer({ min: -5, max: 5 }),
    note: fc.string(),
    actor: fc.constantFrom('detector', 'maria'),
  })
  .map(({ type, until, slope, ...event }): IncidentEvent => {
    if (type === 'silenced') return { ...event, type, until };
    if (type === 'acknowledged' || type === 'unacknowledged' || type === 'dismissed') return { ...event, type };
    return { ...event, type, judgement: judgementOf({ slopeBytesPerHour: slope, slopeLow: slope - 1, slopeHigh: slope + 1 }) };
  });

const uniqueEvents = (maxLength: number) =>
  fc.uniqueArray(eventArbitrary, { selector: ({ incident, id }) => `${incident} ${id}`, maxLength });

describe('incidents', () => {
  it('the view folds as the code does, in any order and with every event twice', async () => {
    await fc.assert(
      fc.asyncProperty(uniqueEvents(14), async (events) => {
        await store.command('TRUNCATE TABLE incident_events');
        await appendIncidentEvents(store, events);
        await appendIncidentEvents(store, [...events].reverse());
        const rows =
          await store.query(`SELECT id, state, toUnixTimestamp64Milli(opened_at) AS openedAt, toUnixTimestamp64Milli(resolved_at) AS resolvedAt,
          toUnixTimestamp64Milli(silenced_until) AS silencedUntil, toUnixTimestamp64Milli(updated_at) AS updatedAt, last_event AS lastEventId,
          slope_bytes_per_hour AS slope, note, actor, service FROM incidents ORDER BY id`);
        const expected = [...foldEvents(events).values()]
          .map((incident) => incidentAt(incident, Date.now()))
          .map(({ id, state, openedAt, resolvedAt, silencedUntil, updatedAt, lastEventId, judgement, note, actor, service }) => ({
            id,
            state,
            openedAt,
            resolvedAt,
            silencedUntil,
            updatedAt,
            lastEventId,
            slope: judgement.slopeBytesPerHour,
            note,
            actor,
            service,
          }))
          .sort((a, b) => (a.id < b.id ? -1 : 1));
        expect(rows).toEqual(expected);
      }),
      { numRuns: 40 },
    );
  });

  it('come back as they were appended', async () => {
    await fc.assert(
      fc.asyncProperty(uniqueEvents(8), async (events) => {
        await store.command('TRUNCATE TABLE incident_events');
        await appendIncidentEvents(store, events);
        const back = await readIncidentEvents(store);
        const order = (list: readonly IncidentEvent[]) => [...list].sort((a, b) => (a.incident + a.id < b.incident + b.id ? -1 : 1));
        expect(order(back)).toEqual(order(events));
      }),
      { numRuns: 15 },
    );
  });

  it('are found by incident, by service (with what people did) and since a moment', async () => {
    const opened: IncidentEvent = {
      id: 'a',
      incident: 'first',
      at: base,
      actor: 'detector',
      type: 'opened',
      judgement: judgementOf(),
      note: '',
    };
    const acknowledged: IncidentEvent = { id: 'b', incident: 'first', at: base + 1, actor: 'maria', type: 'acknowledged', note: 'mine' };
    await appendIncidentEvents(store, [opened, acknowledged]);
    expect(await readIncidentEvents(store, { service: 'checkout' })).toEqual([opened, acknowledged]);
    expect(await readIncidentEvents(store, { service: 'other' })).toEqual([]);
    expect(await readIncidentEvents(store, { incident: 'first' })).toHaveLength(2);
    expect(await readIncidentEvents(store, { incident: 'second' })).toEqual([]);
    expect(await readIncidentEvents(store, { since: Date.now() + 60_000 })).toEqual([]);
  });
});

describe('judgements', () => {
  it('come back exactly, infinities included', async () => {
    const judgement = judgementOf();
    await saveJudgements(store, [judgement]);
    expect(await readLatestJudgements(store)).toEqual([judgement]);
    expect(await readLatestJudgements(store, { service: 'checkout', environment: 'staging' })).toEqual([]);
  });

  it('the newest of each version and instance is the trend; all are the history', async () => {
    const older = judgementOf({ at: base - 60_000, verdict: 'undecided' });
    const newer = judgementOf({ at: base });
    const instance = judgementOf({ instance: 'checkout-0', lifetime: 'ab' });
    await saveJudgements(store, [newer, instance]);
    await saveJudgements(store, [older]);
    await saveJudgements(store, [older]);
    expect(await readLatestJudgements(store, { service: 'checkout' })).toEqual([newer, instance]);
    expect(await store.query('SELECT verdict, instance FROM trends ORDER BY instance')).toEqual([
      { verdict: 'leak', instance: '' },
      { verdict: 'leak', instance: 'checkout-0' },
    ]);
    const range = { service: 'checkout', from: base - HOUR, to: base + 1 };
    expect(await readJudgementHistory(store, { ...range, instance: '' })).toEqual([older, newer]);
    expect(await readJudgementHistory(store, range)).toHaveLength(3);
    expect(await readJudgementHistory(store, { ...range, to: base })).toEqual([older]);
  });
});
