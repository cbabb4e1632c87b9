/** One process lifetime as the detector knows it: constant memory, fed with blocks in order, judged at any moment. */
import type { Series, SeriesIdentity } from '../../shared/series.ts';
import { AgeProfile } from './age-profile.ts';
import { Cascade } from './cascade.ts';
import { growthOverLives, judgeWindow, longest, rank, type Calm, type Growth } from './growth.ts';
import { lessonFrom, NO_PAST, type Lesson, type Past } from './lesson.ts';
import type { Policy } from './policy.ts';
import { forgottenUntil, HITS } from './replay-stops.ts';
import { newReading, type Resolution } from './resolution.ts';
import { firstAfter, lastBaseStart } from './series-time.ts';
import { BLOCKS_A_DAY, judgeStairs } from './stairs.ts';
import type { Surroundings } from './surroundings.ts';
import { Teeth } from './teeth.ts';

export type MemorySignal = 'anon' | 'rss' | 'working_set' | 'heap_live' | 'heap_used';

/** Block counts of the windows looked at in each resolution. */
export const WINDOWS = [10, 14, 20, 28, 40];
/** Those asked when people want to know why. */
const EXPLAINED_WINDOWS = [14, 28];
/** Every so many samples the interval between them is looked at. */
const SAMPLING_CHECK = 64;

// One for all: a new one for each block of each lifetime is half the garbage of a start.
const values: RawReading = {
  anon: Number.NaN,
  rss: Number.NaN,
  workingSet: Number.NaN,
  swap: Number.NaN,
  heapUsed: Number.NaN,
  heapLive: Number.NaN,
  heapCommitted: Number.NaN,
  requests: Number.NaN,
  requestRate: Number.NaN,
};
const reading = newReading();

export class Lifetime {
  readonly identity: SeriesIdentity;
  readonly profile: AgeProfile;
  signal: MemorySignal | undefined;
  lastTime = Number.NEGATIVE_INFINITY;
  firstTime = Number.NaN;
  lastLevel = Number.NaN;
  limitBytes = 0;
  heapLimitBytes = 0;
  rssBytes = Number.NaN;
  samples = 0;
  endedAt: number | undefined;
  /** Past knowledge it was started with. */
  past: Past = NO_PAST;

  readonly #policy: Policy;
  /** Per resolution and window: how often in a row it passed, and the growth that passed last. */
  readonly #hits: Uint16Array;
  readonly #passing: (Growth | undefined)[] = [];
  #own: Growth | undefined;
  #stairs: Growth | undefined;
  #overLives: Growth | undefined;
  /** Resolutions at which `advance` last found growth, however little, a bit each. */
  stirred = 0;
  /** Per resolution: growth that it shows together with its replicas. */
  readonly #shared: (Growth | undefined)[] = [];
  readonly #cascade: Cascade;
  #heapHigh = Number.NaN;
  #requests = Number.NaN;
  #requestsAt = Number.NaN;
  /** Resolutions with a block that was not judged yet, a bit each. */
  #stale = 0;
  readonly #teeth = new Teeth();
  #tellsHeap = false;

  constructor(identity: SeriesIdentity, policy: Policy) {
    // A series is an identity too, but with weeks of blocks, which must not be held for as long as the lifetime is.
    const { service, environment, version, instance, lifetime, runtime, startedAt } = identity;
    this.identity = { service, environment, version, instance, lifetime, runtime, startedAt };
    this.#policy = policy;
    this.profile = new AgeProfile(policy.warmUpMs);
    this.#cascade = new Cascade(policy.levelMs);
    this.#hits = new Uint16Array(policy.levelMs.length * WINDOWS.length);
  }

  get resolutions(): readonly Resolution[] {
    return this.#cascade.levels;
  }

  /** Growth that opened or keeps the verdict, seen by itself or else together with its replicas; undefined while none passes. */
  get leak(): Growth | undefined {
    return this.#own ?? longest(this.#shared) ?? this.#stairs ?? this.#overLives;
  }

  get tellsHeap(): boolean {
    return this.#tellsHeap;
  }

  /** Until the next block of that resolution. */
  share(index: number, growth: Growth): void {
    this.#shared[index] = growth;
  }

  get warmAt(): number {
    // Where earlier lifetimes settled is known, growth counts above that only, and the start needs less of a cut.
    const warmUpMs = this.past.settledMs > 0 ? 0.4 * this.#policy.warmUpMs : this.#policy.warmUpMs;
    return this.firstTime + Math.max(0, warmUpMs - Math.max(0, this.firstTime - this.identity.startedAt));
  }

  /** Adds the blocks of a series that are newer than what is known and start before `until`. */
  addSeries(series: Series, until: number): void {
    const { time, columns, blockMs } = series;
    const base = this.#policy.baseBlockMs;
    if (series.endedAt !== undefined && series.endedAt < until) this.endedAt = series.endedAt;
    for (let index = firstAfter(time, this.lastTime); index < time.length; index += 1) {
      const at = time[index] as number;
      if (at >= until) break;
      this.limitBytes = known(columns.memoryLimitLast[index], this.limitBytes);
      this.heapLimitBytes = known(columns.heapLimitLast[index], this.heapLimitBytes);
      values.anon = columns.anonMin[index] as number;
      values.rss = columns.rssMin[index] as number;
      values.workingSet = columns.workingSetMin[index] as number;
      values.swap = columns.swapMin[index] as number;
      values.heapUsed = columns.heapUsedMin[index] as number;
      values.heapLive = columns.heapLiveLast[index] as number;
      values.heapCommitted = columns.heapCommittedLast[index] as number;
      values.requests = columns.requestsLast[index] as number;
      values.requestRate = columns.requestRateMean[index] as number;
      if (blockMs === base) this.add(at, values);
      else
        this.add(at, values, Math.min(blockMs / base, columns.sampleCount[index] as number), lastBaseStart(series, index, base), blockMs);
    }
  }

  /** A block wider than the base stands for so many base blocks, the last of which began at `lastTime`. */
  add(time: number, values: RawReading, blocks = 1, lastTime = time, widthMs = this.#policy.baseBlockMs): void {
    const memory = this.#memoryOf(values);
    if (Number.isNaN(this.firstTime)) this.firstTime = time;
    this.lastTime = lastTime;
    const before = this.samples;
    this.samples += blocks;
    if (values.rss > 0) this.rssBytes = values.rss;
    if (memory > 0) {
      this.profile.add(time - Math.min(this.identity.startedAt, this.firstTime), memory);
      // The floors of hours have no teeth.
      if (blocks === 1) this.#teeth.add(memory);
      this.lastLevel = memory;
    }
    this.#tellsHeap ||= values.heapUsed > 0 || values.heapLive > 0;
    const heapNow = values.heapCommitted > 0 ? values.heapCommitted : values.heapUsed;
    if (heapNow > 0 && !(heapNow <= this.#heapHigh)) this.#heapHigh = heapNow;
    const load = this.#loadOf(time, values);
    // Reference counting frees at once: what is used is live but for rare cycles, however long ago the last full collection was.
    const heapLive = this.identity.runtime === 'python' ? values.heapUsed : values.heapLive;
    if (time < this.warmAt) return;
    reading.time = time;
    reading.memory = memory > 0 ? memory : Number.NaN;
    reading.heapUsed = values.heapUsed > 0 ? values.heapUsed : Number.NaN;
    reading.heapLive = heapLive > 0 ? heapLive : Number.NaN;
    reading.heapHigh = this.#heapHigh;
    reading.loadSum = Number.isNaN(load) ? 0 : load;
    reading.loadCount = Number.isNaN(load) ? 0 : 1;
    if (Math.floor(this.samples / SAMPLING_CHECK) > Math.floor(before / SAMPLING_CHECK)) this.#skipTooFine();
    this.#stale |= this.#cascade.add(reading, widthMs);
  }

  #memoryOf(values: RawReading): number {
    this.signal ??=
      values.anon > 0
        ? 'anon'
        : values.rss > 0
          ? 'rss'
          : values.workingSet > 0
            ? 'working_set'
            : values.heapLive > 0
              ? 'heap_live'
              : values.heapUsed > 0
                ? 'heap_used'
                : undefined;
    const swapped = values.swap > 0 ? values.swap : 0;
    switch (this.signal) {
      case 'anon':
        return values.anon + swapped;
      case 'rss':
        return values.rss + swapped;
      case 'working_set':
        return values.workingSet;
      case 'heap_live':
        return values.heapLive;
      case 'heap_used':
        return values.heapUsed;
      case undefined:
        return Number.NaN;
    }
  }

  #loadOf(time: number, values: RawReading): number {
    if (!Number.isNaN(values.requestRate)) return values.requestRate;
    if (Number.isNaN(values.requests)) return Number.NaN;
    const rate =
      values.requests >= this.#requests && time > this.#requestsAt
        ? ((values.requests - this.#requests) * 1000) / (time - this.#requestsAt)
        : Number.NaN;
    this.#requests = values.requests;
    this.#requestsAt = time;
    return rate;
  }

  surroundings(): Surroundings {
    const heapOnly = this.signal === 'heap_live' || this.signal === 'heap_used';
    return {
      startedAt: Math.min(this.identity.startedAt, this.firstTime),
      heldBefore: Number.NEGATIVE_INFINITY,
      usualRise: 0,
      settledMs: this.past.settledMs,
      knownSince: Math.min(this.past.since, this.firstTime),
      recurringGrowth: this.past.recurringGrowth,
      teeth: !this.#tellsHeap && this.#teeth.seen,
      limitBytes: heapOnly && this.heapLimitBytes > 0 ? this.heapLimitBytes : this.limitBytes,
      heapLimitBytes: this.heapLimitBytes,
      besideBytes: this.signal === 'anon' && this.rssBytes > this.lastLevel ? this.rssBytes - this.lastLevel : 0,
      replicas: 1,
    };
  }

  /**
   * Closes blocks that ended by `at`, judges every window that has a new one; returns whether any has. Who replays history up to a
   * known moment says so in `through`: of what is judged long before it nothing is left by then, so it is not.
   */
  advance(at: number, through = at): boolean {
    this.stirred = 0;
    this.#stale |= this.#cascade.advance(at);
    if (this.#stale === 0) return false;
    const { levelMs } = this.#policy;
    for (let index = 0; index < levelMs.length; index += 1)
      if (at <= forgottenUntil(levelMs[index] as number, through, this.#policy)) this.#stale &= ~(1 << index);
    if (this.#stale !== 0) this.#judge();
    return true;
  }

  #judge(): void {
    const around = this.surroundings();
    for (let index = this.#cascade.finest; index < this.#policy.levelMs.length; index += 1)
      if ((this.#stale & (1 << index)) !== 0) this.#judgeResolution(index, this.#at(index, around));
    this.#stale = 0;
    this.#choose();
    const { takenBack } = this.past;
    const widthMs = this.#policy.levelMs[this.#cascade.finest] as number;
    this.#overLives = takenBack && growthOverLives(takenBack, this.lastLevel, widthMs, around, this.#policy);
  }

  /** What earlier lifetimes teach depends on the width of the block: it is written over for each, the rest is the same for all. */
  #at(index: number, around: Surroundings): Surroundings {
    around.heldBefore = this.past.held[index] ?? Number.NEGATIVE_INFINITY;
    around.usualRise = this.#usualRise(index);
    return around;
  }

  /** A rise too slow to come back within the blocks of one width shows at the next ones. */
  #usualRise(index: number): number {
    let usual = 0;
    for (let wider = index; wider < Math.min(index + 4, this.#policy.levelMs.length); wider += 1) {
      usual = Math.max(usual, this.past.excursion[wider] ?? 0, wider > index ? this.#cascade.level(wider).excursion() : 0);
    }
    return usual;
  }

  #judgeResolution(index: number, around: Surroundings): void {
    const level = this.#cascade.level(index);
    this.#shared[index] = undefined;
    if (level.widthMs * BLOCKS_A_DAY === this.#policy.dayMs) this.#stairs = judgeStairs(level, around, this.#policy);
    for (let position = 0; position < WINDOWS.length; position += 1) {
      const key = index * WINDOWS.length + position;
      const growth = judgeWindow(level, WINDOWS[position] as number, around, this.#policy);
      if (typeof growth === 'object' || growth === 'needs-patience') this.stirred |= 1 << index;
      const passes = typeof growth === 'object' && growth.reason === 'passes';
      this.#passing[key] = passes ? growth : undefined;
      this.#hits[key] = passes ? (this.#hits[key] as number) + 1 : 0;
    }
  }

  #choose(): void {
    this.#own = longest(this.#passing, (key) => (this.#hits[key] as number) >= HITS);
  }

  #skipTooFine(): void {
    const interval = (this.lastTime - this.firstTime) / Math.max(1, this.samples - 1);
    const { finest } = this.#cascade;
    const { levelMs } = this.#policy;
    let first = finest;
    while (first + 1 < levelMs.length && (levelMs[first + 1] as number) <= 1.1 * interval) first += 1;
    if (first === finest) return;
    this.#stale |= this.#cascade.leaveOut(first);
    this.#stale &= -1 << first;
    this.#hits.fill(0, 0, first * WINDOWS.length);
    this.#shared.fill(undefined, 0, first);
  }

  /** The growth that looks most like a leak and why it is none (yet); undefined before the first window is full. */
  explained(): Growth | Calm | undefined {
    const around = this.surroundings();
    let best: Growth | Calm | undefined;
    for (const [index, level] of this.resolutions.entries()) {
      if (index < this.#cascade.finest) continue;
      for (const count of EXPLAINED_WINDOWS) {
        const growth = judgeWindow(level, count, this.#at(index, around), this.#policy, true);
        if (growth !== undefined && (best === undefined || rank(growth) > rank(best))) best = growth;
      }
    }
    return best;
  }

  /** Silent for so long that it says nothing of now; ten sampling intervals at least, for a history with holes is not a series of deaths. */
  isQuiet(at: number, quietMs: number): boolean {
    const interval = (this.lastTime - this.firstTime) / Math.max(1, this.samples - 1);
    return at - this.lastTime > Math.max(quietMs, 10 * interval);
  }

  /** What it teaches once it has ended. */
  lesson(): Lesson {
    this.#cascade.advance();
    const { limitBytes, besideBytes } = this.surroundings();
    const lived = {
      whole: this.#resolutionForAge(),
      resolutions: this.resolutions,
      livedMs: this.lastTime - this.firstTime,
      warmMs: Math.max(0, this.lastTime - this.warmAt),
      lastLevel: this.lastLevel,
      ceilingBytes: limitBytes > 0 ? limitBytes - besideBytes : 0,
    };
    return lessonFrom(lived, this.#policy);
  }

  /** The finest resolution that still holds the whole lifetime. */
  #resolutionForAge(): Resolution {
    return (
      this.resolutions.slice(this.#cascade.finest).find((level) => level.closed === level.time.length && level.closed <= 64) ??
      (this.resolutions.at(-1) as Resolution)
    );
  }

  resolutionOf(growth: Growth): Resolution {
    return this.resolutions.find((level) => level.widthMs === growth.widthMs) ?? (this.resolutions[0] as Resolution);
  }
}

export interface RawReading {
  anon: number;
  rss: number;
  workingSet: number;
  swap: number;
  heapUsed: number;
  heapLive: number;
  heapCommitted: number;
  requests: number;
  requestRate: number;
}

function known(value: number | undefined, otherwise: number): number {
  return value === undefined || Number.isNaN(value) ? otherwise : value;
}
