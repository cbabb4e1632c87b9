/** The notifier on the real store: what the stand-in log promises, ClickHouse keeps. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { NotifierPorts } from '../../../services/notifier/notifier.ts';
import { systemClock } from '../../../shared/clock.ts';
import { readCurves } from '../../../shared/store/curves.ts';
import { readDeliveries, recordDelivery } from '../../../shared/store/deliveries.ts';
import { appendIncidentEvents, readIncidentEvents } from '../../../shared/store/incidents.ts';
import type { Store } from '../../../shared/store/store.ts';
import { startFakeSlack, type FakeSlack } from '../../fakes/slack.ts';
import { temporaryStore } from '../../shared/store/fixture.ts';
import { event, INCIDENT, leakOf, NOW } from './leak.ts';
import { notifyConfig, openStage, type Stage } from './stage.ts';

let store: Store;
let close: () => Promise<void>;
let slack: FakeSlack;
let stage: Stage;

beforeAll(async () => {
  ({ store, close } = await temporaryStore());
  slack = await startFakeSlack({ postIntervalMs: 0, processingMs: 0 });
  stage = openStage();
});
afterAll(async () => {
  stage.close();
  await slack.close();
  await close();
});

const ports: NotifierPorts = {
  readIncidentEvents: (filter) => readIncidentEvents(store, filter),
  readDeliveries: (filter) => readDeliveries(store, filter),
  recordDelivery: (delivery) => recordDelivery(store, delivery),
  readCurves: (query) => readCurves(store, query),
};
const notifier = () => {
  const config = notifyConfig({ slackToken: slack.token, slackChannel: 'C0LEAKS01', slackApiUrl: slack.apiUrl });
  return stage.notifier(stage.channels(config), { config, ports, clock: systemClock, timing: { settleMs: 500 } });
};

it('tells once, edits after a restart, and records what was sent', async () => {
  await appendIncidentEvents(store, [event('opened', NOW)]);
  const first = notifier();
  expect(await first.deliverPending(NOW)).toMatchObject({ sent: 1 });
  expect(await first.deliverPending(NOW + 1000)).toMatchObject({ sent: 0 });
  await appendIncidentEvents(store, [event('acknowledged', NOW + 60_000)]);
  expect(await first.deliverPending(NOW + 61_000)).toMatchObject({ sent: 1 });
  await appendIncidentEvents(store, [event('resolved', NOW + 120_000, { note: 'stayed calm' })]);
  expect(await notifier().deliverPending(NOW + 121_000)).toMatchObject({ sent: 1 });
  expect(slack.roots()).toHaveLength(1);
  expect(JSON.stringify(slack.roots()[0]?.blocks)).toContain('stayed calm');
  const deliveries = await readDeliveries(store, { incident: INCIDENT });
  expect(deliveries.map(({ state }) => state)).toEqual(['sent', 'sent', 'sent']);
  expect(new Set(deliveries.map(({ external }) => external['ts']))).toEqual(new Set([slack.roots()[0]?.ts]));
});

it('lets one of two notifiers speak, and a late claim hides nothing that was sent', async () => {
  slack.messages.length = 0;
  const opened = leakOf('twice', NOW + 200_000);
  await appendIncidentEvents(store, [opened]);
  const [a, b] = [notifier(), notifier()];
  await Promise.all([a.deliverPending(NOW + 201_000), b.deliverPending(NOW + 201_000)]);
  await recordDelivery(store, {
    incident: opened.incident,
    event: opened.id,
    channel: 'slack',
    state: 'intent',
    external: { claim: 'late' },
    at: NOW + 210_000,
    error: '',
    attempt: 1,
  });
  await Promise.all([a.deliverPending(NOW + 400_000), notifier().deliverPending(NOW + 400_000)]);
  expect(slack.roots()).toHaveLength(1);
  expect((await readDeliveries(store, { incident: opened.incident }))[0]).toMatchObject({ state: 'sent' });
});
