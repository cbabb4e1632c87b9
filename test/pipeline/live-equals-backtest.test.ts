/** One history through the real store and through a file: the same incidents at the same moments, whenever and however often anybody looks. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { createConfiguredDetector } from '../../services/cli/detecting.ts';
import { findingOf, runBacktest, type BacktestResult, type Finding } from '../../services/detector/backtest.ts';
import type { Evaluation } from '../../services/detector/detector.ts';
import { policyFor } from '../../services/detector/policy.ts';
import { startIngester } from '../../services/ingester/ingester.ts';
import { TOPICS } from '../../shared/bus/bus.ts';
import { createMemoryBus } from '../../shared/bus/memory.ts';
import { systemClock } from '../../shared/clock.ts';
import { loadConfig } from '../../shared/config.ts';
import type { IncidentEvent } from '../../shared/incident.ts';
import type { Judgement } from '../../shared/judgement.ts';
import { createLog } from '../../shared/log.ts';
import { Metrics } from '../../shared/metrics.ts';
import { readIncidentEvents } from '../../shared/store/incidents.ts';
import { migrate } from '../../shared/store/migrate.ts';
import { rollUp } from '../../shared/store/rollups.ts';
import { openStore, type Store } from '../../shared/store/store.ts';
import { encodeBatch } from '../../shared/wire.ts';
import { HOUR, HOURS, MINUTE, START, toldAsBatches, toldAsCsv } from './told-history.ts';

const folder = mkdtempSync(join(tmpdir(), 'leakline-told-'));
const config = loadConfig({ env: {}, flags: { 'ingester.rollupInterval': '1h', 'ingester.maxBatchDelay': '10ms' }, readFile: () => '' });
const policy = policyFor(config.profile, config.detector.alerts);
const STEP = 5 * MINUTE;
const END = START + HOURS * HOUR;
let store: Store;
let told: BacktestResult;

beforeAll(async () => {
  store = await openStore({ path: join(folder, 'store') });
  await migrate(store, { rawRetentionMs: 3650 * 24 * HOUR, minuteRetentionMs: 3650 * 24 * HOUR, rollupRetentionMs: 3650 * 24 * HOUR });
  await ingest();
  await rollUp(store);
  const file = join(folder, 'history.csv');
  writeFileSync(file, toldAsCsv());
  told = await runBacktest({ files: [file], stepMs: STEP, policy });
}, 600_000);

afterAll(async () => {
  await store.close();
  rmSync(folder, { recursive: true, force: true });
});

beforeEach(async () => {
  for (const table of ['incident_events', 'judgements', 'current_judgements', 'detector_progress'])
    await store.command(`TRUNCATE TABLE ${table}`);
});

/** On the way samples take in production; only the clock is that of the history. */
async function ingest(): Promise<void> {
  let now = START;
  const clock = { now: () => now, sleep: (ms: number, signal?: AbortSignal) => systemClock.sleep(ms, signal) };
  const bus = createMemoryBus({ clock, topics: [TOPICS.samples] });
  const log = createLog({ level: 'silent', secrets: [] });
  const ingester = await startIngester({ bus, store, config: config.ingester, clock, log, metrics: new Metrics() });
  for (const batch of toldAsBatches()) {
    now = batch.sent_at;
    await bus.publish(TOPICS.samples, [{ key: batch.agent, value: encodeBatch(batch) }]);
  }
  await ingester.stop();
  await bus.close();
}

const start = () => createConfiguredDetector({ config }, store);

/** Evaluates at moments of the clock; a new detector takes over whenever `restartsAt` says so. */
async function watch(moments: readonly number[], restartsAt: (moment: number) => boolean = () => false): Promise<Evaluation[]> {
  const evaluations: Evaluation[] = [];
  let detector = start();
  for (const moment of moments) {
    if (restartsAt(moment)) detector = start();
    evaluations.push(await detector.evaluate(moment));
  }
  return evaluations;
}

const moments = (everyMs: number, from = START, to = END) =>
  Array.from({ length: Math.ceil((to - from) / everyMs) }, (_, index) => from + (index + 1) * everyMs + policy.latenessMs);

const openings = (events: readonly IncidentEvent[]): Finding[] =>
  events.flatMap((event) => (event.type === 'opened' ? [findingOf(event.judgement)] : []));

/** In whatever order two detectors name what happened at the same moment. */
const ordered = (findings: readonly Finding[]) =>
  [...findings].sort((a, b) => (a.detectedAt + a.service < b.detectedAt + b.service ? -1 : 1));

const byService = (judgements: readonly Judgement[]) => [...judgements].sort((a, b) => (a.service < b.service ? -1 : 1));

it('the file tells of the leaks and of nothing else', () => {
  expect([...new Set(told.findings.map(({ service }) => service))].sort()).toEqual([
    'feed',
    'ledger',
    'mailer',
    'search',
    'sessions',
    'vault',
    'worker',
  ]);
  expect(told.findings.find(({ service }) => service === 'feed')?.reason).toContain('instances together');
});

it('the store tells the same with the same figures, looked at every hour or every five minutes', { timeout: 600_000 }, async () => {
  const [busy, calm] = [START + 24 * HOUR, START + 40 * HOUR];
  const looks = [...moments(HOUR, START, busy), ...moments(STEP, busy, calm), ...moments(HOUR, calm)];
  // The clock is never quite on time.
  const evaluations = await watch(looks.map((moment, index) => moment + ((index * 7919) % 60_000)));
  const stored = await readIncidentEvents(store);
  expect(ordered(openings(stored))).toEqual(told.findings);
  expect(stored.map(({ id }) => id).sort()).toEqual(evaluations.flatMap(({ events }) => events.map(({ id }) => id)).sort());
  expect(evaluations.at(-1)?.at).toBe(END);
  expect(byService(evaluations.at(-1)?.pooled ?? [])).toEqual(byService(told.judgements));
});

it(
  'a detector that is replaced every six hours and looks once an hour opens the same incidents at the same moments',
  { timeout: 600_000 },
  async () => {
    const evaluations = await watch(moments(HOUR), (moment) => Math.floor((moment - START) / HOUR) % 6 === 3);
    expect(ordered(openings(await readIncidentEvents(store)))).toEqual(told.findings);
    expect(byService(evaluations.at(-1)?.pooled ?? [])).toEqual(byService(told.judgements));
  },
);

it('after a day without a detector each incident gets one event, dated when it was due', { timeout: 600_000 }, async () => {
  const evaluations = await watch([START + 6 * HOUR, START + 30 * HOUR, START + 31 * HOUR, END + policy.latenessMs], () => true);
  for (const { events } of evaluations) {
    const incidents = events.map(({ incident }) => incident);
    expect(new Set(incidents).size).toBe(incidents.length);
  }
  expect(ordered(openings(await readIncidentEvents(store)))).toEqual(told.findings);
});
