/** Everything known of one service in one environment: its running lifetimes and what the ended ones taught. */
import type { Series, SeriesIdentity } from '../../shared/series.ts';
import type { Judgement } from '../../shared/judgement.ts';
import { serviceKey } from './incidents.ts';
import { compareVersions, type Aged } from './canary.ts';
import type { Lesson, Past } from './lesson.ts';
import { Lifetime } from './lifetime.ts';
import type { Policy } from './policy.ts';
import { judgeReplicas } from './replicas.ts';
import { recurringFrom } from './recurrence.ts';
import { firstAfter, speaksUntil } from './series-time.ts';
import { takenBack } from './taken-back.ts';
import { judgeLifetime } from './verdict.ts';
import { poolJudgements } from './pool.ts';

/** Ended lifetimes remembered per service. */
const REMEMBERED = 64;

interface EndedLifetime extends Lesson, Aged {
  readonly replica: string;
  readonly version: string;
}

/** `web-3-2` is the second life of `web-3`: a trailing number is the life, by habit of history files. Pods keep their whole name. */
export function replicaOf(instance: string): string {
  return /^(.*\d)-\d+$/.exec(instance)?.[1] ?? instance;
}

export class ServiceHistory {
  readonly service: string;
  readonly environment: string;
  /** Names service and environment. */
  readonly key: string;
  readonly lifetimes = new Map<string, Lifetime>();
  readonly #policy: Policy;
  readonly #ended: EndedLifetime[] = [];
  /** Lifetimes that fell silent, and what they teach until they speak again. */
  readonly #quiet = new Map<Lifetime, EndedLifetime>();
  /** Last block of lifetimes that are over. */
  readonly #retired = new Map<string, number>();
  lastTime = Number.NEGATIVE_INFINITY;
  /** When anything of it was seen first. */
  #since = Number.POSITIVE_INFINITY;

  constructor(service: string, environment: string, policy: Policy) {
    this.service = service;
    this.environment = environment;
    this.key = serviceKey(service, environment);
    this.#policy = policy;
  }

  #lifetimeOf(identity: SeriesIdentity): Lifetime {
    const existing = this.lifetimes.get(identity.lifetime);
    if (existing !== undefined) return existing;
    this.#retirePredecessors(identity);
    const lifetime = new Lifetime(identity, this.#policy);
    lifetime.past = this.#pastOf(lifetime);
    this.lifetimes.set(identity.lifetime, lifetime);
    return lifetime;
  }

  /**
   * Adds the blocks that begin before a moment. Running lifetimes first, then new ones in the order they started: a new one tells
   * that its predecessor is over, and must not tell so while blocks of that one still wait beside it.
   */
  addAll(series: readonly Series[], until: number): void {
    const begun: Series[] = [];
    for (const one of series) {
      if (one.time.length === 0 || (one.time[0] as number) >= until) continue;
      if (this.lifetimes.has(one.lifetime)) this.#add(one, until);
      else begun.push(one);
    }
    if (begun.length > 1) begun.sort((a, b) => a.startedAt - b.startedAt || (a.lifetime < b.lifetime ? -1 : 1));
    for (const one of begun) this.#add(one, until);
  }

  #add(series: Series, until: number): void {
    // Late blocks of a lifetime that was already taken for over do not revive it.
    const retired = this.#retired.get(series.lifetime);
    if (retired !== undefined && !((series.time[firstAfter(series.time, retired)] as number) < until)) return;
    this.#since = Math.min(this.#since, series.time[0] ?? Number.POSITIVE_INFINITY);
    const lifetime = this.#lifetimeOf(series);
    lifetime.addSeries(series, until);
    this.lastTime = Math.max(this.lastTime, lifetime.lastTime);
  }

  /** How long, by these series, nothing happens but that blocks come in: no lifetime begins, ends, falls silent or speaks again. */
  calmUntil(series: readonly Series[]): number {
    let until = Number.POSITIVE_INFINITY;
    const told = new Set<Lifetime>();
    for (const one of series) {
      const lifetime = this.lifetimes.get(one.lifetime);
      if (lifetime !== undefined) until = Math.min(until, one.endedAt ?? Number.POSITIVE_INFINITY);
      if (lifetime === undefined || this.#quiet.has(lifetime)) {
        const after = lifetime?.lastTime ?? this.#retired.get(one.lifetime) ?? Number.NEGATIVE_INFINITY;
        until = Math.min(until, one.time[firstAfter(one.time, after)] ?? Number.POSITIVE_INFINITY);
      } else {
        told.add(lifetime);
        until = speaksUntil(one, lifetime.lastTime, this.#policy.baseBlockMs, this.#policy.quietMs, until);
      }
    }
    for (const lifetime of this.lifetimes.values()) {
      if (!told.has(lifetime))
        until = Math.min(until, lifetime.lastTime + this.#policy[this.#quiet.has(lifetime) ? 'silenceMs' : 'quietMs']);
    }
    return until;
  }

  /** Closes blocks, learns from lifetimes that ended, judges what is new. `through` as in Lifetime. Returns whether anything changed. */
  advance(at: number, through = at): boolean {
    let changed = false;
    let learned = false;
    for (const lifetime of this.lifetimes.values()) {
      changed = lifetime.advance(at, through) || changed;
      if (lifetime.isQuiet(at, this.#policy.quietMs) !== this.#quiet.has(lifetime)) {
        learned = true;
        if (!this.#quiet.delete(lifetime)) this.#quiet.set(lifetime, lessonOf(lifetime));
      }
      if (lifetime.endedAt !== undefined || lifetime.isQuiet(at, this.#policy.silenceMs)) this.#retire(lifetime);
    }
    if (learned) {
      for (const lifetime of this.lifetimes.values()) if (!this.#quiet.has(lifetime)) lifetime.past = this.#pastOf(lifetime);
    }
    if (this.#isStirred()) judgeReplicas(this.#running(), this.#policy);
    return changed || learned;
  }

  #isStirred(): boolean {
    if (this.lifetimes.size > 1) for (const { stirred } of this.lifetimes.values()) if (stirred !== 0) return true;
    return false;
  }

  /** Those that say something of now. */
  #running(): Lifetime[] {
    return [...this.lifetimes.values()].filter((lifetime) => lifetime.samples > 0 && !this.#quiet.has(lifetime));
  }

  judge(at: number): { pooled: Judgement[]; instances: Judgement[] } {
    const instances = this.#running().map((lifetime) => judgeLifetime(lifetime, at, this.#policy));
    const versions = new Map<string, Judgement[]>();
    for (const judgement of instances) {
      const list = versions.get(judgement.version) ?? [];
      list.push(judgement);
      versions.set(judgement.version, list);
    }
    return { instances, pooled: [...versions.values()].map((judgements) => this.#compared(poolJudgements(judgements))) };
  }

  /** Against the last version before it, at the age of the instance that leads. */
  #compared(pooled: Judgement): Judgement {
    const lead = [...this.lifetimes.values()].find(
      ({ identity }) => identity.version === pooled.version && identity.instance === pooled.instances[0],
    );
    if (lead === undefined) return pooled;
    const others = [...this.#ended, ...[...this.lifetimes.values()].map(agedOf)].sort((a, b) => a.startedAt - b.startedAt);
    return compareVersions(pooled, agedOf(lead), others);
  }

  hasLeak(): boolean {
    for (const lifetime of this.lifetimes.values()) if (lifetime.leak !== undefined && !this.#quiet.has(lifetime)) return true;
    return false;
  }

  /** A new lifetime of the same replica means that the one before is over. */
  #retirePredecessors(identity: SeriesIdentity): void {
    const replica = replicaOf(identity.instance);
    for (const lifetime of this.lifetimes.values()) {
      if (replicaOf(lifetime.identity.instance) !== replica || lifetime.lastTime > identity.startedAt) continue;
      this.#retire(lifetime);
    }
  }

  #retire(lifetime: Lifetime): void {
    this.lifetimes.delete(lifetime.identity.lifetime);
    this.#retired.set(lifetime.identity.lifetime, lifetime.lastTime);
    if (this.#retired.size > 4 * REMEMBERED) this.#retired.delete(this.#retired.keys().next().value ?? '');
    this.#ended.push(this.#quiet.get(lifetime) ?? lessonOf(lifetime));
    this.#quiet.delete(lifetime);
    if (this.#ended.length > REMEMBERED) this.#ended.shift();
  }

  /** Own replica first; the service's other lifetimes where it has none. Lifetimes that began later teach nothing of this one's past. */
  #pastOf(lifetime: Lifetime): Past {
    const replica = replicaOf(lifetime.identity.instance);
    const ended = [...this.#ended];
    for (const [quiet, lesson] of this.#quiet) if (quiet !== lifetime && quiet.firstTime < lifetime.identity.startedAt) ended.push(lesson);
    const own = ended.filter((one) => one.replica === replica);
    const alike = own.length > 0 ? own : ended;
    const teachers = alike.slice(-8);
    // Lifetimes that grew alike, each until it was restarted, say that this one will; the level they reached is no level held.
    const since = recurringFrom(teachers);
    const settled = teachers.slice(0, since).filter(({ settledMs }) => settledMs > 0);
    const width = this.#policy.levelMs;
    return {
      held: width.map((_, index) =>
        Math.max(Number.NEGATIVE_INFINITY, ...settled.map(({ held }) => held[index] ?? Number.NEGATIVE_INFINITY)),
      ),
      excursion: width.map((_, index) => Math.max(0, ...teachers.map(({ excursion }) => excursion[index] ?? 0))),
      settledMs: settled.reduce((sum, { settledMs }) => sum + settledMs, 0),
      since: this.#since,
      recurringGrowth: teachers
        .slice(since)
        .reduce((sum, { middleGrowth, lateGrowth, recurringGrowth }) => sum + Math.max(recurringGrowth, middleGrowth + lateGrowth), 0),
      takenBack: takenBack(alike, this.#policy.dayMs),
    };
  }
}

function lessonOf(lifetime: Lifetime): EndedLifetime {
  return { ...lifetime.lesson(), ...agedOf(lifetime), replica: replicaOf(lifetime.identity.instance) };
}

function agedOf({ identity, profile, firstTime }: Lifetime): Aged {
  return { version: identity.version, startedAt: Math.min(identity.startedAt, firstTime), profile };
}
