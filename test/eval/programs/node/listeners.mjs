/** Leaks from a release in the middle of the run on: each order listens for price changes, and since then nobody stops listening. */
import { EventEmitter } from 'node:events';
import { heapBlock, KIB, load, number, random, tellLeak } from './service.mjs';

const orderBytes = number('ORDER_KIB', 8) * KIB;
const ordersPerSecond = number('ORDERS_PER_SECOND', 30);
const onsetSeconds = number('ONSET_SECONDS', 240);

const prices = new EventEmitter().setMaxListeners(0);
let told = false;

load(
  () => ordersPerSecond,
  (seconds) => {
    const order = { lines: heapBlock(orderBytes * (0.5 + random())) };
    const onChange = (price) => order.lines.length * price;
    prices.on('change', onChange);
    if (seconds < onsetSeconds) {
      setTimeout(() => prices.off('change', onChange), 1_500);
      return;
    }
    if (!told) tellLeak('heap', ordersPerSecond * orderBytes);
    told = true;
  },
);
