/** Every threshold of the detector in one frozen record. All durations derive from one time scale factor. */

export type Profile = 'production' | 'minutes';

/** The one knob in plain words: how sure to be before somebody is woken. */
export type AlertLevel = 'few' | 'normal' | 'early';

export interface Policy {
  readonly profile: Profile;
  readonly alerts: AlertLevel;
  /** Width of the finest block, ms; every other duration is a multiple of it. */
  readonly baseBlockMs: number;
  /** Block widths of the resolutions a lifetime is kept in, ms, ascending; each is a multiple of the base. */
  readonly levelMs: readonly number[];
  /** Start of a lifetime that is never judged. */
  readonly warmUpMs: number;
  /** Growth younger than this is never judged. */
  readonly minWatchMs: number;
  /** A lifetime silent for this long says nothing of now; its past still teaches. */
  readonly quietMs: number;
  /** A lifetime silent for this long is forgotten as running. */
  readonly silenceMs: number;
  /** Growth shorter than this needs up to `hastePenalty` more of the way: bursts and batches are short. */
  readonly shortWatchMs: number;
  readonly hastePenalty: number;
  /** What a rhythm is known by, and where jobs and restarts come again. */
  readonly dayMs: number;
  /** Settled history that makes growth after it surprising, at most (shorter growth needs less). */
  readonly settledMs: number;
  /** Growth watched for longer than this needs less of the way to the limit. */
  readonly longWatchMs: number;
  /** Share of the way from onset to limit that must have been watched, after a settled past / without one. */
  readonly patienceSettled: number;
  readonly patienceUnsettled: number;
  /** The same for growth of a heap whose live part is not known: garbage may wait for its collection; and for garbage known as such. */
  readonly patienceGarbage: number;
  readonly patienceCollection: number;
  /** Slope over its standard error. */
  readonly minSignificance: number;
  /** Growth must be at least this share of the level it started from. */
  readonly minGrowthShare: number;
  /** And at least this many bytes. */
  readonly minGrowthBytes: number;
  readonly falseAlarms: FalseAlarms;
  /** An incident opens this long before the earliest end in any case, whatever else goes on in the fleet. */
  readonly leadMs: number;
  /** How long a service must stay flat before its incident is resolved, at least. */
  readonly resolveMs: number;
  /** Incidents are edited no oftener than this. */
  readonly updateMs: number;
  /** How long to wait for samples on their way before a block counts as complete. */
  readonly latenessMs: number;
  /** How long lifetimes are remembered. */
  readonly horizonMs: number;
}

/** What the fleet may cost in false alarms. */
export interface FalseAlarms {
  /** To be expected of one service in a week, as measured on simulated ones. */
  readonly perServiceWeek: number;
  /** Allowed in a week however few leaks are found, and as a share of those that are. */
  readonly perWeek: number;
  readonly share: number;
}

const FALSE_ALARMS: Record<AlertLevel, FalseAlarms> = {
  few: { perServiceWeek: 0.01, perWeek: 0.25, share: 0.05 },
  normal: { perServiceWeek: 0.02, perWeek: 1, share: 0.1 },
  early: { perServiceWeek: 0.04, perWeek: 3, share: 0.2 },
};

const MINUTE = 60_000;
const LEVELS = [1, 2, 5, 10, 20, 60, 120, 240, 480, 960, 1920];
/** `minutes` runs the same rules sixty times faster: a second stands for a minute. */
const TIME_SCALE: Record<Profile, number> = { production: 1, minutes: 1 / 60 };
/** What is asked of growth without a settled past, and where it may be garbage. A demonstration has minutes only: it takes more on trust. */
const UNSETTLED_PATIENCE: Record<Profile, { readonly unsettled: number; readonly garbage: number }> = {
  production: { unsettled: 0.4, garbage: 0.9 },
  minutes: { unsettled: 0.16, garbage: 0.16 },
};
const PATIENCE: Record<AlertLevel, number> = { few: 1.25, normal: 1, early: 0.7 };

export function policyFor(profile: Profile, alerts: AlertLevel = 'normal'): Policy {
  const minute = MINUTE * TIME_SCALE[profile];
  const patience = PATIENCE[alerts];
  return {
    profile,
    alerts,
    baseBlockMs: minute,
    levelMs: LEVELS.map((blocks) => blocks * minute),
    warmUpMs: 25 * minute,
    minWatchMs: 10 * minute,
    quietMs: 45 * minute,
    silenceMs: 7 * 24 * 60 * minute,
    shortWatchMs: 4 * 60 * minute,
    hastePenalty: 1.65,
    dayMs: 24 * 60 * minute,
    settledMs: 30 * 60 * minute,
    longWatchMs: 44 * 60 * minute,
    patienceSettled: 0.087 * patience,
    patienceUnsettled: Math.min(0.6, UNSETTLED_PATIENCE[profile].unsettled * patience),
    patienceGarbage: UNSETTLED_PATIENCE[profile].garbage * patience,
    patienceCollection: 0.94,
    minSignificance: 4.5,
    minGrowthShare: 0.03,
    minGrowthBytes: 1_000_000,
    falseAlarms: FALSE_ALARMS[alerts],
    leadMs: 24 * 60 * minute,
    resolveMs: 6 * 60 * minute,
    updateMs: 30 * minute,
    latenessMs: Math.max(4_000, 1.5 * minute),
    horizonMs: 28 * 24 * 60 * minute,
  };
}
