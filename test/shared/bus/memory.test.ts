/** The in-process bus: the promises of every bus, and that "published" means "stored". */
import { describe, expect, it } from 'vitest';
import { createMemoryBus } from '../../../shared/bus/memory.ts';
import { systemClock } from '../../../shared/clock.ts';
import { busConformance, collect, outgoing } from './bus-conformance.ts';

const topic = 'samples';
const open = (maxBytes?: number) => ({
  bus: createMemoryBus({ clock: systemClock, topics: [topic], ...(maxBytes !== undefined && { maxBytes }) }),
  topic,
});

busConformance('the in-process bus', () => Promise.resolve(open()));

describe('the in-process bus', () => {
  it('resolves publish only once the message is committed', async () => {
    const under = open();
    let published = false;
    const sent = under.bus.publish(topic, [outgoing('a', 0)]).then(() => (published = true));
    const { messages, watch, commitAll } = await collect(under);
    await watch.until(() => messages.length === 1);
    await new Promise((resolve) => setImmediate(resolve));
    expect(published).toBe(false);
    await commitAll();
    await sent;
  });

  it('refuses what it has no room for, and has room again after the commit', async () => {
    const under = open(10);
    const first = under.bus.publish(topic, [outgoing('a', 0), outgoing('a', 1)]);
    await expect(under.bus.publish(topic, [outgoing('b', 0), outgoing('b', 1)])).rejects.toMatchObject({
      code: 'LKL_ERR_BUS_FULL',
      retry: true,
    });
    const { messages, watch, commitAll } = await collect(under);
    await watch.until(() => messages.length === 2);
    await commitAll();
    await first;
    const second = under.bus.publish(topic, [outgoing('b', 0), outgoing('b', 1)]);
    await watch.until(() => messages.length === 4);
    await commitAll();
    await second;
  });

  it('rejects what is not stored when it closes', async () => {
    const { bus } = open();
    const pending = bus.publish(topic, [outgoing('a', 0)]);
    await bus.close();
    await expect(pending).rejects.toMatchObject({ code: 'LKL_ERR_BUS_UNAVAILABLE' });
    await expect(bus.ping()).rejects.toMatchObject({ code: 'LKL_ERR_BUS_UNAVAILABLE' });
  });

  it('drops at once what no one will ever take', async () => {
    await open(1).bus.publish('leakline.dead-letters', [outgoing('a', 0)]);
  });
});
