/** Columns of blocks that the detector looks at (lifetime.ts): all it needs to read. */
import type { BlockColumn } from '../../shared/series.ts';

export const JUDGED_COLUMNS: readonly BlockColumn[] = [
  ...(['anonMin', 'rssMin', 'workingSetMin', 'swapMin', 'heapUsedMin', 'heapLiveLast', 'heapCommittedLast'] as const),
  ...(['memoryLimitLast', 'heapLimitLast', 'requestsLast', 'requestRateMean', 'sampleCount', 'timeLast'] as const),
];
