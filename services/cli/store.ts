/** `leakline store` and `leakline migrate`. */
import { startStoreServer } from '../store/store-server.ts';
import { migrateStore, openConfiguredStore } from './backing.ts';
import { untilStopped, type Context } from './context.ts';
import { createTopics } from './kafka-bus.ts';

export async function runMigrate(context: Context): Promise<void> {
  if (context.config.bus.kind === 'kafka') await createTopics(context);
  const { applied } = await migrateStore(context, await openConfiguredStore(context));
  process.stdout.write(applied.length === 0 ? 'schema is up to date\n' : `applied ${applied.join(', ')}\n`);
}

export async function runStore(context: Context): Promise<void> {
  const { config, log, lifecycle } = context;
  const { store, listen } = config;
  const colon = listen.lastIndexOf(':');
  const server = await startStoreServer({
    path: `${config.data}/store`,
    host: listen.slice(0, colon).replace(/^\[|\]$/g, ''),
    port: Number(listen.slice(colon + 1)),
    log,
    database: store.database,
    ...(store.password === '' ? {} : { writer: { username: store.username, password: store.password } }),
    ...(store.readerUsername === '' ? {} : { reader: { username: store.readerUsername, password: store.readerPassword } }),
    userLimits: { timeoutMs: store.sqlTimeout, maxRows: store.sqlMaxRows, maxMemoryBytes: store.sqlMaxMemory },
  });
  lifecycle.onStop('store server', () => server.close());
  log.info({ url: server.url }, 'listening');
  await untilStopped(context);
}
