import { describe, expect, it } from 'vitest';
import { createLifecycle } from '../../shared/lifecycle.ts';

describe('lifecycle', () => {
  it('stops last first, once, and tells those who wait', async () => {
    const lifecycle = createLifecycle();
    const order: string[] = [];
    lifecycle.onStop('store', () => void order.push('store'));
    lifecycle.onStop('ingester', () => void order.push('ingester'));
    lifecycle.stopping.addEventListener('abort', () => order.push('told'));
    await Promise.all([lifecycle.stop(), lifecycle.stop()]);
    expect(order).toEqual(['told', 'ingester', 'store']);
  });

  it('stops the rest when one step fails or hangs, and names both', async () => {
    const lifecycle = createLifecycle(20);
    let stopped = false;
    lifecycle.onStop('store', () => {
      stopped = true;
    });
    lifecycle.onStop('socket', () => Promise.reject(new Error('already closed')));
    lifecycle.onStop('consumer', () => new Promise(() => undefined));
    await expect(lifecycle.stop()).rejects.toThrow(/stopping consumer: did not stop within 20 ms; stopping socket: already closed/);
    expect(stopped).toBe(true);
  });

  it('undoes what is registered while it is stopping', async () => {
    const lifecycle = createLifecycle();
    const order: string[] = [];
    lifecycle.onStop('late', () => {
      lifecycle.onStop('later', () => void order.push('later'));
      order.push('late');
    });
    await lifecycle.stop();
    expect(order).toEqual(['late', 'later']);
  });
});
