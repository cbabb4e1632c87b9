/**
 * The loop body: reads what is new, walks every service over the grid of moments that have passed, appends what is to be said.
 * When it is called makes no difference to what it finds: only the grid does. What it knows can be rebuilt from the store at any time.
 */
import { applyEvent, foldEvents, type Incident, type IncidentEvent } from '../../shared/incident.ts';
import type { Judgement } from '../../shared/judgement.ts';
import type { Series } from '../../shared/series.ts';
import { leastConfidence, type Fleet } from './fleet-budget.ts';
import { GridWalk } from './grid-walk.ts';
import { sayHeldBack } from './held-back.ts';
import { ACTIVE_STATES, serviceKey } from './incidents.ts';
import type { Policy } from './policy.ts';

export interface SeriesQuery {
  /** Block starts in [from, to), ms UTC. */
  readonly from: number;
  readonly to: number;
  readonly blockMs: number;
}

/** What the detector needs from the store. */
export interface DetectorPorts {
  /** In batches of a bounded size, each good until the next is asked for; all lifetimes of a service are in one. */
  readonly readSeries: (query: SeriesQuery) => AsyncIterable<readonly Series[]>;
  readonly readIncidentEvents: () => Promise<IncidentEvent[]>;
  readonly appendIncidentEvents: (events: readonly IncidentEvent[]) => Promise<void>;
  readonly saveJudgements: (judgements: readonly Judgement[]) => Promise<void>;
  /** The last moment of the grid that a detector has judged; undefined if none ever has. */
  readonly readJudgedThrough: () => Promise<number | undefined>;
  readonly saveJudgedThrough: (at: number) => Promise<void>;
}

export interface DetectorOptions {
  readonly policy: Policy;
  readonly ports: DetectorPorts;
}

export interface Evaluation {
  /** The moment of the grid it is true for. */
  readonly at: number;
  /** Latest pooled judgement of every service and version. */
  readonly pooled: readonly Judgement[];
  readonly instances: readonly Judgement[];
  /** Incident events appended by this evaluation. */
  readonly events: readonly IncidentEvent[];
}

export interface Detector {
  evaluate(at: number): Promise<Evaluation>;
}

/** Distance of the moments at which services are judged, in base blocks. */
const STEP_BLOCKS = 5;
/** Base blocks that are read one by one when starting; older history is read in hours. */
const FINE_BLOCKS = 48 * 60;
const COARSE_BLOCKS = 60;
/** Reading slices, in blocks, so that little is held at once. */
const SLICE_BLOCKS = 6 * 60;
/** Blocks looked back for stragglers at every step, and at every so many steps further. */
const LOOK_BACK = 15;
const LOOK_BACK_FAR = 6 * 60;
const FAR_STEPS = 10;
/** Judgements of a service that did not change are saved again after this many blocks, so that their figures stay fresh. */
const FRESH_BLOCKS = 10;

export function createDetector(options: DetectorOptions): Detector {
  const room = new DetectorRoom(options);
  return { evaluate: (at) => room.evaluate(at) };
}

/** A stretch of history of some services as it was read. */
interface Slice {
  readonly from: number;
  readonly to: number;
  readonly walks: ReadonlyMap<GridWalk, readonly Series[]>;
}

class DetectorRoom implements Detector {
  readonly #policy: Policy;
  readonly #ports: DetectorPorts;
  readonly #stepMs: number;
  readonly #walks = new Map<string, GridWalk>();
  /** What was last saved of each service. */
  readonly #saved = new Map<string, readonly Judgement[]>();
  /** Incidents of each service, as of this evaluation. */
  #incidents = new Map<string, Map<string, Incident>>();
  /** Events the store has not taken yet. */
  #unsaid: IncidentEvent[] = [];
  #judgedThrough: number | undefined;
  #latest: Evaluation | undefined;

  constructor({ policy, ports }: DetectorOptions) {
    this.#policy = policy;
    this.#ports = ports;
    this.#stepMs = STEP_BLOCKS * policy.baseBlockMs;
  }

  async evaluate(at: number): Promise<Evaluation> {
    const to = Math.floor((at - this.#policy.latenessMs) / this.#stepMs) * this.#stepMs;
    if (this.#latest !== undefined && to <= this.#latest.at) return { ...this.#latest, events: [] };
    // Before the events: whatever was found up to there is among them then, also while another detector still hands over.
    const last = this.#judgedThrough === undefined ? await this.#ports.readJudgedThrough() : undefined;
    this.#fold(await this.#ports.readIncidentEvents());
    const fleet = await this.#walkTo(to, this.#judgedThrough ?? (await this.#start(to, last)));
    const events = this.#unsaid;
    if (events.length > 0) await this.#ports.appendIncidentEvents(events);
    this.#unsaid = [];
    this.#latest = { at: to, ...(await this.#judge(to, fleet)), events };
    await this.#ports.saveJudgedThrough(to);
    this.#forget(to);
    return this.#latest;
  }

  #fold(events: readonly IncidentEvent[]): void {
    this.#incidents = new Map();
    for (const incident of foldEvents([...events, ...this.#unsaid]).values()) this.#remember(incident);
  }

  #remember(incident: Incident): void {
    const key = serviceKey(incident.service, incident.environment);
    const known = this.#incidents.get(key);
    if (known === undefined) this.#incidents.set(key, new Map([[incident.id, incident]]));
    else known.set(incident.id, incident);
  }

  #incidentsOf(key: string): Incident[] {
    return [...(this.#incidents.get(key)?.values() ?? [])];
  }

  #walkOf(service: string, environment: string): GridWalk {
    const key = serviceKey(service, environment);
    const known = this.#walks.get(key);
    if (known !== undefined) return known;
    const walk = new GridWalk(service, environment, this.#policy, this.#stepMs);
    this.#walks.set(key, walk);
    return walk;
  }

  /** Rebuilds what a detector that had run all the time would know. Returns the moment up to which it is as judged. */
  async #start(to: number, last: number | undefined): Promise<number> {
    const base = this.#policy.baseBlockMs;
    const hour = COARSE_BLOCKS * base;
    const horizon = Math.floor((to - this.#policy.horizonMs) / hour) * hour;
    // What nobody judged while no detector ran is judged now; on the very first start only the present is.
    const through = last === undefined || last < horizon ? to - this.#stepMs : Math.min(last, to);
    // Whoever takes over from here on begins at the same moment, so that it comes to the same findings under the same names.
    if (through !== last) await this.#ports.saveJudgedThrough(through);
    const fineFrom = Math.floor((through - FINE_BLOCKS * base) / hour) * hour;
    this.#walks.clear();
    for await (const slice of this.#slices(horizon, fineFrom, hour)) this.#replay(slice, hour, through);
    for await (const slice of this.#slices(fineFrom, through, base)) this.#replay(slice, this.#stepMs, through);
    return (this.#judgedThrough = through);
  }

  #replay({ from, to, walks }: Slice, strideMs: number, through: number): void {
    for (const [walk, series] of walks) walk.replayAll({ from, to, strideMs }, series, this.#incidentsOf(walk.history.key), through);
  }

  /** Returns the fleet as it was measured by. */
  async #walkTo(to: number, from: number): Promise<Fleet> {
    // Whoever has an incident is walked on, also when it sends nothing any more.
    for (const incidents of this.#incidents.values()) {
      for (const { service, environment, state } of incidents.values()) if (ACTIVE_STATES.has(state)) this.#walkOf(service, environment);
    }
    const fleet = { services: this.#walks.size, discoveries: this.#discoveriesSince(to - this.#policy.horizonMs / 4) };
    const least = leastConfidence(fleet, this.#policy);
    const told = new Set(this.#unsaid.map(({ incident }) => incident));
    const isFar = Math.round(to / this.#stepMs) % FAR_STEPS === 0;
    const lookBackMs = (isFar ? LOOK_BACK_FAR : LOOK_BACK) * this.#policy.baseBlockMs;
    for await (const slice of this.#slices(from, to, this.#policy.baseBlockMs, lookBackMs)) {
      for (const [walk, series] of slice.walks) {
        for (let at = slice.from + this.#stepMs; at <= slice.to; at += this.#stepMs) this.#step(walk, at, series, at === to, told, least);
      }
    }
    this.#judgedThrough = to;
    return fleet;
  }

  #discoveriesSince(from: number): number {
    const incidents = [...this.#incidents.values()].flatMap((ofService) => [...ofService.values()]);
    return incidents.filter(({ openedAt, state }) => openedAt >= from && state !== 'dismissed').length;
  }

  /** One evaluation says at most one thing of an incident, however much time it has to make up for. */
  #step(walk: GridWalk, at: number, series: readonly Series[], isLast: boolean, told: Set<string>, least: number): void {
    const incidents = this.#incidentsOf(walk.history.key);
    if (incidents.some(({ id }) => told.has(id))) {
      walk.replay(at, series, incidents);
      return;
    }
    const event = walk.step(at, series, incidents, least);
    if (event === undefined || (event.type === 'updated' && !isLast)) return;
    told.add(event.incident);
    this.#unsaid.push(event);
    const incident = applyEvent(
      incidents.find(({ id }) => id === event.incident),
      event,
    );
    if (incident !== undefined) this.#remember(incident);
  }

  /**
   * What began in [from, to), in slices of time and within these of services; before the first, what may have come late. Every
   * service that sends something has a walk, and every walk has its part of each slice of time, if an empty one.
   */
  async *#slices(from: number, to: number, blockMs: number, lookBackMs = 0): AsyncGenerator<Slice> {
    for (let begin = from; begin < to; begin += SLICE_BLOCKS * blockMs) {
      const until = Math.min(begin + SLICE_BLOCKS * blockMs, to);
      const silent = new Map<GridWalk, readonly Series[]>([...this.#walks.values()].map((walk) => [walk, []]));
      for await (const batch of this.#ports.readSeries({ from: begin === from ? begin - lookBackMs : begin, to: until, blockMs })) {
        const walks = new Map<GridWalk, Series[]>();
        for (const one of batch) {
          const walk = this.#walkOf(one.service, one.environment);
          silent.delete(walk);
          const list = walks.get(walk);
          if (list === undefined) walks.set(walk, [one]);
          else list.push(one);
        }
        yield { from: begin, to: until, walks };
      }
      yield { from: begin, to: until, walks: silent };
    }
  }

  async #judge(at: number, fleet: Fleet): Promise<Pick<Evaluation, 'pooled' | 'instances'>> {
    const all: { pooled: Judgement[]; instances: Judgement[] } = { pooled: [], instances: [] };
    const changed: Judgement[] = [];
    for (const [key, walk] of this.#walks) {
      const { pooled: judged, instances } = walk.history.judge(at);
      const pooled = sayHeldBack(judged, this.#incidentsOf(key), fleet, this.#policy);
      all.pooled.push(...pooled);
      all.instances.push(...instances);
      // The judgements of a service are saved together: readers take those of one moment for the whole.
      const both = [...pooled, ...instances];
      if (this.#isNews(both, this.#saved.get(key))) {
        this.#saved.set(key, both);
        changed.push(...both);
      }
    }
    if (changed.length > 0) await this.#ports.saveJudgements(changed);
    return all;
  }

  #isNews(now: readonly Judgement[], before: readonly Judgement[] = []): boolean {
    const first = now[0];
    if (first === undefined) return false;
    if (now.length !== before.length || first.at - (before[0]?.at ?? 0) >= FRESH_BLOCKS * this.#policy.baseBlockMs) return true;
    return now.some(({ verdict, reason, waitingFor, instance, lifetime, version }, index) => {
      const old = before[index];
      return (
        old?.verdict !== verdict ||
        old.reason !== reason ||
        // Figures in it move with every look; whether it waits at all does not.
        (old.waitingFor === '') !== (waitingFor === '') ||
        old.instance !== instance ||
        old.lifetime !== lifetime ||
        old.version !== version
      );
    });
  }

  #forget(at: number): void {
    for (const [key, walk] of this.#walks) {
      const active = this.#incidentsOf(key).some(({ state }) => ACTIVE_STATES.has(state));
      if (active || at - walk.history.lastTime <= this.#policy.horizonMs) continue;
      this.#walks.delete(key);
      this.#saved.delete(key);
    }
  }
}
