/** What every command starts from: validated configuration, log, metrics, clock and an orderly end. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { systemClock, type Clock } from '../../shared/clock.ts';
import { configSecrets, loadConfig, redactedConfig, type Config } from '../../shared/config.ts';
import { createLifecycle, type Lifecycle } from '../../shared/lifecycle.ts';
import { createLog, type Logger } from '../../shared/log.ts';
import { Metrics } from '../../shared/metrics.ts';
import { packageRoot } from './package-root.ts';

export interface Context {
  readonly version: string;
  /** Name of the machine as Kubernetes tells it (NODE_NAME); '' = not told. */
  readonly nodeName: string;
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

export function packageVersion(): string {
  return (JSON.parse(readFileSync(join(packageRoot(), 'package.json'), 'utf8')) as { version: string }).version;
}

/** `flags` are dotted configuration paths; `env` is handed in by main.ts, the only reader of the environment. */
export function createContext(global: GlobalFlags, flags: Record<string, unknown>, env: NodeJS.ProcessEnv): Context {
  const config = configFrom(global, flags, env);
  const log = createLog({ level: config.log.level, secrets: configSecrets(config) });
  log.debug({ config: redactedConfig(config) }, 'configuration');
  return {
    version: packageVersion(),
    nodeName: env['NODE_NAME'] ?? '',
    config,
    log,
    metrics: new Metrics(),
    clock: systemClock,
    lifecycle: createLifecycle(),
  };
}

/** The first SIGINT or SIGTERM stops everything in order, also while still starting; a second one ends at once. */
export function stopOnSignals({ lifecycle, log }: Context): void {
  let asked = false;
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      if (asked) process.exit(130);
      asked = true;
      log.info({ signal }, 'stopping');
      lifecycle.stop().catch((error: unknown) => {
        log.error({ err: error instanceof Error ? error.message : String(error) }, 'did not stop cleanly');
      });
    });
  }
}

/** For services that stay: resolves when somebody asks to stop. */
export async function untilStopped({ lifecycle }: Context): Promise<void> {
  if (lifecycle.stopping.aborted) return;
  await new Promise<void>((resolve) => {
    lifecycle.stopping.addEventListener('abort', () => resolve(), { once: true });
  });
}
