/** The questions of docs/sql.md, and a history in which each has an answer. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { incidentId } from '../../../shared/incident.ts';
import type { Judgement } from '../../../shared/judgement.ts';
import { recordDelivery } from '../../../shared/store/deliveries.ts';
import { appendIncidentEvents } from '../../../shared/store/incidents.ts';
import { rollUp } from '../../../shared/store/rollups.ts';
import { insertExits, insertSamples } from '../../../shared/store/samples.ts';
import type { Store } from '../../../shared/store/store.ts';
import { saveJudgements } from '../../../shared/store/trends.ts';
import { columnsOf } from './fixture.ts';

export const SQL_DOCS = readFileSync(join(import.meta.dirname, '../../../docs/sql.md'), 'utf8');

export const QUESTIONS = [...SQL_DOCS.matchAll(/\*\*(.+?)\*\*\n\n```sql\n([^]+?)```/g)].map(([, question = '', sql = '']) => ({
  question,
  sql,
}));

const MINUTE = 60_000;

/** A leaking checkout that was killed once, a quiet agent, an open incident, a leak that is held back. */
export async function fillHistory(store: Store): Promise<void> {
  const now = Date.now();
  const identity = { service: 'checkout', instance: 'checkout-0', labels: { team: 'payments' } };
  const lifetime = (id: string, startedAt: number, minutes: number, agent: string) =>
    insertSamples(
      store,
      columnsOf(
        Array.from({ length: minutes }, (_, minute) => ({
          ...identity,
          lifetime: id,
          process_started_at: startedAt,
          time: startedAt + minute * MINUTE,
          rss: 2e8 + minute * 1e6,
          anon: 1.5e8 + minute * 1e6,
          heap_used: 1e8 + minute * 9e5,
          heap_live: 9e7 + minute * 9e5,
          heap_committed: 1.2e8,
          memory_limit: 1e9,
          gc_count: minute,
          gc_full_count: minute,
          gc_pause_seconds: minute / 20,
          requests: minute * 100,
        })),
        { agent, boot: 'b', seq: 1 },
      ),
    );
  const first = now - 12 * 60 * MINUTE;
  const second = now - 180 * MINUTE;
  await lifetime('00000000000000a1', first, 500, 'quiet-agent');
  await lifetime('00000000000000a2', second, 180, 'agent');
  // An agent that stopped: its samples arrived long ago.
  await store.command(
    "INSERT INTO raw_samples (service, instance, lifetime, time, agent, received_at) SELECT 'old', 'old-0', 'ff', now64(3) - 7200, 'gone', now64(3) - 7200",
  );
  const process = {
    ...identity,
    environment: 'production',
    version: '1.4.0',
    host: 'host-1',
    pid: 4242,
    process_started_at: first,
    runtime: 'nodejs' as const,
  };
  await insertExits(store, [{ process: { ...process, lifetime: '00000000000000a1' }, time: second - MINUTE, reason: 'oom' }]);
  await rollUp(store);
  const judgement: Judgement = {
    service: 'checkout',
    environment: 'production',
    version: '1.4.0',
    instance: '',
    lifetime: '',
    startedAt: now - 60 * MINUTE,
    at: now,
    verdict: 'leak',
    reason: 'steady-growth',
    explanation: 'growing by 60 MB/h since 1.4.0',
    kind: 'heap',
    signal: 'anon',
    slopeBytesPerHour: 6e7,
    slopeLow: 5e7,
    slopeHigh: 7e7,
    levelBytes: 3e8,
    limitBytes: 1e9,
    exhaustsAt: now + 10 * 60 * MINUTE,
    exhaustsEarliest: now + 8 * 60 * MINUTE,
    exhaustsLatest: now + 14 * 60 * MINUTE,
    onsetAt: second,
    confidence: 0.95,
    instances: ['checkout-0'],
    fit: null,
    waitingFor: '',
    decidesBy: null,
  };
  const heldBack = {
    waitingFor: '98.5 % confidence before it alerts, as one of 200 services that share a detector’s budget of false alarms',
    decidesBy: now + 60 * MINUTE,
  };
  await saveJudgements(store, [
    judgement,
    { ...judgement, instance: 'checkout-0', lifetime: '00000000000000a2' },
    { ...judgement, service: 'search', instances: ['search-0'], ...heldBack },
  ]);
  const incident = incidentId('checkout', 'production', now);
  await appendIncidentEvents(store, [{ id: 'e1', incident, at: now, actor: 'detector', type: 'opened', judgement, note: '' }]);
  await recordDelivery(store, {
    incident,
    event: 'e1',
    channel: 'slack',
    state: 'sent',
    external: { ts: '1' },
    at: now,
    error: '',
    attempt: 1,
  });
}
