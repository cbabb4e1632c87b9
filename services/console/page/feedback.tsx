/** What is shown while there is nothing to show: loading, failure, staleness, and a copy button that says it worked. */
import { useState } from 'preact/hooks';
import type { ApiError } from './api-client.ts';

export function Loading() {
  return (
    <div class="loading" role="status" aria-label="Loading">
      <span />
      <span />
      <span />
    </div>
  );
}

export function Failure({ error, retry }: { error: ApiError; retry: () => void }) {
  return (
    <section class="failure" role="alert">
      <p>{error.message}</p>
      <button type="button" onClick={retry}>
        Try again
      </button>
    </section>
  );
}

/** An older answer is still on the screen; say so instead of taking it away. */
export function Stale({ error }: { error: ApiError | null }) {
  return error === null ? null : (
    <p class="stale" role="status">
      Not up to date: {error.message}
    </p>
  );
}

export function CopyButton({ text }: { text: string }) {
  const [copied, setCopied] = useState(false);
  const copy = () => {
    void navigator.clipboard.writeText(text).then(() => {
      setCopied(true);
      window.setTimeout(() => setCopied(false), 1500);
    });
  };
  return (
    <button type="button" class="quiet" onClick={copy}>
      {copied ? 'Copied' : 'Copy'}
    </button>
  );
}
