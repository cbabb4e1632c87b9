/** Replicas whose level wanders about by itself, each in its own way, with whatever grows beneath it. */
import type { Series } from '../../../shared/series.ts';
import { MB, noise, seriesOf } from './series-of.ts';

const MINUTE = 60_000;
const DAY = 1440;
/** Minutes after which a level has forgotten where it was, and how far it strays, MB. */
const MEMORY = 60;
const STRAY = 30;

export function replicasBehindNoise(count: number, days: number, grown: (minute: number, replica: number) => number): Series[] {
  return Array.from({ length: count }, (_, replica) => {
    let stray = 0;
    const strays = Array.from({ length: days * DAY }, (__, minute) => {
      stray = stray * (1 - 1 / MEMORY) + Math.sqrt(6 / MEMORY) * STRAY * noise(minute * 7 + 1000 * replica + 1);
      return stray;
    });
    return seriesOf({
      blockMs: MINUTE,
      count: days * DAY,
      identity: { instance: `shop-${String(replica)}`, lifetime: `life-${String(replica)}` },
      columns: {
        rssMin: (minute) => (300 + (strays[minute] as number) + grown(minute, replica)) * MB,
        memoryLimitLast: () => 1000 * MB,
      },
    });
  });
}
