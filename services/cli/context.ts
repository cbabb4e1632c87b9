/** What every command starts from: validated configuration, log, metrics, clock and an orderly end. */
import { readFileSync } from 'node:fs';
import { systemClock, type Clock } from '../../shared/clock.ts';
import { configSecrets, loadConfig, redactedConfig, type Config } from '../../shared/config.ts';
import { createLifecycle, type Lifecycle } from '../../shared/lifecycle.ts';
import { createLog, type Logger } from '../../shared/log.ts';
import { Metrics } from '../../shared/metrics.ts';

export interface Context {
  readonly config: Config;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly clock: Clock;
  readonly lifecycle: Lifecycle;
}

const DEFAULT_FILE = 'leakline.yaml';

export interface GlobalFlags {
  /** Path of the YAML file; default: leakline.yaml where it exists. */
  readonly config?: string | undefined;
}

function readConfigFile(path: string | undefined, env: NodeJS.ProcessEnv): { name: string; text: string } | undefined {
  const chosen = path ?? env['LEAKLINE_CONFIG'];
  if (chosen !== undefined) return { name: chosen, text: readFileSync(chosen, 'utf8') };
  try {
    return { name: DEFAULT_FILE, text: readFileSync(DEFAULT_FILE, 'utf8') };
  } catch {
    return undefined;
  }
}

export function configFrom(global: GlobalFlags, flags: Record<string, unknown>, env: NodeJS.ProcessEnv): Config {
  const file = readConfigFile(global.config, env);
  return loadConfig({ ...(file === undefined ? {} : { file }), env, flags, readFile: (path) => readFileSync(path, 'utf8') });
}

/** `flags` are dotted configuration paths; `env` is handed in by main.ts, the only reader of the environment. */
export function createContext(global: GlobalFlags, flags: Record<string, unknown>, env: NodeJS.ProcessEnv): Context {
  const config = configFrom(global, flags, env);
  const log = createLog({ level: config.log.level, secrets: configSecrets(config) });
  log.debug({ config: redactedConfig(config) }, 'configuration');
  return { config, log, metrics: new Metrics(), clock: systemClock, lifecycle: createLifecycle() };
}

/** Runs until SIGINT or SIGTERM (or until `ended` settles), then stops everything in reverse order. */
export async function runUntilStopped(context: Context, ended?: Promise<unknown>): Promise<void> {
  const signalled = new Promise<string>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve(signal));
  });
  try {
    const reason = await Promise.race([signalled, ...(ended === undefined ? [] : [ended.then(() => 'ended')])]);
    context.log.info({ reason }, 'stopping');
  } finally {
    await context.lifecycle.stop();
  }
}
