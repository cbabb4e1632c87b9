/** The same in a fleet: the letter was made by an ingester, is listed by a console, and goes back over Kafka. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, inject, it } from 'vitest';
import type { DeadLetterList, Status } from '../../services/console/api-schema.ts';
import { TOPICS } from '../../shared/bus/bus.ts';
import { ensureTopics } from '../../shared/bus/kafka.ts';
import { createLog } from '../../shared/log.ts';
import { encodeBatch } from '../../shared/wire.ts';
import { kafkaSettings, openKafkaBus } from '../harness/kafka-topic.ts';
import { type LeaklineProcess, runLeakline, startService } from '../harness/leakline-process.ts';
import { sampleBatch } from '../harness/sample-batch.ts';
import { until } from '../harness/until.ts';

const folder = mkdtempSync(join(tmpdir(), 'leakline-dead-letters-fleet-'));
const started: LeaklineProcess[] = [];
/** How far the clocks of agents may be ahead here. */
const MAX_FUTURE_MS = 2_000;
let consoleUrl = '';

async function start(args: readonly string[]): Promise<string> {
  const service = await startService({ args, cwd: folder, env: { LEAKLINE_INGESTER_MAX_FUTURE: `${MAX_FUTURE_MS}ms` } });
  started.push(service.process);
  return service.url;
}

beforeAll(async () => {
  const brokers = inject('kafkaBrokers');
  const kafka = ['--kafka', brokers.join(',')];
  await ensureTopics(kafkaSettings(brokers), createLog({ level: 'silent', secrets: [] }));
  const store = ['--store', await start(['store', '--data', join(folder, 'data')])];
  await start(['ingester', ...kafka, ...store]);
  consoleUrl = await start(['console', ...kafka, ...store]);
});

afterAll(async () => {
  for (const leakline of started.reverse()) await leakline.stop();
  rmSync(folder, { recursive: true, force: true });
});

it('lists, refuses what is still wrong, and sends again what is right by now', { timeout: 240_000 }, async () => {
  const agent = 'clock-ahead';
  const ask = (...args: string[]) => runLeakline([...args, '--url', consoleUrl], folder);
  const bus = openKafkaBus(inject('kafkaBrokers'));
  const ours = async () => {
    const { stdout } = await ask('dead-letters', 'list', '--json', '--reason', 'time_in_future');
    return (JSON.parse(stdout) as DeadLetterList['deadLetters']).filter((letter) => letter.agent === agent);
  };
  // Far enough ahead to be refused, near enough to be right within the test.
  const time = Date.now() + 40_000;
  await bus.publish(TOPICS.samples, [{ key: agent, value: encodeBatch(sampleBatch({ agent, seq: 0, time })) }]);
  await bus.close();
  const [letter] = await until('the letter', ours, (letters) => letters.length === 1, 120_000);
  const again = () => ask('dead-letters', 'replay', letter!.id);
  const early = await again();
  expect(early.code).toBe(1);
  expect(early.stdout).toMatch(new RegExp(`^${letter!.id}: not sent: time_in_future 2\n0 sent again, 1 not\n$`));
  await until('the letter to be right', again, ({ code }) => code === 0, 90_000);
  const count = async () => (await ask('sql', `SELECT count() AS n FROM samples WHERE agent = '${agent}'`, '--format', 'TSV')).stdout;
  await until('its rows', count, (text) => text === 'n\n2\n', 60_000);
  expect((await ours())[0]?.replayedAt).toBeGreaterThan(0);
  const status = JSON.parse((await ask('status', '--json')).stdout) as Status;
  expect(status.deadLettersLastHour).toContainEqual({ code: 'time_in_future', messages: 1, notKept: 0 });
  expect(status.partitions.length).toBeGreaterThan(0);
  expect(status.ingesters).toHaveLength(1);
});
