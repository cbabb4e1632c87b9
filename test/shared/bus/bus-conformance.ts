/** What every bus promises, whichever it is. Each test gets a topic of its own. */
import { describe, expect, it, onTestFinished } from 'vitest';
import type { Bus, BusMessage, OutgoingMessage, SubscribeOptions, Subscription } from '../../../shared/bus/bus.ts';

export interface BusUnderTest {
  readonly bus: Bus;
  readonly topic: string;
}

export const outgoing = (key: string, index: number): OutgoingMessage => ({ key, value: Buffer.from(`${key}:${index}`) });

export const textOf = ({ value }: Pick<BusMessage, 'value'>) => value.toString();

/** Resolves once `seen` holds what the test waits for; every change has to call `changed`. */
export class Watch {
  #waiting: (() => void)[] = [];

  changed(): void {
    for (const check of [...this.#waiting]) check();
  }

  async until(condition: () => boolean): Promise<void> {
    if (condition()) return;
    await new Promise<void>((resolve) => {
      const check = () => {
        if (!condition()) return;
        this.#waiting = this.#waiting.filter((other) => other !== check);
        resolve();
      };
      this.#waiting.push(check);
    });
  }
}

/** A subscriber that remembers what it was given. */
export async function collect({ bus, topic }: BusUnderTest, options: Partial<SubscribeOptions> = {}) {
  const watch = new Watch();
  const messages: BusMessage[] = [];
  const revoked: number[][] = [];
  const subscription: Subscription = await bus.subscribe({
    topic,
    group: `group-of-${topic}`,
    onRevoked: (partitions) => {
      revoked.push([...partitions]);
      watch.changed();
    },
    ...options,
    onMessages: async (batch) => {
      messages.push(...batch);
      watch.changed();
      await options.onMessages?.(batch);
    },
  });
  onTestFinished(() => subscription.stop());
  return {
    subscription,
    messages,
    revoked,
    watch,
    /** Commits everything given so far. */
    commitAll: () => subscription.commit(new Map(messages.map(({ partition, offset }) => [partition, offset + 1n]))),
    texts: () => messages.map(textOf),
  };
}

export function busConformance(name: string, open: () => Promise<BusUnderTest>): void {
  const opened = async () => {
    const under = await open();
    onTestFinished(() => under.bus.close());
    return under;
  };
  /** Without waiting: an in-process bus resolves only after the commit. */
  const send = ({ bus, topic }: BusUnderTest, messages: readonly OutgoingMessage[]) => {
    const sent = bus.publish(topic, messages);
    sent.catch(() => undefined);
    return sent;
  };

  describe(`${name} keeps the promises of a bus`, () => {
    it('hands over keys, values and headers, in order per key, with rising offsets and an arrival time', async () => {
      const under = await opened();
      const before = Date.now();
      const sent = [];
      for (let index = 0; index < 20; index++) sent.push(send(under, [outgoing('a', index), outgoing('b', index)]));
      sent.push(send(under, [{ key: 'c', value: Buffer.from([0, 255, 10]), headers: { reason: 'ü' } }]));
      const { messages, watch, commitAll } = await collect(under);
      await watch.until(() => messages.length === 41);
      for (const key of ['a', 'b']) {
        const own = messages.filter((message) => message.key === key);
        expect(own.map(textOf)).toEqual(Array.from({ length: 20 }, (_, index) => `${key}:${index}`));
        expect(own.every(({ offset }, index) => index === 0 || offset > own[index - 1]!.offset)).toBe(true);
      }
      const binary = messages.find(({ key }) => key === 'c');
      expect(binary).toMatchObject({ value: Buffer.from([0, 255, 10]), headers: { reason: 'ü' } });
      for (const { timestamp } of messages) expect(Math.abs(timestamp - before)).toBeLessThan(60_000);
      await commitAll();
      await Promise.all(sent);
    });

    it('delivers again what was not committed, and not what was', async () => {
      const under = await opened();
      void send(under, [outgoing('a', 0), outgoing('a', 1), outgoing('a', 2)]);
      const first = await collect(under);
      await first.watch.until(() => first.messages.length === 3);
      const second = first.messages[1]!;
      await first.subscription.commit(new Map([[second.partition, second.offset]]));
      await first.subscription.stop();
      expect(first.revoked.flat()).toContain(second.partition);
      const again = await collect(under);
      await again.watch.until(() => again.messages.length === 2);
      expect(again.texts()).toEqual(['a:1', 'a:2']);
      await again.commitAll();
      await again.subscription.stop();
      void send(under, [outgoing('a', 3)]);
      const third = await collect(under);
      await third.watch.until(() => third.messages.length > 0);
      expect(third.texts()).toEqual(['a:3']);
    });

    it('waits with the next messages until the last are taken', async () => {
      const under = await opened();
      let running = 0;
      let most = 0;
      const release: (() => void)[] = [];
      const { messages, watch } = await collect(under, {
        onMessages: () => {
          most = Math.max(most, ++running);
          return new Promise<void>((resolve) => {
            release.push(() => {
              running--;
              resolve();
            });
            watch.changed();
          });
        },
      });
      void send(under, [outgoing('a', 0)]);
      await watch.until(() => release.length === 1);
      const rest = Array.from({ length: 9 }, (_, index) => outgoing('a', index + 1));
      for (const message of rest) void send(under, [message]);
      await new Promise((resolve) => setTimeout(resolve, 50));
      expect(messages).toHaveLength(1);
      release.shift()?.();
      while (messages.length < 10) {
        await watch.until(() => release.length > 0);
        release.shift()?.();
        await new Promise((resolve) => setImmediate(resolve));
      }
      expect(most).toBe(1);
      expect(messages.map(textOf)).toEqual(Array.from({ length: 10 }, (_, index) => `a:${index}`));
    });

    it('delivers from the last commit when taking them failed', async () => {
      const under = await opened();
      let failures = 1;
      const { messages, revoked, texts, watch, commitAll } = await collect(under, {
        onMessages: () => (failures-- > 0 ? Promise.reject(new Error('no room')) : Promise.resolve()),
      });
      void send(under, [outgoing('a', 0), outgoing('a', 1)]);
      await watch.until(() => messages.length >= 4);
      expect(texts().slice(-2)).toEqual(['a:0', 'a:1']);
      expect(revoked).toHaveLength(1);
      await commitAll();
    });

    it('refuses to commit what was never handed out', async () => {
      const under = await opened();
      void send(under, [outgoing('a', 0)]);
      const { messages, watch, subscription } = await collect(under);
      await watch.until(() => messages.length === 1);
      const [{ partition, offset }] = messages as [BusMessage];
      await expect(subscription.commit(new Map([[partition, offset + 2n]]))).rejects.toMatchObject({ code: 'LKL_ERR_BUS_UNAVAILABLE' });
      await expect(subscription.commit(new Map([[partition, offset + 1n]]))).resolves.toBeUndefined();
      await subscription.stop();
      await expect(subscription.commit(new Map([[partition, offset + 1n]]))).rejects.toMatchObject({ code: 'LKL_ERR_BUS_UNAVAILABLE' });
      expect(subscription.partitions()).toEqual([]);
    });

    it('knows its partitions and its lag', async () => {
      const under = await opened();
      void send(under, [outgoing('a', 0), outgoing('a', 1), outgoing('a', 2)]);
      const { messages, watch, subscription } = await collect(under);
      await watch.until(() => messages.length === 3);
      expect(subscription.partitions()).toContain(messages[0]!.partition);
      const { partition } = messages[0]!;
      expect((await subscription.lag()).get(partition)).toBe(3);
      await subscription.commit(new Map([[partition, messages[2]!.offset]]));
      expect((await subscription.lag()).get(partition)).toBe(1);
    });

    it('stops while a subscriber still waits for room', async () => {
      const under = await opened();
      const { watch, messages, subscription } = await collect(under, { onMessages: () => new Promise(() => undefined) });
      void send(under, [outgoing('a', 0)]);
      await watch.until(() => messages.length === 1);
      await subscription.stop();
    });

    it('answers a ping, and refuses to publish once closed', async () => {
      const { bus, topic } = await opened();
      await bus.ping();
      await bus.close();
      await expect(bus.publish(topic, [outgoing('a', 0)])).rejects.toMatchObject({ code: 'LKL_ERR_BUS_UNAVAILABLE', retry: true });
    });
  });
}
