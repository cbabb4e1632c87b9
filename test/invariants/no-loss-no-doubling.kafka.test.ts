/**
 * Promise: no acknowledged sample is lost and none counted twice, in raw rows and in rollups, whatever is killed, frozen, away,
 * full or sent again. Two ingesters that break a rule each show that the judge would notice.
 */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { runChaos } from './chaos.ts';
import { FleetUnderTest } from './fleet-under-test.ts';

const marker = `leakline-chaos-target-${process.pid}`;
/** For those that break a rule: what they lost does not come any more. */
const BROKEN_SETTLE_MS = 3_000;
let fleet: FleetUnderTest;

beforeAll(async () => {
  // A broker of its own: whatever else is on the topic was never issued.
  fleet = await FleetUnderTest.start({ marker, smallDisks: false });
}, 300_000);
afterAll(() => fleet.stop(), 120_000);

it('holds while agent, gateway, ingester, store and broker are killed, and batches come again', { timeout: 600_000 }, async () => {
  const faults = ['agent killed', 'gateway killed', 'ingester killed', 'store killed', 'broker killed', 'batches sent again'] as const;
  const result = await runChaos(fleet, marker, { seed: 7, faults });
  expect(result.verdict).toMatchObject({ lost: [], doubled: [], wrong: [], rollups: [] });
  // The faults happened, and did harm that had to be made good.
  expect(Object.keys(result.struck).sort()).toEqual([...faults].sort());
  expect(result.acknowledgedRows).toBeGreaterThan(200);
  expect(result.agentRows).toBeGreaterThan(0);
  expect(result.repeatedBatches).toBeGreaterThan(0);
});

it('would notice an ingester that commits before it has stored', { timeout: 300_000 }, async () => {
  await fleet.useIngesters('commits-first');
  const { verdict } = await runChaos(fleet, marker, {
    seed: 8,
    faults: ['store away', 'both ingesters killed'],
    settleMs: BROKEN_SETTLE_MS,
  });
  expect(verdict.lost.length).toBeGreaterThan(0);
});

it('would notice an ingester whose rows are not the same when they come again', { timeout: 300_000 }, async () => {
  await fleet.useIngesters('stamps-rows');
  const { verdict } = await runChaos(fleet, marker, { seed: 9, faults: ['topic replayed'], settleMs: BROKEN_SETTLE_MS });
  expect(verdict.doubled.length).toBeGreaterThan(0);
});
