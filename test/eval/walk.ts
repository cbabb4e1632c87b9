/** Walks one case forward through the detector, exactly as the backtest does with a file. */
import type { Judgement } from '../../shared/judgement.ts';
import { newRow, type HistoryRow } from '../../services/detector/history-row.ts';
import type { Policy } from '../../services/detector/policy.ts';
import { ServiceWalk } from '../../services/detector/service-walk.ts';
import type { Case, CaseLifetime } from './corpus-case.ts';

export const STEP_MS = 300_000;

/** Calls back for every sample of a case in order of time. */
export function eachSample(one: Case, onSample: (lifetime: CaseLifetime, index: number) => void): void {
  const next = one.lifetimes.map(() => 0);
  for (;;) {
    let soonest = -1;
    let time = Number.POSITIVE_INFINITY;
    for (const [position, lifetime] of one.lifetimes.entries()) {
      const at = lifetime.time[next[position] as number];
      if (at !== undefined && at < time) {
        time = at;
        soonest = position;
      }
    }
    if (soonest < 0) return;
    onSample(one.lifetimes[soonest] as CaseLifetime, next[soonest] as number);
    next[soonest] = (next[soonest] as number) + 1;
  }
}

function fill(row: HistoryRow, service: string, lifetime: CaseLifetime, index: number): void {
  row.reset();
  row.service = service;
  row.instance = lifetime.instance;
  row.version = lifetime.version;
  row.runtime = lifetime.runtime ?? '';
  row.time = lifetime.time[index] as number;
  row.rss = lifetime.rss[index] as number;
  row.anon = lifetime.anon?.[index] ?? Number.NaN;
  row.heap_used = lifetime.heapUsed?.[index] ?? Number.NaN;
  row.heap_live = lifetime.heapLive?.[index] ?? Number.NaN;
  row.heap_committed = lifetime.heapCommitted?.[index] ?? Number.NaN;
  row.heap_limit = lifetime.heapLimit?.[index] ?? Number.NaN;
  row.working_set = lifetime.workingSet?.[index] ?? Number.NaN;
  row.requests_per_second = lifetime.load?.[index] ?? Number.NaN;
  row.limit = lifetime.limit > 0 ? lifetime.limit : Number.NaN;
}

export function detect(one: Case, policy: Policy, stepMs = STEP_MS): readonly Judgement[] {
  const walk = new ServiceWalk(one.name, '', policy, stepMs);
  const row = newRow();
  eachSample(one, (lifetime, index) => {
    fill(row, one.name, lifetime, index);
    walk.add(row);
  });
  walk.end();
  return walk.opened;
}
