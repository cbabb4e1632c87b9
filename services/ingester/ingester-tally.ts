/** What the ingester counted since its last report. The same figures as its metrics, for `leakline status`. */
import type { ReportEntry, Tallied } from '../../shared/store/ingester-reports.ts';

export class IngesterTally {
  readonly #counts = new Map<Tallied, Map<string, number>>();

  add(kind: Tallied, key: string, by: number): void {
    let counts = this.#counts.get(kind);
    if (counts === undefined) this.#counts.set(kind, (counts = new Map<string, number>()));
    counts.set(key, (counts.get(key) ?? 0) + by);
  }

  /** Begins anew. */
  take(): ReportEntry[] {
    const entries = [...this.#counts].flatMap(([kind, counts]) => [...counts].map(([key, value]) => ({ kind, key, value })));
    this.#counts.clear();
    return entries;
  }

  /** What could not be reported. */
  putBack(entries: readonly ReportEntry[]): void {
    for (const { kind, key, value } of entries) if (kind !== 'lag_messages' && kind !== 'last_insert_at') this.add(kind, key, value);
  }
}
