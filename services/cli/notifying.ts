/** Wires the notifier to the store and to the channels the configuration asks for. */
import { readCurves } from '../../shared/store/curves.ts';
import { readDeliveries, recordDelivery } from '../../shared/store/deliveries.ts';
import { readIncidentEvents } from '../../shared/store/incidents.ts';
import type { Store } from '../../shared/store/store.ts';
import type { Channel } from '../notifier/channel.ts';
import { createChannels } from '../notifier/channels.ts';
import { createNotifier } from '../notifier/notifier.ts';
import type { Context } from './context.ts';

/** Opened before anything else is, so that a mistake in the configuration is told at once. */
export function configuredChannels(context: Context): Channel[] {
  const channels = createChannels(context.config, context);
  const names = channels.map(({ name }) => name);
  context.log.info(
    { channels: names },
    names.length === 0 ? 'nobody is told of leaks: no channel is configured (docs/alerts.md)' : 'leaks are told of',
  );
  return channels;
}

export function startNotifying(context: Context, store: Store, channels: readonly Channel[]): void {
  if (channels.length === 0) return;
  const { config, clock, log, metrics, lifecycle } = context;
  const notifier = createNotifier({
    ports: {
      readIncidentEvents: (filter) => readIncidentEvents(store, filter),
      readDeliveries: (filter) => readDeliveries(store, filter),
      recordDelivery: (delivery) => recordDelivery(store, delivery),
      readCurves: (query) => readCurves(store, query),
    },
    channels,
    clock,
    log,
    metrics,
    config,
    // One process at a time can have the embedded store open.
    isAlone: store.embedded,
  });
  const stopping = new AbortController();
  const running = notifier.run(stopping.signal);
  lifecycle.onStop('notifier', () => {
    stopping.abort();
    return running;
  });
}
