/** What is known of a lifetime beyond the window that is judged. */
export interface Surroundings {
  readonly startedAt: number;
  /** First moment anything was seen of the service, ms UTC. */
  readonly knownSince: number;
  /** Highest level that earlier settled lifetimes held, by width of block; -Infinity if unknown. */
  heldBefore: number;
  /** Largest rise that they came back from, likewise, bytes. */
  usualRise: number;
  /** For how long earlier lifetimes stayed settled, ms. */
  readonly settledMs: number;
  /** What earlier lifetimes grew by that were growing the same way when they ended, bytes. */
  readonly recurringGrowth: number;
  /** Does the level fall faster than it rises, as garbage does? Where no heap is told, that is the only sign of a collector. */
  readonly teeth: boolean;
  /** Bytes the level may grow to; 0 = unknown. */
  readonly limitBytes: number;
  /** Bytes the heap may grow to; 0 = unknown. */
  readonly heapLimitBytes: number;
  /** Resident bytes that the judged signal leaves out (file pages), added to the level when held against the limit. */
  readonly besideBytes: number;
  /** How many replicas are judged together; 1 = an instance by itself. */
  readonly replicas: number;
}
