/** One line of a probe: JSON with the claimed pid, the process start in clock ticks, and metrics seen from inside. Pure. */
import { z } from 'zod';
import { METRIC_NAMES, METRICS, RUNTIMES, type MetricName } from '../../shared/sample.ts';
import type { RuntimeReading } from './runtime-source.ts';

export const MAX_LINE_BYTES = 8_192;

const shortText = z.string().min(1).max(256).optional().catch(undefined);
const amount = z.number().nonnegative().max(Number.MAX_SAFE_INTEGER).optional().catch(undefined);

/** What a process can know of itself; the rest the agent sees better from outside. */
const PROBE_METRICS = METRIC_NAMES.filter((name) => METRICS[name].scope === 'runtime' || name === 'requests');

const schema = z.object({
  v: z.literal(1),
  pid: z.int().positive(),
  start_ticks: z.int().nonnegative(),
  runtime: z.enum(RUNTIMES),
  runtime_version: shortText,
  service: shortText,
  environment: shortText,
  version: shortText,
  instance: shortText,
  ...(Object.fromEntries(PROBE_METRICS.map((name) => [name, amount])) as Partial<Record<MetricName, typeof amount>>),
});

export interface ProbeLine {
  /** As the process itself sees it. */
  readonly pid: number;
  readonly startTicks: number;
  readonly reading: RuntimeReading;
}

/** Undefined for anything that is not a line of a probe; a single metric that is out of range is left out. */
export function parseProbeLine(line: string): ProbeLine | undefined {
  let parsed: unknown;
  try {
    parsed = JSON.parse(line);
  } catch {
    return undefined;
  }
  const result = schema.safeParse(parsed);
  if (!result.success) return undefined;
  const { pid, start_ticks: startTicks, runtime_version: runtimeVersion, ...rest } = result.data;
  const known = Object.fromEntries(Object.entries(rest).filter(([name, value]) => name !== 'v' && value !== undefined));
  const labels = runtimeVersion === undefined ? {} : { labels: { runtime_version: runtimeVersion } };
  return { pid, startTicks, reading: { ...known, ...labels } };
}
