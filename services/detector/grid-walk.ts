/**
 * One service walked forward over a fixed grid of moments: blocks in, incident events out. The detector that watches live and the
 * backtest both walk this way, and what comes out depends on the blocks and the grid alone, not on when or how often anybody looks.
 */
import type { Incident, IncidentEvent } from '../../shared/incident.ts';
import type { Series } from '../../shared/series.ts';
import { ACTIVE_STATES, reconcile, type LastLeak } from './incidents.ts';
import type { Policy } from './policy.ts';
import { nextStop, type Stretch } from './replay-stops.ts';
import { ServiceHistory } from './service.ts';

/** While an incident is active it is looked at every so many steps: only its end and its figures matter then. */
const ACTIVE_STRIDE = 6;

export class GridWalk {
  readonly history: ServiceHistory;
  readonly #policy: Policy;
  readonly #stepMs: number;
  readonly #lastLeak: LastLeak = new Map();

  constructor(service: string, environment: string, policy: Policy, stepMs: number) {
    this.history = new ServiceHistory(service, environment, policy);
    this.#policy = policy;
    this.#stepMs = stepMs;
  }

  /** What is to be said at a moment of the grid, from the blocks that begin before it. `incidents` are those of the service. */
  step(at: number, series: readonly Series[], incidents: readonly Incident[], leastConfidence = 0): IncidentEvent | undefined {
    this.#learn(at, series, at);
    const active = incidents.some(({ state }) => ACTIVE_STATES.has(state));
    if (!this.#isDue(at, active)) return undefined;
    return reconcile(this.history.judge(at).pooled, incidents, this.#lastLeak, at, this.#policy, leastConfidence)[0];
  }

  /**
   * The same for a moment that has been judged before: nothing is said again, all is remembered. Where it will be followed by others
   * up to `through`, judging is left to these, unless an incident needs to know when it last leaked.
   */
  replay(at: number, series: readonly Series[], incidents: readonly Incident[], through = at): void {
    this.#learn(at, series, incidents.some(({ state }) => ACTIVE_STATES.has(state)) ? at : through);
    const wasActive = incidents.some(({ openedAt, resolvedAt }) => openedAt < at && (resolvedAt === null || at <= resolvedAt));
    if (this.history.hasLeak() && this.#isDue(at, wasActive)) this.#lastLeak.set(this.history.key, at);
  }

  /** Replays the moments of (from, to] that make a difference. */
  replayAll({ from, to, strideMs }: Stretch, series: readonly Series[], incidents: readonly Incident[], through: number): void {
    const isWatched = incidents.some(({ state }) => ACTIVE_STATES.has(state));
    let calmUntil = Number.NEGATIVE_INFINITY;
    for (let at = from + strideMs; at <= to;) {
      this.replay(at, series, incidents, through);
      const mayJump = !isWatched && !this.history.hasLeak();
      // Until then what was found stays true, however many blocks come in.
      if (mayJump && at + strideMs > calmUntil) calmUntil = this.history.calmUntil(series);
      const next = mayJump ? nextStop(at, strideMs, calmUntil, through, this.#policy) : at + strideMs;
      at = at < to ? Math.min(next, to) : next;
    }
  }

  #learn(at: number, series: readonly Series[], through: number): void {
    this.history.addAll(series, at);
    this.history.advance(at, through);
  }

  #isDue(at: number, active: boolean): boolean {
    return active ? Math.round(at / this.#stepMs) % ACTIVE_STRIDE === 0 : this.history.hasLeak();
  }
}
