/** The loop body: read what is new, judge, change incidents, save. What it knows can be rebuilt from the store at any time. */
import { foldEvents, type IncidentEvent } from '../../shared/incident.ts';
import type { Judgement } from '../../shared/judgement.ts';
import type { Series } from '../../shared/series.ts';
import { reconcile, serviceKey, type LastLeak } from './incidents.ts';
import type { Policy } from './policy.ts';
import { ServiceHistory } from './service.ts';

export interface SeriesQuery {
  /** Block starts in [from, to), ms UTC. */
  readonly from: number;
  readonly to: number;
  readonly blockMs: number;
}

/** What the detector needs from the store. */
export interface DetectorPorts {
  readonly readSeries: (query: SeriesQuery) => Promise<Series[]>;
  readonly readIncidentEvents: () => Promise<IncidentEvent[]>;
  readonly appendIncidentEvents: (events: readonly IncidentEvent[]) => Promise<void>;
  readonly saveJudgements: (judgements: readonly Judgement[]) => Promise<void>;
}

export interface DetectorOptions {
  readonly policy: Policy;
  readonly ports: DetectorPorts;
}

export interface Evaluation {
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

/** Blocks of the finest resolution that are kept apart on a cold start; older history is read in hours. */
const FINE_BLOCKS = 24 * 60;
const COARSE_BLOCKS = 60;
/** Reading slices, in blocks, so that a cold start holds little at once. */
const SLICE_BLOCKS = 6 * 60;
/** Catching up judges every so many blocks. */
const STRIDE_BLOCKS = 5;
/** Blocks looked back for stragglers each time, and every tenth time. */
const LOOK_BACK = 15;
const LOOK_BACK_FAR = 6 * 60;
/** A judgement that did not change is saved again after this many blocks, so that its figures stay fresh. */
const FRESH_BLOCKS = 10;

export function createDetector({ policy, ports }: DetectorOptions): Detector {
  const histories = new Map<string, ServiceHistory>();
  const lastLeak: LastLeak = new Map();
  const saved = new Map<string, Judgement>();
  const base = policy.baseBlockMs;
  let watermark: number | undefined;
  let evaluations = 0;

  /** Walks forward in small strides even when much arrives at once, so that catching up judges as watching live does. */
  const feed = (series: readonly Series[], from: number, to: number, stride: number): void => {
    const known = series.map((one) => {
      const key = serviceKey(one.service, one.environment);
      const history = histories.get(key) ?? new ServiceHistory(one.service, one.environment, policy);
      histories.set(key, history);
      return { history, one };
    });
    for (let until = Math.min(from + stride, to); ; until = Math.min(until + stride, to)) {
      for (const { history, one } of known) history.addSeries(one, until);
      for (const history of histories.values()) history.advance(until);
      if (until >= to) return;
    }
  };

  const coldStart = async (to: number): Promise<void> => {
    const hour = COARSE_BLOCKS * base;
    const fineFrom = Math.floor((to - FINE_BLOCKS * base) / hour) * hour;
    const coarseSlice = SLICE_BLOCKS * hour;
    for (let from = Math.floor((to - policy.horizonMs) / hour) * hour; from < fineFrom; from += coarseSlice) {
      const until = Math.min(from + coarseSlice, fineFrom);
      feed(await ports.readSeries({ from, to: until, blockMs: hour }), from, until, hour);
    }
    for (let from = fineFrom; from < to; from += SLICE_BLOCKS * base) {
      const until = Math.min(from + SLICE_BLOCKS * base, to);
      feed(await ports.readSeries({ from, to: until, blockMs: base }), from, until, STRIDE_BLOCKS * base);
    }
  };

  const catchUp = async (to: number): Promise<void> => {
    if (watermark === undefined) await coldStart(to);
    else if (to > watermark) {
      const back = evaluations % 10 === 0 ? LOOK_BACK_FAR : LOOK_BACK;
      for (let from = watermark - back * base; from < to; from += SLICE_BLOCKS * base) {
        const until = Math.min(from + SLICE_BLOCKS * base, to);
        feed(
          await ports.readSeries({ from, to: until, blockMs: base }),
          Math.max(from, Math.min(watermark, until)),
          until,
          STRIDE_BLOCKS * base,
        );
      }
    }
    watermark = Math.max(watermark ?? to, to);
  };

  const worthSaving = (judgement: Judgement): boolean => {
    const key = JSON.stringify([judgement.service, judgement.environment, judgement.version, judgement.instance, judgement.lifetime]);
    const before = saved.get(key);
    if (before?.verdict === judgement.verdict && before.reason === judgement.reason && judgement.at - before.at < FRESH_BLOCKS * base)
      return false;
    saved.set(key, judgement);
    return true;
  };

  const forget = (at: number): void => {
    for (const [key, history] of histories) if (at - history.lastTime > policy.horizonMs) histories.delete(key);
    for (const [key, judgement] of saved) if (at - judgement.at > policy.horizonMs) saved.delete(key);
  };

  return {
    async evaluate(at) {
      await catchUp(Math.floor((at - policy.latenessMs) / base) * base);
      evaluations += 1;
      const judged = [...histories.values()].map((history) => history.judge(at));
      const pooled = judged.flatMap((one) => one.pooled);
      const instances = judged.flatMap((one) => one.instances);
      const incidents = foldEvents(await ports.readIncidentEvents());
      const events = reconcile(pooled, incidents.values(), lastLeak, at, policy);
      if (events.length > 0) await ports.appendIncidentEvents(events);
      const changed = [...pooled, ...instances].filter(worthSaving);
      if (changed.length > 0) await ports.saveJudgements(changed);
      forget(at);
      return { at, pooled, instances, events };
    },
  };
}
