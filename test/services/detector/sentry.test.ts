/** Triage on the evaluation corpus: whatever the full judgement calls a leak, triage had called suspicious. */
import { expect, it } from 'vitest';
import { BlockSeries } from '../../../services/detector/block-series.ts';
import { GridWalk } from '../../../services/detector/grid-walk.ts';
import { newRow } from '../../../services/detector/history-row.ts';
import { policyFor } from '../../../services/detector/policy.ts';
import { Sentry } from '../../../services/detector/sentry.ts';
import type { Case } from '../../eval/corpus-case.ts';
import { caseIds, makeCase } from '../../eval/corpus.ts';
import { eachSample, STEP_MS } from '../../eval/walk.ts';

const policy = policyFor('production');

interface Tally {
  readonly missed: string[];
  leaks: number;
  asked: number;
  suspicious: number;
}

/** Judges everything, and asks triage at every step. */
function compare(one: Case, tally: Tally): void {
  const walk = new GridWalk(one.name, '', policy, STEP_MS);
  const row = newRow();
  const blocks = new Map<string, BlockSeries>();
  const sentries = new Map<string, Sentry>();
  let next = Number.NaN;
  const step = (at: number) => {
    for (const [lifetime, { series }] of blocks) {
      const sentry = sentries.get(lifetime) ?? new Sentry(policy);
      sentries.set(lifetime, sentry);
      for (const [index, time] of series.time.entries())
        if (time < at) sentry.add(time, series.columns.rssMin[index] as number, policy.baseBlockMs);
    }
    walk.replay(
      at,
      [...blocks.values()].map(({ series }) => series),
      [],
    );
    for (const { identity, leak } of walk.history.lifetimes.values()) {
      const isSuspicious = sentries.get(identity.lifetime)?.isSuspicious(at) === true;
      if (one.truth === undefined) tally.asked += 1;
      if (one.truth === undefined && isSuspicious) tally.suspicious += 1;
      tally.leaks += leak === undefined ? 0 : 1;
      if (leak !== undefined && !isSuspicious) tally.missed.push(`${one.name} ${identity.instance} ${new Date(at).toISOString()}`);
    }
    for (const one of blocks.values()) one.dropBefore(at);
  };
  eachSample(one, (lifetime, index) => {
    row.reset();
    row.time = lifetime.time[index] as number;
    row.rss = lifetime.rss[index] as number;
    row.limit = lifetime.limit > 0 ? lifetime.limit : Number.NaN;
    if (Number.isNaN(next)) next = (Math.floor(row.time / STEP_MS) + 1) * STEP_MS;
    for (; next <= row.time; next += STEP_MS) step(next);
    const { instance, version } = lifetime;
    const identity = {
      service: one.name,
      environment: '',
      version,
      instance,
      lifetime: instance,
      runtime: 'native',
      startedAt: row.time,
    } as const;
    const own = blocks.get(instance) ?? new BlockSeries(identity, policy.baseBlockMs);
    blocks.set(instance, own);
    own.add(row);
  });
  step(next);
}

it('never calls quiet what the full judgement calls a leak', { timeout: 600_000 }, () => {
  const tally: Tally = { missed: [], leaks: 0, asked: 0, suspicious: 0 };
  for (const id of caseIds('dev', 1)) compare(makeCase(id), tally);
  expect(tally.missed).toEqual([]);
  // It would mean nothing if there were no leaks, or if all that is healthy were suspicious: and this corpus is healthy in alarming ways.
  expect(tally.leaks).toBeGreaterThan(10_000);
  expect(tally.suspicious / tally.asked).toBeLessThan(0.6);
});
