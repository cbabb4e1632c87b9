/** What the ingester counted since its last report. The same figures as its metrics, for `leakline status`. */

export type Tallied =
  | 'rows'
  | 'repeated_rows'
  | 'dead_letters'
  | 'dropped_letters'
  | 'refused_rows'
  | 'cleared_values'
  | 'normalised'
  | 'store_failures'
  | 'paused_ms';

export interface TallyEntry {
  readonly kind: Tallied;
  /** Which of them: a code, a reason, a column; '' where there is but one. */
  readonly key: string;
  readonly value: number;
}

export class IngesterTally {
  readonly #counts = new Map<Tallied, Map<string, number>>();

  add(kind: Tallied, key: string, by: number): void {
    let counts = this.#counts.get(kind);
    if (counts === undefined) this.#counts.set(kind, (counts = new Map<string, number>()));
    counts.set(key, (counts.get(key) ?? 0) + by);
  }

  /** Begins anew. What could not be reported is added again by the caller. */
  take(): TallyEntry[] {
    const entries = [...this.#counts].flatMap(([kind, counts]) => [...counts].map(([key, value]) => ({ kind, key, value })));
    this.#counts.clear();
    return entries;
  }
}
