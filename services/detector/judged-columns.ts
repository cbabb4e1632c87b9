/** Columns of blocks that the detector looks at (lifetime.ts): all it needs to read. The store knows of no request rate, only counters. */
import type { BlockColumn } from '../../shared/series.ts';

const JUDGED: readonly BlockColumn[] = [
  ...(['anonMin', 'rssMin', 'workingSetMin', 'swapMin', 'heapUsedMin', 'heapLiveLast', 'heapCommittedLast'] as const),
  ...(['memoryLimitLast', 'heapLimitLast', 'requestsLast'] as const),
];

/** Of a block wider than the base it is asked besides for how many base blocks it stands. */
const JUDGED_WIDE: readonly BlockColumn[] = [...JUDGED, 'sampleCount', 'timeLast'];

export const judgedColumns = (blockMs: number, baseBlockMs: number): readonly BlockColumn[] =>
  blockMs === baseBlockMs ? JUDGED : JUDGED_WIDE;
