/** How the project reaches Kafka: one place for addresses, credentials, time-outs and what an error means. */
import { readFileSync } from 'node:fs';
import kafkajs, { type KafkaConfig, type SASLOptions } from 'kafkajs';
import type { Config } from '../config.ts';
import { LeaklineError } from '../errors.ts';
import type { Logger } from '../log.ts';
import './kafka-gzip.ts';
import './kafkajs-cures.ts';

export type KafkaSettings = Config['bus'];

/** Longest a call of ours may take, however many retries kafkajs nests within. */
const CALL_TIMEOUT_MS = 15_000;

function saslOf({ saslMechanism: mechanism, saslUsername: username, saslPassword: password }: KafkaSettings): SASLOptions | undefined {
  return mechanism === '' ? undefined : { mechanism, username, password };
}

function tlsOf({ tls, caFile, certFile, keyFile }: KafkaSettings): KafkaConfig['ssl'] {
  const read = (path: string) => (path === '' ? undefined : readFileSync(path, 'utf8'));
  const files = { ca: read(caFile), cert: read(certFile), key: read(keyFile) };
  return tls ? Object.fromEntries(Object.entries(files).filter(([, pem]) => pem !== undefined)) : undefined;
}

/** Reads certificate files; throws LKL_ERR_CONFIG when it cannot, or when no broker is named. */
export function connectKafka(settings: KafkaSettings, log: Logger): kafkajs.Kafka {
  if (settings.brokers.length === 0)
    throw new LeaklineError('LKL_ERR_CONFIG', 'bus.kind is kafka but bus.brokers is empty: name at least one HOST:PORT');
  let ssl: KafkaConfig['ssl'];
  try {
    ssl = tlsOf(settings);
  } catch (error) {
    throw new LeaklineError('LKL_ERR_CONFIG', `a TLS file of the bus cannot be read: ${describe(error)}`, { cause: error });
  }
  const sasl = saslOf(settings);
  return new kafkajs.Kafka({
    clientId: settings.clientId,
    brokers: [...settings.brokers],
    connectionTimeout: 5_000,
    requestTimeout: 20_000,
    retry: { retries: 4, initialRetryTime: 100, maxRetryTime: 1_000 },
    ...(ssl !== undefined && { ssl }),
    ...(sasl !== undefined && { sasl }),
    // Its own log repeats every retry; what matters comes out as an error of ours.
    logLevel: kafkajs.logLevel.WARN,
    logCreator:
      () =>
      ({ namespace, log: entry }) => {
        log.debug({ kafkajs: namespace }, entry.message);
      },
  });
}

export const describe = (error: unknown): string => (error instanceof Error ? error.message : String(error));

export function toBusError(error: unknown, doing: string): LeaklineError {
  if (error instanceof LeaklineError) return error;
  const root = rootCause(error);
  if (Reflect.get(root, 'type') === 'MESSAGE_TOO_LARGE') {
    const message = `${doing}: larger than the topic's max.message.bytes even when compressed: send smaller batches`;
    return new LeaklineError('LKL_ERR_BATCH_TOO_LARGE', message, { cause: error });
  }
  const missing = Reflect.get(root, 'type') === 'UNKNOWN_TOPIC_OR_PARTITION' ? ' (no such topic: `leakline migrate` creates it)' : '';
  return new LeaklineError('LKL_ERR_BUS_UNAVAILABLE', `${doing}: ${describe(root)}${missing}`, { cause: error });
}

/** kafkajs wraps what happened in "number of retries exceeded". */
function rootCause(error: unknown): Error {
  let root = error instanceof Error ? error : new Error(String(error));
  while (root.cause instanceof Error) root = root.cause;
  return root;
}

/** Rejects with LKL_ERR_BUS_UNAVAILABLE when the call takes longer than it may; the call itself cannot be stopped. */
export async function bounded<Result>(call: Promise<Result>, doing: string, timeoutMs = CALL_TIMEOUT_MS): Promise<Result> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new LeaklineError('LKL_ERR_BUS_UNAVAILABLE', `${doing}: no answer within ${timeoutMs} ms`)), timeoutMs);
  });
  try {
    return await Promise.race([call, timeout]);
  } catch (error) {
    throw toBusError(error, doing);
  } finally {
    clearTimeout(timer);
  }
}
