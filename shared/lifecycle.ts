/** Stops what was started, last first, each step named and bounded in time; safe to call twice. */

export interface Lifecycle {
  /** Register the undo on the line after the acquire. */
  onStop(name: string, undo: () => Promise<void> | void): void;
  /** Runs every undo even when one fails; throws an AggregateError naming those that failed or took too long. */
  stop(): Promise<void>;
  /** Aborted as soon as stop() is called. */
  readonly stopping: AbortSignal;
}

export function createLifecycle(stepTimeoutMs = 10_000): Lifecycle {
  const undos: { name: string; undo: () => Promise<void> | void }[] = [];
  const controller = new AbortController();
  let stopped: Promise<void> | undefined;

  const runAll = async () => {
    controller.abort(new Error('stopping'));
    const failures: Error[] = [];
    for (let step = undos.pop(); step !== undefined; step = undos.pop()) {
      const { name, undo } = step;
      let timer: NodeJS.Timeout | undefined;
      const timeout = new Promise<never>((_, reject) => {
        timer = setTimeout(() => reject(new Error(`did not stop within ${String(stepTimeoutMs)} ms`)), stepTimeoutMs);
      });
      try {
        await Promise.race([Promise.resolve().then(undo), timeout]);
      } catch (error) {
        failures.push(new Error(`stopping ${name}: ${error instanceof Error ? error.message : String(error)}`, { cause: error }));
      } finally {
        clearTimeout(timer);
      }
    }
    if (failures.length > 0) throw new AggregateError(failures, failures.map((failure) => failure.message).join('; '));
  };

  return {
    onStop: (name, undo) => {
      undos.push({ name, undo });
    },
    stop: () => (stopped ??= runAll()),
    stopping: controller.signal,
  };
}
