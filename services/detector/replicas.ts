/**
 * Replicas that run side by side, judged together: the mean of what they hold has less noise than each of them, so that growth they
 * share shows sooner. It must pass the gates that one must pass, and is said of those that grow themselves. Nothing is kept of it: it
 * is made anew, whenever blocks close, of those the lifetimes keep, so a replay that leaves out moments comes to the same.
 * O(levels · 64 · replicas), and that only when one of them stands above what it held before.
 */
import { judgeWindow, longest, type Growth } from './growth.ts';
import { WINDOWS, type Lifetime } from './lifetime.ts';
import { meanOf } from './mean.ts';
import type { Policy } from './policy.ts';
import { HITS } from './replay-stops.ts';
import { newReading, Resolution } from './resolution.ts';
import type { Surroundings } from './surroundings.ts';
import { theilSen } from './trend.ts';

/** Blocks that all of them keep. */
const KEPT = 64;
const FEWEST = 10;
/** Who has run for less than this share of the time of others is judged by itself: the mean is as young as its youngest. */
const LEAST_AGE = 0.5;
/** Distance of two passes, in base blocks: there is one at a moment of the grid. */
const PASS_BLOCKS = 5;
/** A replica grows with the others from this share of their slope on, and this many standard errors of its own. */
const OWN_SLOPE = 0.4;
const OWN_SIGNIFICANCE = 2;
/** One that grows alone is judged by itself. */
const FEWEST_GROWING = 2;
/** A rise too slow to come back within the blocks of one width shows at so many wider ones. */
const WIDER = 3;

/** Tells lifetimes what they show together with their like, where something of theirs has grown. */
export function judgeReplicas(running: readonly Lifetime[], policy: Policy): void {
  for (const alike of groups(running)) {
    if (alike.length < FEWEST_GROWING) continue;
    for (const [index, growth] of findTogether(alike, policy)) {
      const growing = alike.flatMap((one) => {
        const shared = sharedBy(one, index, growth);
        return shared === undefined ? [] : [{ one, shared }];
      });
      if (growing.length >= FEWEST_GROWING) for (const { one, shared } of growing) one.share(index, shared);
    }
  }
}

/** Of one version, and told by the same signals: nothing else has a mean. */
function groups(running: readonly Lifetime[]): Iterable<readonly Lifetime[]> {
  const alike = new Map<string, Lifetime[]>();
  for (const one of running) {
    const key = `${String(one.signal)} ${String(one.tellsHeap)} ${one.identity.version}`;
    const list = alike.get(key);
    if (list === undefined) alike.set(key, [one]);
    else list.push(one);
  }
  return alike.values();
}

/** By resolution. From the widest down, for what is older than the blocks of one width is told by the next wider one. */
function findTogether(alike: readonly Lifetime[], policy: Policy): Map<number, Growth> {
  const worthIt = alike.reduce((bits, { stirred }) => bits | stirred, 0);
  const found = new Map<number, Growth>();
  const sideBySide = worthIt === 0 ? [] : ofAge(alike);
  if (sideBySide.length < 2) return found;
  const finest = 31 - Math.clz32(worthIt & -worthIt);
  const around = surroundingsOf(sideBySide);
  // The first morning lifts them all, and a mean does not lessen what they share.
  const now = Math.max(...sideBySide.map(({ lastTime }) => lastTime));
  if (now - around.knownSince < policy.dayMs) return found;
  const excursions: number[] = [];
  let wider: Resolution | undefined;
  for (let index = policy.levelMs.length - 1; index >= finest; index -= 1) {
    const mean = new MeanOfReplicas(sideBySide, index, wider);
    if ((worthIt & (1 << index)) !== 0) {
      const usualRise = Math.max(
        ...excursions.slice(index + 1, index + 1 + WIDER),
        ...policy.levelMs
          .slice(index, index + 1 + WIDER)
          .map((_, above) => meanOf(sideBySide, ({ past }) => past.excursion[index + above] ?? 0)),
      );
      const heldBefore = meanOf(sideBySide, ({ past }) => past.held[index] ?? Number.NEGATIVE_INFINITY);
      const growth = passes(mean, { ...around, usualRise, heldBefore }, policy);
      if (growth !== undefined) found.set(index, growth);
    }
    wider = mean.whole();
    excursions[index] = wider.excursion();
  }
  return found;
}

function ofAge(alike: readonly Lifetime[]): readonly Lifetime[] {
  const now = Math.max(...alike.map(({ lastTime }) => lastTime));
  const since = alike.map(({ firstTime }) => firstTime).sort((a, b) => a - b)[1] ?? now;
  return alike.filter(({ firstTime }) => now - firstTime >= LEAST_AGE * (now - since));
}

/** The growth of the mean, if some window of it passes as often in a row as that of a lifetime must. */
function passes(mean: MeanOfReplicas, around: Surroundings, policy: Policy): Growth | undefined {
  const apart = Math.ceil((PASS_BLOCKS * policy.baseBlockMs) / mean.level.widthMs);
  let windows: readonly number[] = WINDOWS;
  let passing: Growth[] = [];
  for (let pass = HITS - 1; pass >= 0 && windows.length > 0; pass -= 1) {
    const level = mean.allBut(pass * apart);
    const judgements = windows.map((count) => judgeWindow(level, count, around, policy));
    passing = judgements.filter((one): one is Growth => typeof one === 'object' && one.reason === 'passes');
    windows = passing.map(({ from, to }) => to - from);
  }
  return longest(passing);
}

/** One for all. */
const reading = newReading();

/** The blocks all replicas keep of one width, in order of time. */
class MeanOfReplicas {
  readonly level: Resolution;
  readonly #levels: readonly Resolution[];
  readonly #times: readonly number[];
  /** Where in its columns each replica has the next block. */
  readonly #places: number[];
  #added = 0;

  constructor(replicas: readonly Lifetime[], index: number, wider: Resolution | undefined) {
    this.#levels = replicas.map(({ resolutions }) => resolutions[index] as Resolution);
    this.#times = commonTimes(this.#levels);
    this.#places = this.#levels.map(() => 0);
    this.level = new Resolution((this.#levels[0] as Resolution).widthMs);
    this.level.firstTime = Math.max(...this.#levels.map(({ firstTime }) => firstTime));
    this.level.firstFloor = meanOf(this.#levels, ({ firstFloor }) => firstFloor);
    const begin = this.#times[0] ?? Number.NaN;
    const before = wider?.time.findLastIndex((time) => time + wider.widthMs / 2 <= begin) ?? -1;
    if (wider !== undefined && before >= 0) this.level.inherit(wider, before);
  }

  whole(): Resolution {
    return this.allBut(0);
  }

  /** As it was that many blocks ago; called with ever fewer. */
  allBut(last: number): Resolution {
    for (; this.#added < this.#times.length - last; this.#added += 1) this.#add(this.#times[this.#added] as number);
    return this.level;
  }

  #add(time: number): void {
    for (const [replica, { time: times }] of this.#levels.entries()) {
      let place = this.#places[replica] as number;
      while ((times[place] as number) < time) place += 1;
      this.#places[replica] = place;
    }
    const load = this.#mean('load');
    reading.time = time;
    reading.memory = this.#mean('floor');
    reading.heapUsed = this.#mean('heapUsed');
    reading.heapLive = this.#mean('heapLive');
    reading.heapHigh = this.#mean('heapHigh');
    reading.loadSum = Number.isNaN(load) ? 0 : load;
    reading.loadCount = Number.isNaN(load) ? 0 : 1;
    this.level.add(reading);
    this.level.advance(time + this.level.widthMs);
  }

  #mean(column: 'floor' | 'heapUsed' | 'heapLive' | 'heapHigh' | 'load'): number {
    return meanOf(this.#levels, (level, replica) => level[column][this.#places[replica] as number] as number);
  }
}

function commonTimes([lead, ...others]: readonly Resolution[]): readonly number[] {
  const places = others.map(() => 0);
  const isCommon = (time: number) =>
    others.every(({ time: times }, position) => {
      let place = places[position] as number;
      while ((times[place] as number) < time) place += 1;
      places[position] = place;
      return times[place] === time;
    });
  return (lead?.time ?? []).filter(isCommon).slice(-KEPT);
}

/** The mean of what is known of all; where they differ, what asks for more patience. */
function surroundingsOf(replicas: readonly Lifetime[]): Surroundings {
  const all = replicas.map((one) => one.surroundings());
  const meanLimit = (limit: (one: Surroundings) => number) => (all.every((one) => limit(one) > 0) ? meanOf(all, limit) : 0);
  return {
    startedAt: Math.max(...all.map(({ startedAt }) => startedAt)),
    knownSince: Math.max(...all.map(({ knownSince }) => knownSince)),
    heldBefore: Number.NEGATIVE_INFINITY,
    usualRise: 0,
    settledMs: Math.min(...all.map(({ settledMs }) => settledMs)),
    recurringGrowth: Math.min(...all.map(({ recurringGrowth }) => recurringGrowth)),
    teeth: all.some(({ teeth }) => teeth),
    limitBytes: meanLimit(({ limitBytes }) => limitBytes),
    heapLimitBytes: meanLimit(({ heapLimitBytes }) => heapLimitBytes),
    besideBytes: meanOf(all, ({ besideBytes }) => besideBytes),
    replicas: replicas.length,
  };
}

/** The growth as it shows in one replica; undefined where that one does not grow. */
function sharedBy(replica: Lifetime, index: number, growth: Growth): Growth | undefined {
  const { time, floor } = replica.resolutions[index] as Resolution;
  const to = time.length;
  const from = time.findIndex((one) => one >= growth.fromTime);
  if (from < 0 || to - from < FEWEST || to - from > KEPT || time[to - 1] !== growth.toTime) return undefined;
  const { slope, standardError, effectiveSize, noise, first, last } = theilSen(time, floor, from, to);
  if (!(slope > OWN_SLOPE * growth.slope && slope > OWN_SIGNIFICANCE * standardError)) return undefined;
  const significance = standardError > 0 ? slope / standardError : growth.significance;
  return { ...growth, from, to, slope, standardError, significance, effectiveSize, noise, firstBytes: first, lastBytes: last };
}
