/** Healthy: results live just long enough to grow old, so the heap climbs and falls with each full collection, after a short warm-up. */
import { heapBlock, MIB, load, number, random, tellHealthy } from './service.mjs';

const tables = heapBlock(number('TABLES_MIB', 12) * MIB);
const garbageBytesPerSecond = number('GARBAGE_MIB_PER_SECOND', 2) * MIB;
const keptSeconds = number('KEPT_SECONDS', 8);
const PER_SECOND = 20;

const recent = [];

tellHealthy();
load(
  () => PER_SECOND,
  () => {
    recent.push(heapBlock((garbageBytesPerSecond / PER_SECOND) * (0.5 + random())));
    if (recent.length > PER_SECOND * keptSeconds) recent.splice(0, PER_SECOND);
    tables[Math.floor(random() * tables.length)] = random();
  },
);
