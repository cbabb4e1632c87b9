/**
 * How many services and processes one sender may name within an hour. Whoever puts an id into a service name makes a new series
 * of every request; without a limit the store, the roll-ups and the detector would pay for it for as long as history is kept.
 */
import type { Admit } from './wire.ts';

export interface SeriesLimits {
  readonly services: number;
  /** Process lifetimes. */
  readonly series: number;
}

/** What a sender named within its hour, as hashes: two that collide count as one, which errs on the sender's side. */
interface Named {
  readonly hour: number;
  readonly services: Set<number>;
  readonly series: Set<number>;
}

const HOUR_MS = 3_600_000;
/** About 100 MB. Beyond it the sender silent for longest is forgotten and may name as many again. */
const MAX_REMEMBERED = 4_000_000;

/** FNV-1a in 31 bits, which an engine keeps without a box. */
function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index++) hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  return hash >>> 1;
}

export class SeriesLimit {
  readonly #limits: SeriesLimits;
  /** In the order their hours began. */
  readonly #senders = new Map<string, Named>();
  #remembered = 0;

  constructor(limits: SeriesLimits) {
    this.#limits = limits;
  }

  /** `at`: arrival, milliseconds UTC. */
  admitting(sender: string, at: number): Admit {
    const named = this.#named(sender, Math.floor(at / HOUR_MS));
    return (service, instance, lifetime) => {
      const serviceHash = hashOf(service);
      const seriesHash = hashOf(`${lifetime}${service}\0${instance}`);
      if (named.series.has(seriesHash) && named.services.has(serviceHash)) return undefined;
      if (!named.services.has(serviceHash) && named.services.size >= this.#limits.services) return 'too_many_services';
      if (named.series.size >= this.#limits.series) return 'too_many_series';
      const before = named.services.size + named.series.size;
      named.services.add(serviceHash);
      named.series.add(seriesHash);
      this.#remembered += named.services.size + named.series.size - before;
      return undefined;
    };
  }

  #named(sender: string, hour: number): Named {
    const known = this.#senders.get(sender);
    if (known?.hour === hour) return known;
    this.#forget(sender);
    for (const oldest of this.#senders.keys()) {
      if (this.#remembered <= MAX_REMEMBERED) break;
      this.#forget(oldest);
    }
    const named = { hour, services: new Set<number>(), series: new Set<number>() };
    this.#senders.set(sender, named);
    this.#remembered++;
    return named;
  }

  #forget(sender: string): void {
    const named = this.#senders.get(sender);
    if (named === undefined) return;
    this.#senders.delete(sender);
    this.#remembered -= 1 + named.services.size + named.series.size;
  }
}
