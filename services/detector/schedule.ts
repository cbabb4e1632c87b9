/** When to evaluate: a cron expression with seconds, never two at once, and now on demand. */
import { schedule as cronSchedule, validate } from 'node-cron';
import { LeaklineError } from '../../shared/errors.ts';
import type { Clock } from '../../shared/clock.ts';

export interface ScheduleOptions {
  /** Cron expression, five fields or six with seconds. */
  readonly expression: string;
  readonly clock: Pick<Clock, 'now'>;
  readonly evaluate: (at: number) => Promise<unknown>;
  readonly onError: (error: unknown) => void;
  /** A tick came while the last evaluation still ran. */
  readonly onSkipped?: () => void;
}

export interface Schedule {
  /** Evaluates now, or joins the evaluation under way. */
  trigger(): Promise<void>;
  stop(): Promise<void>;
}

export function startSchedule(options: ScheduleOptions): Schedule {
  if (!validate(options.expression)) {
    throw new LeaklineError(
      'LKL_ERR_CONFIG',
      `detector schedule "${options.expression}" is not a cron expression; write "* * * * *" for every minute`,
      {
        details: { schedule: options.expression },
      },
    );
  }
  let running: Promise<void> | undefined;
  const run = (): Promise<void> => {
    running ??= options
      .evaluate(options.clock.now())
      .then(() => undefined, options.onError)
      .finally(() => {
        running = undefined;
      });
    return running;
  };
  const task = cronSchedule(
    options.expression,
    () => {
      if (running !== undefined) options.onSkipped?.();
      else void run();
    },
    { timezone: 'Etc/UTC' },
  );
  return {
    trigger: run,
    async stop() {
      await task.destroy();
      await running;
    },
  };
}
