/** What the detector says of a service, a version and an instance at one moment. The contract view `trends` has the same fields. */

export const VERDICTS = ['leak', 'growing', 'steady', 'undecided'] as const;

/** `growing` is growth that is explained or bounded (the reason says by what); `undecided` says what is missing. */
export type Verdict = (typeof VERDICTS)[number];

export const GROWTH_KINDS = ['heap', 'native', 'mixed', 'unknown'] as const;

/** Where it grows: in the runtime's heap, outside it, in both, or no heap signal to tell by. */
export type GrowthKind = (typeof GROWTH_KINDS)[number];

/** A straight line for the chart: value at two moments. */
export interface FittedLine {
  readonly fromTime: number;
  readonly fromBytes: number;
  readonly toTime: number;
  readonly toBytes: number;
}

export interface Judgement {
  readonly service: string;
  readonly environment: string;
  readonly version: string;
  /** '' = all instances of the version pooled. */
  readonly instance: string;
  /** '' on a pooled judgement. */
  readonly lifetime: string;
  /** When the process started, or was first seen; pooled: the oldest of those that say the same. Milliseconds UTC. */
  readonly startedAt: number;
  /** The moment it is true for (evaluation time), milliseconds UTC. */
  readonly at: number;
  readonly verdict: Verdict;
  /** Named reason, kebab-case: the same word in log, metric, alert and test title (e.g. `levelling-off`, `warming-up`, `follows-load`). */
  readonly reason: string;
  /** One sentence for people, with the figures ("levelling off near 410 MB"). */
  readonly explanation: string;
  readonly kind: GrowthKind;
  /** The signal the slope is of. */
  readonly signal: 'anon' | 'rss' | 'working_set' | 'heap_live' | 'heap_used';
  /** Robust slope with its 90 % interval. */
  readonly slopeBytesPerHour: number;
  readonly slopeLow: number;
  readonly slopeHigh: number;
  /** Present level (floor) of the signal in bytes. */
  readonly levelBytes: number;
  /** Limit the level is held against; 0 = none known. */
  readonly limitBytes: number;
  /** When the limit is reached, with interval; null = not in sight or no limit. Milliseconds UTC. */
  readonly exhaustsAt: number | null;
  readonly exhaustsEarliest: number | null;
  readonly exhaustsLatest: number | null;
  /** When the growth began; null where there is none. */
  readonly onsetAt: number | null;
  /** 0..1. */
  readonly confidence: number;
  /** Instances that grow (pooled judgement), or just this one. */
  readonly instances: readonly string[];
  readonly fit: FittedLine | null;
  /** For `undecided`: what is missing; for a pooled `leak` without an alert: what the alert waits for. Empty otherwise. */
  readonly waitingFor: string;
  /** When it will know, or the alert goes out, at the latest; null otherwise, and where that is not in sight. */
  readonly decidesBy: number | null;
}
