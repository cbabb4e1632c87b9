/** Puts dead letters back on the bus, as far as they can be taken now. */
import { TOPICS, type Bus } from '../../shared/bus/bus.ts';
import { LeaklineError } from '../../shared/errors.ts';
import { decodeBatch, type Arrival } from '../../shared/wire.ts';
import type { Replay } from '../console/dead-letter-routes.ts';
import type { Context } from './context.ts';

/** Why the ingester would refuse the message, or parts of it, once more; undefined = it would not. */
function refusalOf(payload: Buffer, arrival: Arrival): string | undefined {
  try {
    const { refused } = decodeBatch(payload, arrival).problems;
    return refused.size === 0 ? undefined : [...refused].map(([reason, rows]) => `${reason} ${rows}`).join(', ');
  } catch (error) {
    if (error instanceof LeaklineError) return `${error.message} [${error.code}]`;
    throw error;
  }
}

/** The message goes as it came: a batch has the same name and its rows the same keys, so what was stored of it stays as it is. */
export function replayThrough({ config, clock }: Pick<Context, 'config' | 'clock'>, bus: Pick<Bus, 'publish'>): Replay {
  const { maxFuture, maxAge } = config.ingester;
  return async (letters) => {
    const arrival = { at: clock.now(), maxFutureMs: maxFuture, maxAgeMs: maxAge };
    const refused = new Map<string, string>();
    for (const { id, payload } of letters) {
      const refusal = refusalOf(payload, arrival);
      if (refusal !== undefined) refused.set(id, refusal);
    }
    const sound = letters.filter(({ id }) => !refused.has(id));
    if (sound.length > 0)
      await bus.publish(
        TOPICS.samples,
        sound.map(({ agent, payload }) => ({ key: agent, value: payload })),
      );
    return refused;
  };
}
