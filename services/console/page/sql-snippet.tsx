/** The query that shows what the page shows, to go on from there. */
import { CopyButton } from './feedback.tsx';

export function SqlSnippet({ sql }: { sql: string }) {
  return (
    <section class="block">
      <h2>In SQL</h2>
      <div class="snippet">
        <pre>
          <code>{sql}</code>
        </pre>
        <div class="snippet-actions">
          <CopyButton text={sql} />
          <a class="button quiet" href={`/sql?query=${encodeURIComponent(sql)}`}>
            Run it
          </a>
        </div>
      </div>
    </section>
  );
}
