/**
 * A rival that an afternoon gives: a least-squares trend with four guards, one lifetime at a time, of resident memory and load alone.
 * It is the trial that this detector began from: half-hour minima after 90 minutes of warm-up, windows of 9 to 150 h, load and the hour
 * of day as covariates, looked at hourly, four hits in a row. Of the detector it has but the naming of replicas. Its thresholds are the
 * trial's; what that left open (when an earlier lifetime settled, how wide a step is seen) is not tuned.
 */
import { replicaOf } from '../../services/detector/service.ts';
import type { Case, CaseLifetime } from './corpus-case.ts';

const HOUR = 3_600_000;
const BLOCK = HOUR / 2;
const WARM_UP = 1.5 * HOUR;
const SPANS = [9, 18, 36, 72, 150].map((hours) => hours * HOUR);
const HITS = 4;
/** Share of a window's blocks that must be there. */
const COVERED = 0.9;
/** From here on the hour of day is told from the slope. */
const HARMONICS_SPAN = 48 * HOUR;
const SIGNIFICANT = 4;
const STILL_GROWS = 0.5;
const PATIENCE = 0.1;
const STEP_SHARE = 0.6;
/** Blocks either side of a step. */
const STEP_BLOCKS = 3;
/** An earlier lifetime settled that lasted so long and whose later half rose no higher above its earlier. */
const SETTLED_BLOCKS = 24;
const SETTLED_RISE = 1.02;
/** Time constants of a saturating curve, in shares of the window. */
const CONSTANTS = [0.05, 0.1, 0.18, 0.3, 0.5, 0.8, 1.3, 2];

interface Blocks {
  readonly replica: string;
  readonly limit: number;
  /** Ends of the blocks. */
  readonly time: number[];
  readonly floor: number[];
  /** Mean load; NaN = not told. */
  readonly load: number[];
}

const mean = (values: readonly number[]) => values.reduce((sum, one) => sum + one, 0) / values.length;

/** Blocks that a later sample has closed. */
function blocksOf({ instance, limit, time, rss, load }: CaseLifetime): Blocks {
  const blocks: Blocks = { replica: replicaOf(instance), limit, time: [], floor: [], load: [] };
  let from = time.findIndex((at) => at >= (time[0] as number) + WARM_UP);
  for (let index = from; index > 0 && index < time.length; index += 1) {
    const block = Math.floor((time[from] as number) / BLOCK);
    if (Math.floor((time[index] as number) / BLOCK) === block) continue;
    blocks.time.push((block + 1) * BLOCK);
    blocks.floor.push(Math.min(...rss.slice(from, index)));
    blocks.load.push(mean(load?.slice(from, index) ?? []));
    from = index;
  }
  return blocks;
}

const dot = (a: readonly number[], b: readonly number[]) => a.reduce((sum, one, index) => sum + one * (b[index] as number), 0);
const factorOf = (values: readonly number[], column: readonly number[]) => dot(values, column) / dot(column, column);
const minus = (values: readonly number[], column: readonly number[], factor: number) =>
  values.map((one, index) => one - factor * (column[index] as number));

function centred(values: readonly number[]): number[] {
  const middle = mean(values);
  return values.map((one) => one - middle);
}

/** What least squares on orthogonal columns leave. */
const cleared = (values: readonly number[], basis: readonly number[][]) =>
  basis.reduce((rest, column) => minus(rest, column, factorOf(rest, column)), centred(values));

/** Load and the hour of day as orthogonal columns. */
function covariates({ time, load }: Blocks, from: number, to: number, span: number): number[][] {
  const told = load.slice(from, to);
  const columns = told.every(Number.isFinite) ? [told] : [];
  if (span >= HARMONICS_SPAN) {
    const angles = time.slice(from, to).map((at) => (2 * Math.PI * at) / (24 * HOUR));
    columns.push(angles.map(Math.sin), angles.map(Math.cos));
  }
  const basis: number[][] = [];
  for (const column of columns.map(centred)) {
    const rest = cleared(column, basis);
    if (dot(rest, rest) > 1e-9 * dot(column, column)) basis.push(rest);
  }
  return basis;
}

/** Is the slope significant, watched for long enough, still there in the later half, no step and no bend? */
function growsAsALine(blocks: Blocks, from: number, to: number, span: number): boolean {
  const count = to - from;
  const start = blocks.time[from] as number;
  const age = blocks.time.slice(from, to).map((at) => (at - start) / span);
  const floor = blocks.floor.slice(from, to);
  const basis = covariates(blocks, from, to, span);
  const x = cleared(age, basis);
  const y = cleared(floor, basis);
  const slope = factorOf(y, x);
  const rest = minus(y, x, slope);
  const squares = dot(rest, rest);
  const correlation = Math.min(0.95, Math.max(0, dot(rest.slice(1), rest) / (squares + Number.MIN_VALUE)));
  const effective = Math.max(3, (count * (1 - correlation)) / (1 + correlation));
  const variance = (squares / (count - basis.length - 2) / dot(x, x)) * (count / effective);
  if (!(slope > SIGNIFICANT * Math.sqrt(variance))) return false;

  const growth = slope * (age[count - 1] as number);
  const end = mean(floor) + growth / 2;
  if (growth < PATIENCE * ((blocks.limit > 0 ? blocks.limit : 2 * (end - growth)) - end)) return false;

  const line = minus(rest, centred(age), -slope);
  const half = count >> 1;
  const rise = (a: number, b: number) => factorOf(line.slice(a, b), centred(age.slice(a, b)));
  const later = rise(half, count);
  if (later <= 0 || later < STILL_GROWS * rise(0, half)) return false;

  for (let at = STEP_BLOCKS; at <= count - STEP_BLOCKS; at += 1) {
    if (median(line.slice(at, at + STEP_BLOCKS)) - median(line.slice(at - STEP_BLOCKS, at)) > STEP_SHARE * growth) return false;
  }
  return CONSTANTS.every((constant) => {
    const curve = cleared(
      age.map((at) => 1 - Math.exp(-at / constant)),
      basis,
    );
    const factor = factorOf(y, curve);
    const bent = minus(y, curve, factor);
    return !(factor > 0 && effective * Math.log(squares / dot(bent, bent)) > Math.log(effective));
  });
}

const median = (values: number[]) => values.sort((a, b) => a - b)[values.length >> 1] as number;

/** Moments at which it is satisfied, per lifetime in order of time. */
export function afternoonScript({ lifetimes }: Case): number[] {
  const histories = lifetimes.map(blocksOf).map((blocks) => {
    let top = Number.NEGATIVE_INFINITY;
    const highest = blocks.floor.map((level) => (top = Math.max(top, level)));
    const settled = highest.length >= SETTLED_BLOCKS && top <= SETTLED_RISE * (highest[(highest.length >> 1) - 1] as number);
    return { blocks, highest, settledAt: settled ? top : Number.NEGATIVE_INFINITY };
  });
  return histories.flatMap(({ blocks, highest }) => {
    const { time } = blocks;
    const before = histories.filter(
      (other) => other.blocks.replica === blocks.replica && (other.blocks.time.at(-1) ?? 0) <= (time[0] ?? 0),
    );
    const settled = Math.max(...before.map(({ settledAt }) => settledAt), Number.NEGATIVE_INFINITY);
    const starts = SPANS.map(() => 0);
    let hits = 0;
    return time.filter((now, at) => {
      if (now % HOUR !== 0) return false;
      const hit = SPANS.some((span, index) => {
        let from = starts[index] as number;
        while ((time[from] as number) <= now - span) from += 1;
        starts[index] = from;
        if (at + 1 - from < (COVERED * span) / BLOCK) return false;
        const level = blocks.floor[at] as number;
        return level > settled && level > (highest[from - 1] ?? Number.NEGATIVE_INFINITY) && growsAsALine(blocks, from, at + 1, span);
      });
      hits = hit ? hits + 1 : 0;
      return hits >= HITS;
    });
  });
}
