/** What commands ask a running console: SQL and status, over its HTTP API. */
import Table from 'cli-table3';
import { LeaklineError, type ErrorCode } from '../../shared/errors.ts';
import type { Status } from '../console/api-schema.ts';

export interface ConsoleTarget {
  readonly url: string;
  /** Reader token; absent where the console is open. */
  readonly token: string | undefined;
}

export async function call(target: ConsoleTarget, path: string, init: RequestInit = {}): Promise<Response> {
  const headers = new Headers(init.headers);
  if (target.token !== undefined) headers.set('authorization', `Bearer ${target.token}`);
  let response: Response;
  try {
    response = await fetch(new URL(path, target.url), { ...init, headers, redirect: 'error' });
  } catch (cause) {
    throw new LeaklineError(
      'LKL_ERR_UNREACHABLE',
      `no console answers at ${target.url}: start one with \`leakline up\`, or name it with --url or LEAKLINE_URL`,
      { cause },
    );
  }
  if (response.ok) return response;
  const body = (await response.json().catch(() => ({}))) as { error?: { code?: ErrorCode; message?: string } };
  throw new LeaklineError(
    body.error?.code ?? 'LKL_ERR_UNREACHABLE',
    body.error?.message ?? `${target.url} answered ${response.status} ${response.statusText}`,
  );
}

/** Runs one read-only statement and writes the answer as it comes; that it was cut goes to stderr, where no program reads it as data. */
export async function askSql(target: ConsoleTarget, query: string, format: string): Promise<void> {
  const response = await call(target, '/api/v1/sql', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ query, format }),
  });
  for await (const chunk of (response.body ?? []) as unknown as AsyncIterable<Uint8Array>) process.stdout.write(chunk);
  const cut = response.headers.get('x-leakline-cut-at-rows');
  if (cut !== null)
    process.stderr.write(`leakline: cut at ${cut} rows (store.sqlMaxRows), there may be more: narrow it with WHERE, or aggregate\n`);
}

/** Somebody should look: something is wrong with the pipeline, or it found a leak that nobody has taken. */
const needsSomebody = ({ healthy, openIncidents }: Status) => !healthy || openIncidents.some(({ state }) => state === 'open');

/** Prints what the console knows of the pipeline. False when somebody should look. */
export async function printStatus(target: ConsoleTarget, json: boolean): Promise<boolean> {
  const status = (await (await call(target, '/api/v1/status')).json()) as Status;
  if (json) process.stdout.write(`${JSON.stringify(status, null, 2)}\n`);
  else printSections(status);
  return !needsSomebody(status);
}

function printSections(status: Status): void {
  for (const [section, value] of Object.entries(status)) {
    if (!Array.isArray(value)) {
      process.stdout.write(`${section}: ${cell(value)}\n`);
      continue;
    }
    const rows = (value as unknown[]).map((row) =>
      typeof row === 'object' && row !== null ? (row as Record<string, unknown>) : { [section]: row },
    );
    process.stdout.write(`${section}: ${rows.length === 0 ? 'none' : rows.length}\n`);
    const head = Object.keys(rows[0] ?? {});
    if (head.length === 0) continue;
    const table = new Table({ head, style: { head: [], border: [] } });
    for (const row of rows) table.push(head.map((name) => cell(row[name])));
    process.stdout.write(`${table.toString()}\n`);
  }
}

/** Moments are shown as people read them. */
function cell(value: unknown): string {
  if (value === null || value === undefined) return '';
  if (typeof value === 'number' && value > 1e12) return new Date(value).toISOString();
  return typeof value === 'string' ? value : JSON.stringify(value);
}
