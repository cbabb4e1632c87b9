/**
 * Which moments of the past a replay must stop at. Where lifetimes neither come nor go, and no window is judged that still counts at the
 * end, blocks may be added all at once and leave the same behind: it is a tenth of the moments that are walked then.
 */
import type { Policy } from './policy.ts';

/** A window must pass this many times in a row, a block apart. */
export const HITS = 2;

/** Of what is judged up to here in blocks of a width nothing is left at `through`: whether a window passes is told by its last `HITS` blocks. */
export function forgottenUntil(widthMs: number, through: number, policy: Policy): number {
  return through - policy.shortWatchMs - (HITS + 1) * widthMs;
}

/** A stretch of history and the distance of its moments. */
export interface Stretch {
  readonly from: number;
  readonly to: number;
  readonly strideMs: number;
}

/**
 * The moment after `at`, strides ahead, up to which nothing happens; until `calmUntil` no lifetime comes, goes or falls silent. The last
 * moment before it does is a stop too: what an earlier lifetime teaches is what was closed by then.
 */
export function nextStop(at: number, strideMs: number, calmUntil: number, through: number, policy: Policy): number {
  let strides = Math.floor((calmUntil - at) / strideMs);
  for (const width of policy.levelMs) {
    const forgotten = Math.floor((forgottenUntil(width, through, policy) - at) / strideMs);
    const closing = (Math.floor(at / width) + 1) * width;
    strides = Math.min(strides, forgotten > 0 ? forgotten : Math.ceil((closing - at) / strideMs));
  }
  return at + Math.max(1, strides) * strideMs;
}
