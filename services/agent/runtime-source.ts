/**
 * What the agent asks of anything that knows a process from inside: the probe socket, hsperfdata, a /metrics scrape.
 * A source never throws into the loop and never waits on the process: it answers from what it already has.
 */
import type { MetricName, Runtime } from '../../shared/sample.ts';

export interface RuntimeTarget {
  /** As the agent's own /proc numbers it. */
  readonly pid: number;
  /** Process start, milliseconds UTC: a reading of an earlier owner of the pid must not be given. */
  readonly startedAt: number;
  /** The pid as the process itself sees it (innermost pid namespace), where that differs. */
  readonly nsPid?: number;
  /** As far as known from outside. */
  readonly runtime: Runtime;
  readonly service: string;
}

/** Metrics known right now, absent where unknown; what the process says of itself overrides what the agent guessed. */
export interface RuntimeReading extends Readonly<Partial<Record<MetricName, number>>> {
  readonly runtime?: Runtime;
  readonly service?: string;
  readonly environment?: string;
  readonly version?: string;
  readonly instance?: string;
  readonly labels?: Readonly<Record<string, string>>;
}

export interface RuntimeSource {
  read(target: RuntimeTarget): RuntimeReading | undefined | Promise<RuntimeReading | undefined>;
  close(): void | Promise<void>;
}
