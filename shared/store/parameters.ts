/**
 * Puts values into `{name:Type}` places of our own SQL as literals. Done here and not by the engine because chDB binds
 * parameters through one chain for the whole process: a slow read would hold up every other query that has any.
 */
import { LeaklineError } from '../errors.ts';

export type SqlValue = string | number | bigint | boolean | null | readonly SqlValue[];

export type SqlParams = Readonly<Record<string, SqlValue>>;

const ESCAPES: Readonly<Record<string, string>> = { '\\': '\\\\', "'": "\\'", '\n': '\\n', '\r': '\\r', '\t': '\\t', '\0': '\\0' };

export function quoteString(text: string): string {
  return `'${text.replace(/[\\'\n\r\t\0]/g, (character) => ESCAPES[character] ?? character)}'`;
}

function literal(value: SqlValue, name: string): string {
  if (value === null) return 'NULL';
  if (typeof value === 'string') return quoteString(value);
  if (typeof value === 'boolean') return value ? '1' : '0';
  if (typeof value === 'bigint') return value.toString();
  if (typeof value === 'number') {
    if (Number.isFinite(value)) return Number.isSafeInteger(value) ? value.toFixed(0) : String(value);
    throw new LeaklineError('LKL_ERR_STORE_REFUSED', `parameter ${name} is ${value}: must be a finite number`);
  }
  return `[${value.map((item) => literal(item, name)).join(', ')}]`;
}

/** `{name:Type}` → `CAST(literal AS Type)`, so that empty arrays and NULL have a type. Throws on a place without a value. */
export function bindParameters(sql: string, params: SqlParams): string {
  return sql.replace(/\{(\w+):([^{}]+)\}/g, (_, name: string, type: string) => {
    const value = params[name];
    if (value === undefined) throw new LeaklineError('LKL_ERR_STORE_REFUSED', `query has {${name}:${type}} and no value for it`);
    return type === 'String' ? literal(value, name) : `CAST(${literal(value, name)} AS ${type})`;
  });
}
