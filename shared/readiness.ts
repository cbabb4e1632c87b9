/** What `/readyz` answers: may this process be given work, and if not, why. */
import { LeaklineError } from './errors.ts';

export interface Readiness {
  readonly ok: boolean;
  /** One line per thing that is away; empty when ok. */
  readonly reasons: readonly string[];
}

const CHECK_TIMEOUT_MS = 3_000;

async function reasonOf(name: string, check: () => Promise<void>, timeoutMs: number): Promise<string[]> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new LeaklineError('LKL_ERR_UNREACHABLE', `no answer within ${timeoutMs} ms`)), timeoutMs);
  });
  try {
    await Promise.race([check(), timeout]);
    return [];
  } catch (error) {
    return [`${name}: ${error instanceof LeaklineError ? error.message : 'not reachable'}`];
  } finally {
    clearTimeout(timer);
  }
}

/** Joins checks (each throws when its dependency is away) into one answer. Callers at the same time share one round of checks. */
export function combineReadiness(
  checks: Readonly<Record<string, () => Promise<void>>>,
  timeoutMs = CHECK_TIMEOUT_MS,
): () => Promise<Readiness> {
  let running: Promise<Readiness> | undefined;
  const run = async () => {
    const reasons = (await Promise.all(Object.entries(checks).map(([name, check]) => reasonOf(name, check, timeoutMs)))).flat();
    return { ok: reasons.length === 0, reasons };
  };
  return () => (running ??= run().finally(() => (running = undefined)));
}
