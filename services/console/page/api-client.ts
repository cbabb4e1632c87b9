/** Talking to the API: errors with their words, and answers that refresh themselves while somebody looks. */
import { useCallback, useEffect, useRef, useState } from 'preact/hooks';

export class ApiError extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

const BASE = '/api/v1';

export async function call(path: string, init: RequestInit = {}): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(BASE + path, { ...init, credentials: 'same-origin' });
  } catch (error) {
    if (init.signal?.aborted === true) throw error;
    throw new ApiError(0, 'The console does not answer. Is it still running?');
  }
  if (response.ok) return response;
  const body = (await response.json().catch(() => ({}))) as { error?: { message?: string } };
  throw new ApiError(response.status, body.error?.message ?? `The console answered ${response.status} ${response.statusText}.`);
}

export async function getJson<Answer>(path: string, signal?: AbortSignal): Promise<Answer> {
  return (await (await call(path, signal === undefined ? {} : { signal })).json()) as Answer;
}

export function postJson(path: string, body: unknown, signal?: AbortSignal): Promise<Response> {
  return call(path, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
    ...(signal === undefined ? {} : { signal }),
  });
}

const CHANGED = 'leakline:changed';

/** After an action every view asks again at once. */
export const announceChange = (): boolean => window.dispatchEvent(new Event(CHANGED));

export interface Polled<Answer> {
  /** Last good answer; stays while a newer one is fetched and when that fails. */
  readonly data: Answer | null;
  readonly error: ApiError | null;
  readonly refresh: () => void;
}

const asApiError = (error: unknown): ApiError => (error instanceof ApiError ? error : new ApiError(0, String(error)));

/** Asks at once and then every `everyMs` while the tab is visible. `path` null = nothing to ask. */
export function usePolled<Answer>(path: string | null, everyMs = 10_000): Polled<Answer> {
  const [state, setState] = useState<{ path: string | null; data: Answer | null; error: ApiError | null }>({
    path,
    data: null,
    error: null,
  });
  const [round, setRound] = useState(0);
  const latest = useRef(path);
  latest.current = path;
  const refresh = useCallback(() => setRound((value) => value + 1), []);

  useEffect(() => {
    if (path === null) return undefined;
    const controller = new AbortController();
    let timer = 0;
    const ask = async () => {
      if (!document.hidden) {
        try {
          const data = await getJson<Answer>(path, controller.signal);
          if (latest.current === path) setState({ path, data, error: null });
        } catch (error) {
          if (controller.signal.aborted) return;
          setState((before) => ({ path, data: before.path === path ? before.data : null, error: asApiError(error) }));
        }
      }
      if (!controller.signal.aborted) timer = window.setTimeout(() => void ask(), everyMs);
    };
    const wake = () => {
      if (document.hidden) return;
      window.clearTimeout(timer);
      void ask();
    };
    void ask();
    document.addEventListener('visibilitychange', wake);
    window.addEventListener(CHANGED, wake);
    return () => {
      controller.abort();
      window.clearTimeout(timer);
      document.removeEventListener('visibilitychange', wake);
      window.removeEventListener(CHANGED, wake);
    };
  }, [path, everyMs, round]);

  return { data: state.path === path ? state.data : null, error: state.path === path ? state.error : null, refresh };
}
