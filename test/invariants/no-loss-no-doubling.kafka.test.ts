/** Promise: no acknowledged sample is lost and none counted twice, in raw rows and in rollups, under kill -9 of anything. */
import { expect, it, onTestFinished } from 'vitest';
import { startKafka } from '../harness/kafka-broker.ts';
import { runChaos } from './chaos.ts';

it('holds while agent, gateway, ingester and store are killed', { timeout: 600_000 }, async () => {
  // Of its own: whatever else is on the topic was never issued.
  const broker = await startKafka();
  onTestFinished(() => broker.stop());
  const said: string[] = [];
  const result = await runChaos({ brokers: broker.brokers, seed: 7, kills: 2, storeKills: 1, say: (line) => said.push(line) });
  expect(result, said.join('\n')).toMatchObject({ lost: [], doubled: [], wrong: [], rollups: [] });
  // The faults happened, and did harm that had to be made good.
  expect(result.kills).toEqual({ agent: 2, gateway: 2, ingester: 2, store: 1 });
  expect(result.acknowledged).toBeGreaterThan(500);
  expect(result.agentRows).toBeGreaterThan(20);
  expect(result.repeatedBatches).toBeGreaterThan(0);
});
