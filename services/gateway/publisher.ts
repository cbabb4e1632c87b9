/** Puts messages on the bus within a bounded time, and says once when the bus goes away and when it is back. */
import { TOPICS, type Bus, type OutgoingMessage } from '../../shared/bus/bus.ts';
import { LeaklineError } from '../../shared/errors.ts';
import type { Logger } from '../../shared/log.ts';
import type { Metrics } from '../../shared/metrics.ts';

export interface PublisherOptions {
  readonly bus: Pick<Bus, 'publish'>;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** After this the sender is told to come again; should the bus take the messages late after all, the store knows them twice. */
  readonly timeoutMs: number;
}

/** Resolves once the bus has the messages for good; throws LKL_ERR_BUS_UNAVAILABLE, LKL_ERR_BUS_FULL or what the bus says of a bad message. */
export type Publish = (messages: readonly OutgoingMessage[]) => Promise<void>;

export function createPublisher({ bus, log, metrics, timeoutMs }: PublisherOptions): Publish {
  const seconds = metrics.histogram('leakline_gateway_publish_seconds', 'time until the bus had a request’s messages for good');
  let isAway = false;

  const publishInTime = async (messages: readonly OutgoingMessage[]) => {
    let timer: NodeJS.Timeout | undefined;
    const timeout = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        reject(new LeaklineError('LKL_ERR_BUS_UNAVAILABLE', `the bus did not take the samples within ${timeoutMs} ms: send them again`));
      }, timeoutMs);
    });
    try {
      await Promise.race([bus.publish(TOPICS.samples, messages), timeout]);
    } catch (error) {
      if (error instanceof LeaklineError) throw error;
      throw new LeaklineError('LKL_ERR_BUS_UNAVAILABLE', 'the bus did not take the samples: send them again', { cause: error });
    } finally {
      clearTimeout(timer);
    }
  };

  return async (messages) => {
    const stopTimer = seconds.startTimer();
    try {
      await publishInTime(messages);
      if (isAway) log.info('the bus takes samples again');
      isAway = false;
    } catch (error) {
      if (!isAway && error instanceof LeaklineError && error.retry) {
        log.warn({ err: error }, 'the bus takes no samples; senders are told to come again');
        isAway = true;
      }
      throw error;
    } finally {
      stopTimer();
    }
  };
}
