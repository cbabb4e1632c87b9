/**
 * Real programs, run and recorded in accelerated time (record-programs.ts), as cases of the corpus. A recorded second stands for a
 * minute: the histories are stretched to that, so that one policy judges every set and the rules in use today get their hours.
 */
import { readHistory } from '../../services/detector/history-file.ts';
import type { Case, CaseLifetime } from './corpus-case.ts';
import type { Part } from './corpus.ts';
import { fileOf, readIndex, type Recording } from './recording.ts';

export const TIME_STRETCH = 60;
/** A multiple of every block width, before and after stretching: a stretched history falls into the same blocks. */
const ALIGNED_MS = 1_920_000;
const START = Math.floor(Date.UTC(2026, 4, 4) / (TIME_STRETCH * ALIGNED_MS)) * TIME_STRETCH * ALIGNED_MS;

export async function programCases(part: Part): Promise<Case[]> {
  return Promise.all(
    readIndex()
      .filter((recording) => recording.part === part)
      .map(programCase),
  );
}

export async function programCase(recording: Recording): Promise<Case> {
  const recorded = await recordedLifetime(recording);
  const from = Math.floor((recorded.time[0] as number) / ALIGNED_MS) * ALIGNED_MS;
  const stretched = (time: number) => START + TIME_STRETCH * (time - from);
  const lifetime = { ...recorded, time: recorded.time.map(stretched) };
  const { name, leak, kind, onsetAt, exhaustsAt } = recording;
  if (!leak) return { name, family: 'real program', truth: undefined, lifetimes: [lifetime] };
  if (kind === undefined || onsetAt === undefined || exhaustsAt === undefined) throw new Error(`${name}: a leak without its truth`);
  return {
    name,
    family: 'leak in a real program',
    truth: { kind, onsetAt: stretched(onsetAt), exhaustsAt: stretched(exhaustsAt), bytesPerHour: {} },
    lifetimes: [lifetime],
  };
}

/** In the time it was recorded in. */
export async function recordedLifetime({ name, runtime, limitBytes }: Recording): Promise<CaseLifetime> {
  const time: number[] = [];
  const rss: number[] = [];
  const anon: number[] = [];
  const heapUsed: number[] = [];
  const heapLive: number[] = [];
  const heapCommitted: number[] = [];
  const heapLimit: number[] = [];
  const load: number[] = [];
  const counts = { rows: 0, skipped: 0, firstSkipped: '' };
  await readHistory(
    fileOf(name),
    (row) => {
      time.push(row.time);
      rss.push(row.rss);
      anon.push(row.anon);
      heapUsed.push(row.heap_used);
      heapLive.push(row.heap_live);
      heapCommitted.push(row.heap_committed);
      heapLimit.push(row.heap_limit);
      load.push(row.requests_per_second);
    },
    counts,
  );
  if (counts.skipped > 0) throw new Error(`${name}: ${counts.firstSkipped}`);
  return {
    instance: `${name}-0`,
    version: '',
    runtime,
    time,
    rss,
    anon,
    heapUsed,
    heapLive,
    heapCommitted,
    heapLimit,
    workingSet: undefined,
    load,
    limit: limitBytes,
  };
}
