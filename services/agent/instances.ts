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

interface Group {
  readonly slots: Slot[];
  /** Lifetime → its slot. */
  readonly owned: Map<string, number>;
  /** Free slots; searched only when a process appears. */
  readonly free: Set<number>;
}

function newGroup(slots: readonly Slot[]): Group {
  const group: Group = { slots: [...slots], owned: new Map(), free: new Set() };
  slots.forEach(({ owner }, index) => (owner === '' ? group.free.add(index) : group.owned.set(owner, index)));
  return group;
}

export class Instances {
  readonly #groups = new Map<string, Group>();
  readonly #file: string | undefined;
  #dirty = false;

  /** `file` keeps the slots over restarts of the agent; undefined = in memory alone. */
  constructor(file: string | undefined) {
    this.#file = file;
    if (file === undefined) return;
    try {
      const saved = JSON.parse(readFileSync(file, 'utf8')) as SavedSlots;
      for (const [name, slots] of Object.entries(saved.groups)) this.#groups.set(name, newGroup(slots));
    } catch {
      // First start, or a file cut short: names start anew.
      this.#groups.clear();
    }
  }

  /** The instance name of a lifetime; the same one whenever it is asked again. */
  assign(service: string, base: string, lifetime: string): string {
    const name = `${service}\n${base}`;
    let group = this.#groups.get(name);
    if (group === undefined) {
      this.#makeRoom();
      group = newGroup([]);
      this.#groups.set(name, group);
    }
    const slot = group.owned.get(lifetime) ?? this.#take(group, lifetime);
    return slot === 0 ? base : `${base}#${String(slot)}`;
  }

  #take({ slots, owned, free }: Group, lifetime: string): number {
    let chosen = -1;
    for (const index of free) {
      const later = chosen < 0 ? 1 : slots[index]!.freedAt - slots[chosen]!.freedAt;
      if (later > 0 || (later === 0 && index < chosen)) chosen = index;
    }
    if (chosen < 0) chosen = slots.push({ owner: '', freedAt: 0 }) - 1;
    slots[chosen]!.owner = lifetime;
    owned.set(lifetime, chosen);
    free.delete(chosen);
    this.#dirty = true;
    return chosen;
  }

  release(service: string, base: string, lifetime: string, at: number): void {
    const group = this.#groups.get(`${service}\n${base}`);
    if (group !== undefined) this.#free(group, lifetime, at);
  }

  /** After the first look around: owners of an earlier run that are gone have ended unseen. */
  releaseAllBut(alive: ReadonlySet<string>, at: number): void {
    for (const group of this.#groups.values()) {
      for (const owner of [...group.owned.keys()]) if (!alive.has(owner)) this.#free(group, owner, at);
    }
  }

  #free({ slots, owned, free }: Group, lifetime: string, at: number): void {
    const index = owned.get(lifetime);
    if (index === undefined) return;
    slots[index] = { owner: '', freedAt: at };
    owned.delete(lifetime);
    free.add(index);
    this.#dirty = true;
  }

  /** Writes the slots if they changed. Losing them costs names, not samples, so a failure is not fatal: false. */
  save(): boolean {
    if (!this.#dirty || this.#file === undefined) return true;
    const saved: SavedSlots = { v: 1, groups: Object.fromEntries([...this.#groups].map(([name, { slots }]) => [name, slots])) };
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
    for (const [name, { owned }] of this.#groups) {
      if (owned.size > 0) continue;
      this.#groups.delete(name);
      return;
    }
  }
}
