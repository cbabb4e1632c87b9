/** Healthy: an LRU cache fills in a line for about half of the run, and then stands at its bound. */
import { heapBlock, KIB, MIB, load, number, random, tellHealthy } from './service.mjs';

const maxEntries = Math.round((number('CACHE_MIB', 50) * MIB) / (8 * KIB));
const fillSeconds = number('FILL_SECONDS', 400);

const cache = new Map();
let nextKey = 0;

function lookUp(key) {
  const entry = cache.get(key) ?? heapBlock(8 * KIB * (0.8 + 0.4 * random()));
  cache.delete(key);
  cache.set(key, entry);
  if (cache.size > maxEntries) cache.delete(cache.keys().next().value);
}

tellHealthy();
load(
  () => maxEntries / fillSeconds,
  () => {
    lookUp((nextKey += 1));
    for (let hit = 0; hit < 3; hit += 1) lookUp(nextKey - Math.floor(random() * Math.min(nextKey, maxEntries)));
  },
);
