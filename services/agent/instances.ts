/**
 * Names of instances that survive a restart. Processes that share a service and a base name (workers of one pod, replicas
 * on one host) get slots: `base`, `base#1`, `base#2` … A process that ends frees its slot, its successor takes it.
 * Of several free slots the one freed last is taken (a restart, rather than an old scale-down); at equal times the lowest.
 */
import { readFileSync, renameSync, writeFileSync } from 'node:fs';

interface Slot {
  /** Lifetime that has it; '' = free. */
  owner: string;
  /** When it was freed, milliseconds UTC. */
  freedAt: number;
}

interface SavedSlots {
  readonly v: 1;
  readonly groups: Readonly<Record<string, readonly Slot[]>>;
}

/** A service whose processes come and go by the thousand must not grow the file: beyond this, groups with no owner go first. */
const MAX_GROUPS = 20_000;

export class Instances {
  readonly #groups = new Map<string, Slot[]>();
  readonly #file: string | undefined;
  #dirty = false;

  /** `file` keeps the slots over restarts of the agent; undefined = in memory alone. */
  constructor(file: string | undefined) {
    this.#file = file;
    if (file === undefined) return;
    try {
      const saved = JSON.parse(readFileSync(file, 'utf8')) as SavedSlots;
      for (const [group, slots] of Object.entries(saved.groups)) this.#groups.set(group, [...slots]);
    } catch {
      // First start, or a file cut short: names start anew.
      this.#groups.clear();
    }
  }

  /** The instance name of a lifetime; the same one whenever it is asked again. */
  assign(service: string, base: string, lifetime: string): string {
    const group = `${service}\n${base}`;
    let slots = this.#groups.get(group);
    if (slots === undefined) {
      this.#makeRoom();
      slots = [];
      this.#groups.set(group, slots);
    }
    let chosen = slots.findIndex((slot) => slot.owner === lifetime);
    if (chosen < 0) {
      slots.forEach((slot, index) => {
        if (slot.owner === '' && (chosen < 0 || slot.freedAt > slots[chosen]!.freedAt)) chosen = index;
      });
      if (chosen < 0) chosen = slots.push({ owner: '', freedAt: 0 }) - 1;
      slots[chosen]!.owner = lifetime;
      this.#dirty = true;
    }
    return chosen === 0 ? base : `${base}#${String(chosen)}`;
  }

  release(service: string, base: string, lifetime: string, at: number): void {
    const slot = this.#groups.get(`${service}\n${base}`)?.find((candidate) => candidate.owner === lifetime);
    if (slot === undefined) return;
    slot.owner = '';
    slot.freedAt = at;
    this.#dirty = true;
  }

  /** After the first look around: owners of an earlier run that are gone have ended unseen. */
  releaseAllBut(alive: ReadonlySet<string>, at: number): void {
    for (const slots of this.#groups.values()) {
      for (const slot of slots) {
        if (slot.owner === '' || alive.has(slot.owner)) continue;
        slot.owner = '';
        slot.freedAt = at;
        this.#dirty = true;
      }
    }
  }

  /** Writes the slots if they changed. Losing them costs names, not samples, so a failure is not fatal: false. */
  save(): boolean {
    if (!this.#dirty || this.#file === undefined) return true;
    const saved: SavedSlots = { v: 1, groups: Object.fromEntries(this.#groups) };
    try {
      writeFileSync(`${this.#file}.new`, JSON.stringify(saved), { mode: 0o600 });
      renameSync(`${this.#file}.new`, this.#file);
      this.#dirty = false;
      return true;
    } catch {
      return false;
    }
  }

  #makeRoom(): void {
    if (this.#groups.size < MAX_GROUPS) return;
    for (const [group, slots] of this.#groups) {
      if (slots.some((slot) => slot.owner !== '')) continue;
      this.#groups.delete(group);
      return;
    }
  }
}
