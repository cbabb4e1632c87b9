/** Healthy: now and then a report takes a lot of memory for a while, in the heap and in Buffers, and gives it back. */
import { heapBlock, KIB, MIB, load, number, random, tellHealthy } from './service.mjs';

const burstBytes = number('BURST_MIB', 40) * MIB;
const everySeconds = number('EVERY_SECONDS', 110);
const lastsSeconds = number('LASTS_SECONDS', 20);

let report = [];
let nextAt = everySeconds * (0.5 + random() / 2);
let wanted = 0;

tellHealthy();
load(
  () => 20,
  (seconds) => {
    heapBlock(30 * KIB);
    if (seconds > nextAt + lastsSeconds) {
      report = [];
      wanted = 0;
      nextAt = seconds + everySeconds * (0.6 + 0.8 * random());
    } else if (seconds > nextAt) {
      if (wanted === 0) wanted = Math.round((burstBytes * (0.4 + 0.6 * random())) / (256 * KIB));
      for (let part = 0; part < 4 && report.length < wanted; part += 1)
        report.push(part % 2 === 0 ? heapBlock(256 * KIB) : Buffer.alloc(256 * KIB, 'row'));
    }
  },
);
