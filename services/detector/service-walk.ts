/** One service's history walked forward row by row, on its own clock, as a detector would have walked it live. */
import { applyEvent, type Incident, type IncidentEvent } from '../../shared/incident.ts';
import type { Judgement } from '../../shared/judgement.ts';
import { RUNTIMES } from '../../shared/sample.ts';
import type { SeriesIdentity } from '../../shared/series.ts';
import { BlockSeries } from './block-series.ts';
import { GridWalk } from './grid-walk.ts';
import type { HistoryRow } from './history-row.ts';
import { ACTIVE_STATES } from './incidents.ts';
import type { Policy } from './policy.ts';
import type { ServiceHistory } from './service.ts';

/** A row that comes after it was due: what was judged without it may be wrong. */
export class Unsorted extends Error {}

/** One service on its own clock, so that files sorted by time and files sorted by service both stream. */
export class ServiceWalk {
  readonly opened: Judgement[] = [];
  readonly resolvedAt: number[] = [];
  readonly #walk: GridWalk;
  readonly #policy: Policy;
  readonly #stepMs: number;
  readonly #blocks = new Map<string, BlockSeries>();
  readonly #incidents = new Map<string, Incident>();
  #newest = Number.NEGATIVE_INFINITY;
  #next = Number.NaN;

  constructor(service: string, environment: string, policy: Policy, stepMs: number) {
    this.#walk = new GridWalk(service, environment, policy, stepMs);
    this.#policy = policy;
    this.#stepMs = stepMs;
  }

  get history(): ServiceHistory {
    return this.#walk.history;
  }

  add(row: HistoryRow): void {
    const { time } = row;
    if (Number.isNaN(this.#next)) this.#next = (Math.floor(time / this.#stepMs) + 1) * this.#stepMs;
    while (this.#next <= time) {
      this.#step();
      this.#skipSilence(time);
    }
    let blocks = this.#blocks.get(row.instance);
    if (time < this.#next - this.#stepMs || (blocks !== undefined && time < blocks.lastTime)) throw new Unsorted();
    this.#newest = Math.max(this.#newest, time);
    if (blocks === undefined) {
      blocks = new BlockSeries(identityOf(row), this.#policy.baseBlockMs);
      this.#blocks.set(row.instance, blocks);
    }
    blocks.add(row);
  }

  end(): Judgement[] {
    if (Number.isNaN(this.#next)) return [];
    while (this.#next <= this.#newest + this.#stepMs) this.#step();
    return this.#walk.history.judge(this.#next - this.#stepMs).pooled;
  }

  /** Nothing runs and nothing is open: no step before the next row can say anything. */
  #skipSilence(until: number): void {
    if (this.history.lifetimes.size > 0 || this.#blocks.size > 0) return;
    if ([...this.#incidents.values()].some(({ state }) => ACTIVE_STATES.has(state))) return;
    this.#next += Math.max(0, Math.ceil((until - this.#next) / this.#stepMs) - 1) * this.#stepMs;
  }

  #step(): void {
    const at = this.#next;
    this.#next += this.#stepMs;
    const series = [...this.#blocks.values()].map((blocks) => blocks.series);
    const event = this.#walk.step(at, series, [...this.#incidents.values()]);
    if (event !== undefined) this.#apply(event);
    for (const [lifetime, blocks] of this.#blocks) {
      blocks.dropBefore(at);
      if (at - blocks.lastTime > this.#policy.quietMs) this.#blocks.delete(lifetime);
    }
  }

  #apply(event: IncidentEvent): void {
    const next = applyEvent(this.#incidents.get(event.incident), event);
    if (next !== undefined) this.#incidents.set(event.incident, next);
    if (event.type === 'opened') this.opened.push(event.judgement);
    if (event.type === 'resolved') this.resolvedAt.push(event.at);
  }
}

function identityOf(row: HistoryRow): SeriesIdentity {
  return {
    service: row.service,
    environment: row.environment,
    version: row.version,
    instance: row.instance,
    lifetime: row.instance,
    runtime: RUNTIMES.find((runtime) => runtime === row.runtime) ?? 'native',
    startedAt: row.time,
  };
}
