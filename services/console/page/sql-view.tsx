/** Read-only SQL over the history: an editor, examples, a table, a file. */
import { useEffect, useRef, useState } from 'preact/hooks';
import { ApiError, postJson } from './api-client.ts';
import { formatDuration, plural } from './format.ts';
import { EXAMPLES } from './sql-examples.ts';

interface Result {
  readonly meta: readonly { readonly name: string; readonly type: string }[];
  readonly data: readonly (readonly unknown[])[];
  readonly rows: number;
}

/** A browser shows no more in good time; the file has all of them. */
const MOST_SHOWN = 1000;

const isNumber = (type: string): boolean => /^(Nullable\()?(U?Int|Float|Decimal)/.test(type);

function Cell({ value }: { value: unknown }) {
  if (value === null) return <span class="muted">NULL</span>;
  return <>{typeof value === 'string' ? value : JSON.stringify(value)}</>;
}

function ResultTable({ result }: { result: Result }) {
  return (
    <div class="scroll result">
      <table>
        <thead>
          <tr>
            {result.meta.map(({ name, type }) => (
              <th key={name} scope="col" class={isNumber(type) ? 'number' : ''} title={type}>
                {name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {result.data.slice(0, MOST_SHOWN).map((row, index) => (
            <tr key={index}>
              {row.map((value, column) => (
                <td key={column} class={isNumber(result.meta[column]?.type ?? '') ? 'number' : ''}>
                  <Cell value={value} />
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

async function downloadCsv(query: string): Promise<void> {
  const response = await postJson('/sql', { query, format: 'CSV' });
  const url = URL.createObjectURL(await response.blob());
  const link = document.createElement('a');
  link.href = url;
  link.download = 'leakline.csv';
  link.click();
  URL.revokeObjectURL(url);
}

interface Asked {
  readonly query: string;
  /** A statement with a FORMAT clause of its own answers in text. */
  readonly result: Result | string | null;
  readonly error: string;
  /** The cap on rows where the answer reached it; 0 = all of it came. */
  readonly cutAtRows: number;
  readonly tookMs: number;
}

function asTable(text: string): Result | null {
  try {
    const parsed = JSON.parse(text) as Partial<Result>;
    const isTable = Array.isArray(parsed.meta) && Array.isArray(parsed.data) && parsed.data.every(Array.isArray);
    return isTable ? (parsed as Result) : null;
  } catch {
    return null;
  }
}

const wordOf = (error: unknown): string => (error instanceof ApiError ? error.message : String(error));

export function SqlView() {
  const [query, setQuery] = useState(() => new URLSearchParams(location.search).get('query') ?? EXAMPLES[0]?.sql ?? '');
  const [asked, setAsked] = useState<Asked | null>(null);
  const [busy, setBusy] = useState(false);
  const running = useRef<AbortController | null>(null);
  useEffect(() => () => running.current?.abort(), []);

  const run = async () => {
    running.current?.abort();
    const controller = new AbortController();
    running.current = controller;
    setBusy(true);
    const started = performance.now();
    const took = () => performance.now() - started;
    try {
      const response = await postJson('/sql', { query, format: 'JSONCompact' }, controller.signal);
      const text = await response.text();
      const cutAtRows = Number(response.headers.get('x-leakline-cut-at-rows') ?? 0);
      setAsked({ query, result: asTable(text) ?? text, error: '', cutAtRows, tookMs: took() });
    } catch (error) {
      if (!controller.signal.aborted) setAsked({ query, result: null, error: wordOf(error), cutAtRows: 0, tookMs: took() });
    }
    if (running.current === controller) setBusy(false);
  };

  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key !== 'Enter' || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    void run();
  };

  const download = (text: string) => {
    downloadCsv(text).catch((error: unknown) => setAsked((before) => (before === null ? null : { ...before, error: wordOf(error) })));
  };

  return (
    <>
      <div class="page-head">
        <h1>SQL</h1>
        <p class="muted">
          Read-only ClickHouse SQL over <code>samples</code>, <code>memory_hourly</code>, <code>trends</code>, <code>incidents</code>,{' '}
          <code>process_lifetimes</code>, <code>oom_events</code> and <code>deliveries</code>.
        </p>
      </div>
      <div class="sql">
        <ul class="examples" aria-label="Questions people ask">
          {EXAMPLES.map(({ question, sql }) => (
            <li key={question}>
              <button type="button" class="quiet" onClick={() => setQuery(sql)}>
                {question}
              </button>
            </li>
          ))}
        </ul>
        <form
          class="editor"
          onSubmit={(event) => {
            event.preventDefault();
            void run();
          }}
        >
          <textarea
            aria-label="Query"
            spellcheck={false}
            rows={Math.min(18, Math.max(8, query.split('\n').length + 1))}
            value={query}
            onInput={(event) => setQuery(event.currentTarget.value)}
            onKeyDown={onKeyDown}
          />
          <div class="editor-end">
            <button type="submit" class="primary" disabled={busy || query.trim() === ''}>
              {busy ? 'Running' : 'Run'}
            </button>
            <span class="muted small">
              <kbd>Ctrl</kbd> <kbd>Enter</kbd>
            </span>
          </div>
        </form>
      </div>
      {asked !== null && asked.error !== '' && (
        <p class="sql-error" role="alert">
          {asked.error}
        </p>
      )}
      {asked !== null && asked.result !== null && (
        <section aria-label="Result" aria-live="polite">
          <div class="result-head">
            <span class="muted">
              {typeof asked.result === 'string' ? 'Answered' : plural(asked.result.rows, 'row')} in {formatDuration(asked.tookMs)}
              {typeof asked.result !== 'string' && asked.result.data.length > MOST_SHOWN ? `, the first ${MOST_SHOWN} shown` : ''}
              {asked.cutAtRows > 0
                ? `. Cut at ${asked.cutAtRows.toLocaleString('en')} rows, there may be more: narrow it with WHERE, or aggregate.`
                : ''}
            </span>
            {typeof asked.result !== 'string' && (
              <button type="button" class="quiet" onClick={() => download(asked.query)}>
                Download CSV
              </button>
            )}
          </div>
          {typeof asked.result === 'string' ? <pre class="scroll result">{asked.result}</pre> : <ResultTable result={asked.result} />}
        </section>
      )}
    </>
  );
}
