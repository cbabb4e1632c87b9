/** What becomes of messages that cannot be read and of rows that were refused: a letter that says why. Pure. */
import { TOPICS, type BusMessage, type OutgoingMessage } from '../../shared/bus/bus.ts';
import type { LeaklineError } from '../../shared/errors.ts';
import type { DeadLetter } from '../../shared/store/dead-letters.ts';
import type { DecodedBatch } from '../../shared/wire.ts';

/** Holds every message an agent sends whole, so that it can be replayed; of a larger one enough to see what it was. */
const PAYLOAD_BYTES = 1024 * 1024;

/** Letters of one replayed message are equal: `at` is its arrival, `source` its place on the bus. */
function letter(message: BusMessage, code: string, reason: string, maxBytes = PAYLOAD_BYTES): DeadLetter {
  const cut = message.value.length > maxBytes;
  return {
    at: message.timestamp,
    source: `${TOPICS.samples}/${message.partition}/${message.offset}`,
    agent: message.key,
    code,
    reason: cut ? `${reason} (payload cut: ${maxBytes} of ${message.value.length} bytes)` : reason,
    isCut: cut,
    payload: cut ? Buffer.from(message.value.subarray(0, maxBytes)) : message.value,
  };
}

export function unreadable(message: BusMessage, error: LeaklineError): DeadLetter {
  return letter(message, error.code, error.message);
}

/** Whole whatever its size: what is in it was accepted, so nothing of it may be lost. */
export function refusedByStore(message: BusMessage, error: LeaklineError): DeadLetter {
  return letter(message, error.code, error.message, Infinity);
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

/** A minute's worth of letters. */
export interface LetterLimits {
  readonly letters: number;
  readonly bytes: number;
  /** Of one agent for one reason: one that floods leaves room for the others. */
  readonly alike: number;
}

export const LETTER_LIMITS: LetterLimits = { letters: 600, bytes: 16 * 1024 * 1024, alike: 20 };

/**
 * At most so many letters a minute are kept: a fleet with a wrong clock must not fill the store with copies of itself.
 * Whatever is not kept is still counted, and the messages stay on the bus for its retention.
 */
export class LetterBudget {
  readonly #limits: LetterLimits;
  #minute = -1;
  #letters = 0;
  #bytes = 0;
  readonly #alike = new Map<string, number>();

  constructor(limits: LetterLimits) {
    this.#limits = limits;
  }

  take({ agent, code, payload }: Pick<DeadLetter, 'agent' | 'code' | 'payload'>, at: number): boolean {
    const minute = Math.floor(at / 60_000);
    if (minute !== this.#minute) {
      this.#minute = minute;
      this.#letters = this.#bytes = 0;
      this.#alike.clear();
    }
    const { letters, bytes, alike } = this.#limits;
    const kind = `${code}\0${agent}`;
    const before = this.#alike.get(kind) ?? 0;
    if (this.#letters >= letters || before >= alike || this.#bytes + payload.length > bytes) return false;
    this.#letters++;
    this.#bytes += payload.length;
    this.#alike.set(kind, before + 1);
    return true;
  }
}
