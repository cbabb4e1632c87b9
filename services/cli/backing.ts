/** Opens what services stand on — bus, store, HTTP server — as the configuration says, and closes it again at the end. */
import { createAuth, type Auth } from '../../shared/auth.ts';
import { LeaklineError } from '../../shared/errors.ts';
import { createHttpServer, type HttpServer } from '../../shared/http-server.ts';
import { combineReadiness } from '../../shared/readiness.ts';
import { retry } from '../../shared/retry.ts';
import { migrate } from '../../shared/store/migrate.ts';
import { openStore, type Store } from '../../shared/store/store.ts';
import type { Context } from './context.ts';

export function requireKafka({ config }: Context, command: string): void {
  if (config.bus.kind === 'kafka') return;
  throw new LeaklineError(
    'LKL_ERR_CONFIG',
    `leakline ${command} runs apart from the others and needs Kafka: set bus.kind to kafka and bus.brokers, or give --kafka HOST:PORT; \`leakline up\` needs neither`,
  );
}

export function requireServer({ config }: Context, command: string): void {
  if (config.store.url !== '') return;
  throw new LeaklineError(
    'LKL_ERR_CONFIG',
    `leakline ${command} runs apart from the others and needs a store they share: set store.url or give --store URL (a ClickHouse server, or \`leakline store\`)`,
  );
}

/** Connects once; throws LKL_ERR_STORE_UNAVAILABLE. */
export async function openConfiguredStore({ config, lifecycle }: Context): Promise<Store> {
  const { store } = config;
  const opened = await openStore({
    ...(store.url === '' ? { path: `${config.data}/store` } : { url: store.url }),
    database: store.database,
    username: store.username,
    password: store.password,
    readerUsername: store.readerUsername,
    readerPassword: store.readerPassword,
    userLimits: { timeoutMs: store.sqlTimeout, maxRows: store.sqlMaxRows, maxMemoryBytes: store.sqlMaxMemory },
  });
  lifecycle.onStop('store', () => opened.close());
  return opened;
}

export async function migrateStore({ config }: Context, store: Store): Promise<{ applied: string[] }> {
  const { cluster, rawRetention, minuteRetention, rollupRetention } = config.store;
  return migrate(store, {
    cluster,
    rawRetentionMs: rawRetention,
    minuteRetentionMs: minuteRetention,
    rollupRetentionMs: rollupRetention,
  });
}

/** For services that stay: says clearly what is away and tries again until it is there or somebody stops us. */
export async function waitFor<Result>({ log, lifecycle }: Context, what: string, attempt: () => Promise<Result>): Promise<Result> {
  return retry(attempt, {
    signal: lifecycle.stopping,
    retries: Infinity,
    onFailure: (error, count) => {
      log.warn({ attempt: count, err: error.message }, `${what} is away, trying again`);
    },
  });
}

export interface Served {
  readonly server: HttpServer;
  readonly auth: Auth;
}

/** One HTTP server with `/healthz`, `/readyz` and `/metrics`; rooms register their routes on it before it listens. */
export function createServer({ config, log, metrics, lifecycle }: Context, checks: Readonly<Record<string, () => Promise<void>>>): Served {
  const auth = createAuth(config.auth);
  const { maxBodySize, maxInflatedSize } = config.gateway;
  const server = createHttpServer({
    log,
    metrics,
    auth,
    maxBodyBytes: maxBodySize,
    maxInflatedBytes: maxInflatedSize,
    ready: combineReadiness(checks),
  });
  lifecycle.onStop('http', () => server.close());
  return { server, auth };
}
