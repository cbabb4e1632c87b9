/** Real pods of a day (IntelligentDDS/Nezha, MIT): as they are, and with a leak added from four tenths of their day on. */
import { readHistory } from '../../services/detector/history-file.ts';
import type { Case, CaseLifetime } from './corpus-case.ts';
import { injectLeak } from './machines.ts';
import { createRandom } from './random.ts';

const HOUR = 3_600_000;
/** Pods of one or two megabytes hold nothing to judge. */
const SMALLEST = 5_000_000;

/** `file` is the CSV in the format of `leakline backtest`. */
export async function nezhaCases(file: string): Promise<Case[]> {
  const pods = new Map<string, CaseLifetime>();
  await readHistory(
    file,
    (row) => {
      let pod = pods.get(row.service);
      if (pod === undefined) {
        pod = {
          instance: row.instance,
          version: '',
          time: [],
          rss: [],
          heapUsed: undefined,
          heapLive: undefined,
          workingSet: undefined,
          load: [],
          limit: 0,
        };
        pods.set(row.service, pod);
      }
      if (!(row.rss > 0)) return;
      pod.time.push(row.time);
      pod.rss.push(row.rss);
      pod.load?.push(row.requests_per_second);
      (pod as { limit: number }).limit = Math.max(pod.limit, row.limit > 0 ? row.limit : 0);
    },
    { rows: 0, skipped: 0, firstSkipped: '' },
  );
  return [...pods].flatMap(([service, pod], index) => casesOf(service, pod, index));
}

function casesOf(service: string, pod: CaseLifetime, seed: number): Case[] {
  if (pod.time.length < 100 || (pod.rss[50] as number) < SMALLEST) return [];
  const plain: Case = { name: service, family: 'real pod', truth: undefined, lifetimes: [pod] };
  const random = createRandom(seed);
  const highest = [...pod.rss].sort((a, b) => a - b)[Math.floor(pod.rss.length * 0.995)] as number;
  const leaking: CaseLifetime = { ...pod, time: [...pod.time], rss: [], load: [...(pod.load ?? [])], limit: Math.round(1.8 * highest) };
  const first = pod.time[0] as number;
  const onsetAt = first + 0.4 * ((pod.time.at(-1) as number) - first);
  const truth = injectLeak(leaking, pod.rss, onsetAt, random.scale(1.5, 6) * HOUR);
  const mixed: Case = { name: `${service} leaking`, family: 'leak in a real pod', truth, lifetimes: [leaking] };
  return [plain, mixed];
}
