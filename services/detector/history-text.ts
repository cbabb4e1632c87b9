/** Names repeat from row to row: the same bytes give the same string without decoding them again. Bounded: a clash replaces. */

const SLOTS = 1 << 14;

interface Known {
  readonly bytes: Uint8Array;
  readonly text: string;
}

export class KnownTexts {
  readonly #slots: (Known | undefined)[] = new Array<Known | undefined>(SLOTS).fill(undefined);

  /** Text of buffer[from, to), UTF-8. */
  of(buffer: Buffer, from: number, to: number): string {
    let hash = to - from;
    for (let at = from; at < to; at += 1) hash = (Math.imul(hash, 31) + (buffer[at] as number)) | 0;
    const slot = (hash ^ (hash >>> 15)) & (SLOTS - 1);
    const known = this.#slots[slot];
    if (known !== undefined && isSame(known.bytes, buffer, from, to)) return known.text;
    const text = buffer.toString('utf8', from, to);
    this.#slots[slot] = { bytes: Uint8Array.prototype.slice.call(buffer, from, to), text };
    return text;
  }
}

function isSame(bytes: Uint8Array, buffer: Buffer, from: number, to: number): boolean {
  if (bytes.length !== to - from) return false;
  for (let index = 0; index < bytes.length; index += 1) if (bytes[index] !== buffer[from + index]) return false;
  return true;
}
