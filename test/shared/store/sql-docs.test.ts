import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Store } from '../../../shared/store/store.ts';
import { queryUserRows } from '../../../shared/store/user-sql.ts';
import { temporaryStore } from './fixture.ts';
import { fillHistory, QUESTIONS, SQL_DOCS } from './questions.ts';

const sections = [...SQL_DOCS.matchAll(/^### (\w+)\n([^]*?)(?=^### |$(?![^]))/gm)].map(([, view = '', text = '']) => ({
  view,
  columns: [...text.matchAll(/^\| (\w+) \| (.+?) \| (.+) \|$/gm)]
    .filter(([, name]) => name !== 'column')
    .map(([, name, type]) => ({ name, type })),
}));

let store: Store;
let close: () => Promise<void>;
beforeAll(async () => {
  ({ store, close } = await temporaryStore());
  await fillHistory(store);
});
afterAll(() => close());

describe('docs/sql.md', () => {
  it('asks at least a dozen questions', () => {
    expect(QUESTIONS.length).toBeGreaterThanOrEqual(12);
  });

  it.each(QUESTIONS)('answers: $question', async ({ sql }) => {
    const { rows } = await queryUserRows(store, sql);
    expect(rows.length).toBeGreaterThan(0);
  });

  it('describes every view people query', () => {
    expect(sections.map(({ view }) => view)).toEqual([
      'trends',
      'incidents',
      'memory_hourly',
      'process_lifetimes',
      'oom_events',
      'deliveries',
      'samples',
    ]);
  });

  it.each(sections)('describes every column of $view', async ({ view, columns }) => {
    const real = await store.query<{ name: string; type: string }>(`DESCRIBE TABLE ${view}`);
    expect(columns).toEqual(real.map(({ name, type }) => ({ name, type })));
  });
});
