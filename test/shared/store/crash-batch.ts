/** The batch of a number is always the same, as an agent's spool or the bus would deliver it again. */
import type { SampleRow } from './fixture.ts';

export const BATCH_ROWS = 60;

export function crashBatch(base: number, batch: number): SampleRow[] {
  return Array.from({ length: BATCH_ROWS }, (_, row) => ({
    lifetime: (row % 6).toString(16).padStart(16, '0'),
    instance: `checkout-${row % 6}`,
    time: base + batch * 2000 + Math.floor(row / 6) * 200,
    rss: 1e8 + batch * 4096 + row,
    heap_used: 5e7 + ((batch * 7919 + row * 104_729) % 1e6),
    cpu_seconds: batch / 8,
  }));
}
