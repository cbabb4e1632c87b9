/** A real console on a free port: page built from the sources, real chDB store, real HTTP server. */
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { registerConsole } from '../../services/console/console.ts';
import { createAuth } from '../../shared/auth.ts';
import { systemClock, type Clock } from '../../shared/clock.ts';
import { createHttpServer, type HttpServer } from '../../shared/http-server.ts';
import { createLog } from '../../shared/log.ts';
import { Metrics } from '../../shared/metrics.ts';
import { migrate } from '../../shared/store/migrate.ts';
import { openStore, type Store } from '../../shared/store/store.ts';

export interface TestConsole {
  readonly store: Store;
  readonly server: HttpServer;
  /** Lines the server logged. */
  readonly logged: string[];
  close(): Promise<void>;
}

export interface TestConsoleOptions {
  readonly clock?: Clock;
  readonly readerTokens?: string[];
  readonly operatorTokens?: string[];
  readonly ingestTokens?: string[];
  readonly assetsDir?: string;
  readonly publicUrl?: string;
  /** Two consoles of one test may share a store: an embedded one can be opened once per process. */
  readonly store?: Store;
}

const ROOT = join(import.meta.dirname, '../..');

/** Builds the page from the sources of now, so a test never sees an older one. */
export async function buildPage(outdir: string): Promise<void> {
  await promisify(execFile)('npm', ['run', '--silent', 'build:page', '--', `--outdir=${outdir}`, '--log-level=error'], { cwd: ROOT });
}

export async function openTestStore(): Promise<{ store: Store; close: () => Promise<void> }> {
  const path = await mkdtemp(join(tmpdir(), 'leakline-console-'));
  const store = await openStore({ path });
  await store.createDatabase();
  await migrate(store);
  const close = async () => {
    await store.close();
    await rm(path, { recursive: true, force: true });
  };
  return { store, close };
}

/** Everything but listening; `server.app.inject` works, `server.listen` too. */
export async function createTestConsole(options: TestConsoleOptions = {}): Promise<TestConsole> {
  const opened = options.store === undefined ? await openTestStore() : { store: options.store, close: () => Promise.resolve() };
  const { ingestTokens = [], readerTokens = [], operatorTokens = [] } = options;
  const auth = createAuth({ ingestTokens, readerTokens, operatorTokens, trustedProxyHeader: '' });
  const logged: string[] = [];
  const log = createLog({ level: 'info', secrets: [], destination: { write: (line) => logged.push(line) } });
  const server = createHttpServer({
    log,
    metrics: new Metrics(),
    auth,
    maxBodyBytes: 4_000_000,
    maxInflatedBytes: 8_000_000,
    ready: () => ({ ok: true, reasons: [] }),
  });
  await registerConsole(server.app, {
    store: opened.store,
    auth,
    clock: options.clock ?? systemClock,
    publicUrl: options.publicUrl ?? '',
    version: '0.0.0',
    ...(options.assetsDir === undefined ? {} : { assetsDir: options.assetsDir }),
  });
  const close = async () => {
    await server.close();
    await opened.close();
  };
  return { store: opened.store, server, logged, close };
}
