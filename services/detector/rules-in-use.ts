/**
 * The two rules most people alert on today, for comparison on the same history: memory up 15 % within half an hour, and
 * Prometheus' `predict_linear(memory[6h], 24h) > limit` held for an hour. Both look at blocks of five minutes of one lifetime, as
 * they close; a service alarms when one of its lifetimes does, and again only after six hours of quiet.
 * Memory per lifetime: the blocks of six hours. Pure.
 */

export const RULES_IN_USE = ['plus15', 'predictLinear'] as const;
export type RuleInUse = (typeof RULES_IN_USE)[number];

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
export const RULE_BLOCK_MS = 5 * MINUTE;
export const RULE_REARM_MS = 6 * HOUR;
const WINDOW_MS = 6 * HOUR;
const LOOKAHEAD_MS = 24 * HOUR;
const HOLD_MS = HOUR;
const RISE_WINDOW_MS = 30 * MINUTE;
/** The block compared with may be missing; the next one within this counts. */
const RISE_SLACK_MS = 10 * MINUTE;
const RISE = 1.15;
/** The window and the block that is being added. */
const KEPT = WINDOW_MS / RULE_BLOCK_MS + 2;
/** Samples of a block that are kept: of finer sampling the latest. */
const MOST_SAMPLES = 1024;
/** Alarms whose time is kept; all are counted. */
const MOST_TIMES = 2000;

export interface RuleAlarms {
  count: number;
  /** When it alarmed, ms UTC, ascending. */
  readonly times: number[];
}

/** Blocks of one lifetime, oldest first, in flat columns. */
class Blocks {
  readonly time = new Float64Array(KEPT);
  /** Median of the block. */
  readonly memory = new Float64Array(KEPT);
  /** Working set in the middle of the block. */
  readonly workingSet = new Float64Array(KEPT);
  count = 0;
  limitBytes = 0;
  /** Since when the limit is predicted to be reached; NaN = it is not. */
  predictedSince = Number.NaN;
  open = Number.NaN;
  #samples: number[] = [];
  #workingSets: number[] = [];
  #seen = 0;

  addSample(memory: number, workingSet: number): void {
    const at = this.#seen % MOST_SAMPLES;
    this.#samples[at] = memory;
    this.#workingSets[at] = workingSet;
    this.#seen += 1;
  }

  /** Closes the open block; false where it is empty. */
  close(): boolean {
    const count = Math.min(this.#seen, MOST_SAMPLES);
    if (count === 0) return false;
    if (this.count === KEPT) this.#shift();
    const middle = count >> 1;
    this.time[this.count] = (this.open + 1) * RULE_BLOCK_MS;
    this.workingSet[this.count] = this.#workingSets[middle] as number;
    this.memory[this.count] = this.#samples.sort((a, b) => a - b)[middle] as number;
    this.count += 1;
    this.#samples.length = this.#workingSets.length = this.#seen = 0;
    return true;
  }

  #shift(): void {
    for (const column of [this.time, this.memory, this.workingSet]) column.copyWithin(0, 1, this.count);
    this.count -= 1;
  }

  /** First block that ends at `after` or later. */
  firstAt(after: number): number {
    let at = this.count;
    while (at > 0 && (this.time[at - 1] as number) >= after) at -= 1;
    return at;
  }
}

export class RulesInUse {
  readonly alarms: Readonly<Record<RuleInUse, RuleAlarms>> = { plus15: { count: 0, times: [] }, predictLinear: { count: 0, times: [] } };
  readonly #lifetimes = new Map<string, Blocks>();
  readonly #last: Record<RuleInUse, number> = { plus15: Number.NEGATIVE_INFINITY, predictLinear: Number.NEGATIVE_INFINITY };
  /** Number of the newest block any lifetime has begun. */
  #newest = Number.NEGATIVE_INFINITY;

  /** Samples of all lifetimes in order of time; late ones of a closed block are left out. NaN memory says nothing; limit 0 = none. */
  add(instance: string, time: number, memory: number, workingSet: number, limitBytes: number): void {
    if (!(memory > 0)) return;
    const block = Math.floor(time / RULE_BLOCK_MS);
    if (block > this.#newest) this.#closeBefore(block);
    else if (block < this.#newest) return;
    let blocks = this.#lifetimes.get(instance);
    if (blocks === undefined) {
      blocks = new Blocks();
      this.#lifetimes.set(instance, blocks);
    }
    blocks.open = block;
    blocks.limitBytes = limitBytes;
    blocks.addSample(memory, workingSet);
  }

  /** The last block counts although it is not full. */
  end(): void {
    this.#closeBefore(Number.POSITIVE_INFINITY);
  }

  #closeBefore(block: number): void {
    this.#newest = block;
    for (const [instance, blocks] of this.#lifetimes) {
      if (blocks.close()) this.#judge(blocks);
      else if (block - blocks.open > KEPT) this.#lifetimes.delete(instance);
    }
  }

  #judge(blocks: Blocks): void {
    const now = blocks.time[blocks.count - 1] as number;
    if (risesBy15(blocks)) this.#raise('plus15', now);
    if (!reachesLimit(blocks)) blocks.predictedSince = Number.NaN;
    else if (Number.isNaN(blocks.predictedSince)) blocks.predictedSince = now;
    if (now - blocks.predictedSince >= HOLD_MS) this.#raise('predictLinear', now);
  }

  #raise(rule: RuleInUse, at: number): void {
    if (at - this.#last[rule] > RULE_REARM_MS) {
      const alarms = this.alarms[rule];
      alarms.count += 1;
      if (alarms.times.length < MOST_TIMES) alarms.times.push(at);
    }
    this.#last[rule] = at;
  }
}

function risesBy15(blocks: Blocks): boolean {
  const end = blocks.count - 1;
  const start = (blocks.time[end] as number) - RISE_WINDOW_MS;
  const before = blocks.firstAt(start);
  return (
    before < end &&
    (blocks.time[before] as number) - start < RISE_SLACK_MS &&
    (blocks.workingSet[end] as number) > RISE * (blocks.workingSet[before] as number)
  );
}

/** Least squares over six hours, at least four fifths of them covered, as `predict_linear` extrapolates it. */
function reachesLimit({ time, memory, count, limitBytes }: Blocks): boolean {
  if (!(limitBytes > 0)) return false;
  const now = time[count - 1] as number;
  let from = count;
  while (from > 0 && (time[from - 1] as number) >= now - WINDOW_MS) from -= 1;
  const size = count - from;
  if (size < 5 || now - (time[from] as number) < 0.8 * WINDOW_MS) return false;
  let [st, sy, stt, sty] = [0, 0, 0, 0];
  for (let index = from; index < count; index += 1) {
    const t = (time[index] as number) - now;
    const y = memory[index] as number;
    st += t;
    sy += y;
    stt += t * t;
    sty += t * y;
  }
  const slope = (sty - (st * sy) / size) / (stt - (st * st) / size);
  return (sy - slope * st) / size + slope * LOOKAHEAD_MS > limitBytes;
}
