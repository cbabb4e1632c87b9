/** What could not be taken, as people find it with the command line, and send it again once the reason is gone: embedded. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { DeadLetterList, ReplayResult, Status } from '../../services/console/api-schema.ts';
import { encodeBatch } from '../../shared/wire.ts';
import { type LeaklineProcess, runLeakline, startService } from '../harness/leakline-process.ts';
import { sampleBatch } from '../harness/sample-batch.ts';
import { until } from '../harness/until.ts';

const folder = mkdtempSync(join(tmpdir(), 'leakline-dead-letters-'));
let url = '';
let up: LeaklineProcess;

async function startUp(maxServicesPerAgent: number): Promise<void> {
  const env = { LEAKLINE_INGESTER_MAX_SERVICES_PER_AGENT: String(maxServicesPerAgent) };
  ({ process: up, url } = await startService({ args: ['up', '--data', join(folder, 'data')], cwd: folder, env }));
}

const run = (...args: string[]) => runLeakline([...args, '--url', url], folder);
const stored = async () => (await run('sql', "SELECT count() AS n FROM samples WHERE agent = 'many'", '--format', 'TSV')).stdout;
const listed = async (...flags: string[]) => {
  const { code, stdout } = await run('dead-letters', 'list', '--json', ...flags);
  expect(code).toBe(0);
  return JSON.parse(stdout) as DeadLetterList['deadLetters'];
};
const replay = async (...args: string[]) => {
  const { code, stdout, stderr } = await run('dead-letters', 'replay', '--json', ...args);
  expect(stderr).toBe('');
  return { code, results: JSON.parse(stdout) as ReplayResult['results'] };
};

beforeAll(() => startUp(2), 300_000);
afterAll(async () => {
  await up.stop();
  rmSync(folder, { recursive: true, force: true });
});

it('lists what was refused and says so in status', { timeout: 120_000 }, async () => {
  expect((await run('dead-letters', 'list')).stdout).toBe('no dead letters\n');
  const body = encodeBatch(sampleBatch({ agent: 'many', seq: 0, time: Date.now(), processes: 5 }));
  const answer = await fetch(`${url}/v1/samples`, { method: 'POST', headers: { 'content-type': 'application/json' }, body });
  expect(answer.status).toBe(200);
  expect(await stored()).toBe('n\n2\n');
  expect(await listed()).toMatchObject([
    { agent: 'many', code: 'too_many_services', isCut: false, payloadBytes: body.length, replayedAt: null },
  ]);
  expect(await listed('--reason', 'LKL_ERR_BATCH_VERSION')).toEqual([]);
  const table = await run('dead-letters', 'list', '--since', '1h');
  expect(table.stdout).toMatch(/too_many_services.*3 rows refused, 2 samples taken/);
  await until(
    'the report of the ingester',
    async () => run('status', '--json'),
    ({ code, stdout }) => {
      const { problems, deadLettersLastHour, clampedLastHour, lastInsertAt, lagMessages } = JSON.parse(stdout) as Status;
      return (
        code === 1 &&
        problems.some((problem) => /3 samples .* too_many_services/.test(problem)) &&
        JSON.stringify(deadLettersLastHour) === '[{"code":"too_many_services","messages":1,"notKept":0}]' &&
        JSON.stringify(clampedLastHour) === '[{"what":"rows refused","why":"too_many_services","count":3}]' &&
        lastInsertAt !== null &&
        lagMessages === 0
      );
    },
    60_000,
  );
  expect((await run('status')).stdout).toMatch(/deadLettersLastHour: 1\n[^]*too_many_services/);
});

it('sends it again, once, and nothing is there twice', { timeout: 180_000 }, async () => {
  await up.stop();
  await startUp(100);
  const [letter] = await listed();
  const id = letter!.id;
  expect(await replay('--reason', 'too_many_services')).toEqual({ code: 0, results: [{ id, refusal: null }] });
  expect(await stored()).toBe('n\n5\n');
  expect((await listed())[0]?.replayedAt).toBeGreaterThan(0);
  // Nothing of that reason waits any more; by its id it goes again, to no effect.
  expect(await replay('--reason', 'too_many_services')).toEqual({ code: 0, results: [] });
  expect(await replay(id)).toMatchObject({ code: 0 });
  expect(await stored()).toBe('n\n5\n');
  expect(await replay('nothing-like-that')).toEqual({ code: 1, results: [{ id: 'nothing-like-that', refusal: 'no such dead letter' }] });
});

it.each([
  [['replay'], /name what to send again/],
  [['list', '--since', 'yesterday'], /--since yesterday: must be a duration/],
  [['list', '--limit', '0'], /--limit 0: must be a whole number/],
])('ends with 2 on dead-letters %j', { timeout: 60_000 }, async (args, message) => {
  const { code, stderr } = await run('dead-letters', ...args);
  expect(code).toBe(2);
  expect(stderr).toMatch(message);
});
