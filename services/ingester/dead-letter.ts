/** What becomes of messages that cannot be read and of rows that were refused: a letter that says why. Pure. */
import { TOPICS, type BusMessage, type OutgoingMessage } from '../../shared/bus/bus.ts';
import type { LeaklineError } from '../../shared/errors.ts';
import type { DeadLetter } from '../../shared/store/dead-letters.ts';
import type { DecodedBatch } from '../../shared/wire.ts';

/** Enough to see what it was; the whole message stays on the bus for its retention. */
const PAYLOAD_BYTES = 64 * 1024;

/** Letters of one replayed message are equal: `at` is its arrival, `source` its place on the bus. */
function letter(message: BusMessage, code: string, reason: string): DeadLetter {
  const cut = message.value.length > PAYLOAD_BYTES;
  return {
    at: message.timestamp,
    source: `${TOPICS.samples}/${message.partition}/${message.offset}`,
    agent: message.key,
    code,
    reason: cut ? `${reason} (payload cut: ${PAYLOAD_BYTES} of ${message.value.length} bytes)` : reason,
    payload: cut ? message.value.subarray(0, PAYLOAD_BYTES) : message.value,
  };
}

export function unreadable(message: BusMessage, error: LeaklineError): DeadLetter {
  return letter(message, error.code, error.message);
}

/** One letter for all refused rows of a message, under the most frequent reason; undefined when none was refused. */
export function refusedRows(message: BusMessage, { batch, problems }: DecodedBatch): DeadLetter | undefined {
  const refusals = [...problems.refused].sort(([, a], [, b]) => b - a);
  const first = refusals[0];
  if (first === undefined) return undefined;
  const refused = refusals.reduce((sum, [, count]) => sum + count, 0);
  const listed = refusals.map(([refusal, count]) => `${refusal} ${count}`).join(', ');
  return letter(message, first[0], `${refused} rows refused, ${batch.samples.time.length} samples taken: ${listed}`);
}

export function toMessage({ agent, code, reason, source, payload }: DeadLetter): OutgoingMessage {
  return { key: agent, value: payload, headers: { code, reason, source } };
}

/**
 * At most so many letters a minute are kept: a fleet with a wrong clock must not fill the store with copies of itself.
 * Whatever is not kept is still counted.
 */
export class LetterBudget {
  readonly #perMinute: number;
  #minute = -1;
  #spent = 0;

  constructor(perMinute: number) {
    this.#perMinute = perMinute;
  }

  take(at: number): boolean {
    const minute = Math.floor(at / 60_000);
    if (minute !== this.#minute) {
      this.#minute = minute;
      this.#spent = 0;
    }
    return this.#spent++ < this.#perMinute;
  }
}
