/** Moments between us (milliseconds UTC) and rows of the store. */

/** For JSON rows: `2026-01-31 23:59:59.123`. */
export function toSqlTime(at: number): string {
  return new Date(at).toISOString().replace('T', ' ').slice(0, 23);
}

export const toSqlTimeOrNull = (at: number | null): string | null => (at === null ? null : toSqlTime(at));
