/** Opens Kafka as configured. Apart from the rest so that an agent loads nothing it does not use. */
import type { Bus } from '../../shared/bus/bus.ts';
import { createKafkaBus, ensureTopics } from '../../shared/bus/kafka.ts';
import type { Context } from './context.ts';

export function openBus({ config, clock, log, lifecycle }: Context): Bus {
  const bus = createKafkaBus({ settings: config.bus, clock, log });
  lifecycle.onStop('bus', () => bus.close());
  return bus;
}

/** Creates the topics that are missing; with topics made by somebody else it changes nothing. */
export async function createTopics({ config, log }: Context): Promise<void> {
  await ensureTopics(config.bus, log);
}
