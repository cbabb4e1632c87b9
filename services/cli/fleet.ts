/** One service a process: what `leakline gateway | ingester | detector | console` run. `leakline up` starts the same rooms together. */
import type { Bus } from '../../shared/bus/bus.ts';
import { LeaklineError } from '../../shared/errors.ts';
import type { Shards } from '../../shared/shard.ts';
import type { Store } from '../../shared/store/store.ts';
import { registerConsole } from '../console/console.ts';
import { registerGateway } from '../gateway/gateway.ts';
import { startIngester, type Ingester } from '../ingester/ingester.ts';
import { createServer, migrateStore, openConfiguredStore, requireKafka, requireServer, waitFor, type Served } from './backing.ts';
import { untilStopped, type Context } from './context.ts';
import { createConfiguredDetector, startDetecting } from './detecting.ts';
import { createTopics, openBus } from './kafka-bus.ts';
import { configuredChannels, startNotifying } from './notifying.ts';
import { replayThrough } from './replaying.ts';
import { joinDetectors } from './shards.ts';

export async function addGateway({ config, log, metrics, clock }: Context, { server, auth }: Served, bus: Bus): Promise<void> {
  const { maxFuture, maxAge } = config.ingester;
  const limits = { services: config.gateway.maxServicesPerToken, series: config.gateway.maxSeriesPerToken };
  await registerGateway(server.app, { bus, auth, log, metrics, clock, maxFutureMs: maxFuture, maxAgeMs: maxAge, limits });
}

/** `bus`: for dead letters that are to be sent again; a console in a fleet may have none. */
export async function addConsole(context: Context, { server, auth }: Served, store: Store, bus?: Bus): Promise<void> {
  const { config, clock, version } = context;
  const replay = bus === undefined ? {} : { replay: replayThrough(context, bus) };
  await registerConsole(server.app, { store, auth, clock, publicUrl: config.publicUrl, version, ...replay });
}

export async function addIngester({ config, clock, log, metrics, lifecycle }: Context, bus: Bus, store: Store): Promise<Ingester> {
  const ingester = await startIngester({ bus, store, config: config.ingester, clock, log, metrics });
  lifecycle.onStop('ingester', () => ingester.stop());
  return ingester;
}

export const ingesterCheck = (ingester: () => Ingester | undefined) => (): Promise<void> =>
  ingester()?.ready() === true
    ? Promise.resolve()
    : Promise.reject(new LeaklineError('LKL_ERR_STORE_UNAVAILABLE', 'samples cannot be stored now'));

/** A store of its own process may start later than we do; the schema is made by whoever comes first. */
async function openSharedStore(context: Context): Promise<Store> {
  const store = await openConfiguredStore(context);
  await waitFor(context, 'the store', () => migrateStore(context, store));
  return store;
}

async function listen({ config, log }: Context, { server }: Served): Promise<void> {
  log.info({ url: await server.listen(config.listen) }, 'listening');
}

export async function runGateway(context: Context): Promise<void> {
  requireKafka(context, 'gateway');
  const bus = openBus(context);
  const served = createServer(context, { bus: () => bus.ping() });
  await addGateway(context, served, bus);
  await listen(context, served);
  await untilStopped(context);
}

export async function runIngester(context: Context): Promise<void> {
  requireKafka(context, 'ingester');
  requireServer(context, 'ingester');
  const bus = openBus(context);
  const running: { ingester?: Ingester } = {};
  const served = createServer(context, { bus: () => bus.ping(), ingester: ingesterCheck(() => running.ingester) });
  await listen(context, served);
  const store = await openSharedStore(context);
  await waitFor(context, 'the bus', () => createTopics(context));
  running.ingester = await addIngester(context, bus, store);
  await untilStopped(context);
}

/** Without Kafka a detector judges everything. */
async function shardsOf(context: Context): Promise<(() => Promise<Shards>) | undefined> {
  if (context.config.bus.kind !== 'kafka') return undefined;
  const bus = openBus(context);
  await waitFor(context, 'the bus', () => createTopics(context));
  return joinDetectors(bus);
}

export async function runDetector(context: Context, { once }: { once: boolean }): Promise<void> {
  requireServer(context, 'detector');
  if (once) {
    const store = await openConfiguredStore(context);
    const { pooled, events } = await createConfiguredDetector(context, store).evaluate(context.clock.now());
    for (const { service, environment, version, verdict, reason, explanation } of pooled) {
      process.stdout.write(`${JSON.stringify({ service, environment, version, verdict, reason, explanation })}\n`);
    }
    context.log.info({ judged: pooled.length, events: events.length }, 'evaluated once');
    return;
  }
  const channels = configuredChannels(context);
  const served = createServer(context, {});
  await listen(context, served);
  const store = await openSharedStore(context);
  startDetecting(context, store, await shardsOf(context));
  startNotifying(context, store, channels);
  await untilStopped(context);
}

export async function runConsole(context: Context): Promise<void> {
  requireServer(context, 'console');
  const store = await openConfiguredStore(context);
  const served = createServer(context, { store: () => store.ping() });
  await waitFor(context, 'the store', () => migrateStore(context, store));
  await addConsole(context, served, store, context.config.bus.kind === 'kafka' ? openBus(context) : undefined);
  await listen(context, served);
  await untilStopped(context);
}
