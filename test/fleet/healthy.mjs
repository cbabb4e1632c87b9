/**
 * A Node service that looks alarming and is fine: it warms up (an LRU cache fills for WARM_UP_SECONDS, default 35),
 * makes a garbage-collection sawtooth under its own wavy load, and then stays on one floor for good.
 * CACHE_MIB (default 48) bounds the cache.
 */
import { randomBytes } from 'node:crypto';

const warmUpSeconds = Number(process.env.WARM_UP_SECONDS ?? 35);
const ENTRY_BYTES = 16_384;
const maxEntries = Math.round((Number(process.env.CACHE_MIB ?? 48) * 2 ** 20) / ENTRY_BYTES);
const TICK_MS = 100;

const cache = new Map();

function cached(key) {
  const hit = cache.get(key);
  if (hit !== undefined) {
    cache.delete(key);
    cache.set(key, hit);
    return hit;
  }
  if (cache.size >= maxEntries) cache.delete(cache.keys().next().value);
  const entry = { key, body: randomBytes(ENTRY_BYTES / 2).toString('hex') };
  cache.set(key, entry);
  return entry;
}

/** Short-lived garbage of a request: ~60 KiB. */
function serve(key) {
  const rows = Array.from({ length: 400 }, (_, row) => ({ row, text: `${row}:${key}` }));
  return rows.filter(({ row }) => row % 2 === 0).length + cached(key).body.length;
}

const missesPerTick = ((maxEntries / warmUpSeconds) * TICK_MS) / 1_000;
let tick = 0;
let owed = 0;
let nextKey = 0;
const load = setInterval(() => {
  tick += 1;
  // Load breathes by a third over 40 s. Once the cache is full, one request in twenty is for a page not in it.
  const wave = 1 + Math.sin((tick * TICK_MS) / 1_000 / 6.4) / 3;
  owed += missesPerTick * wave;
  const warm = cache.size >= maxEntries;
  for (; owed >= 1; owed -= 1) {
    const isNew = !warm || Math.random() < 0.05;
    serve(isNew ? (nextKey += 1) : nextKey - Math.floor(Math.random() * maxEntries));
  }
}, TICK_MS);

process.on('SIGTERM', () => clearInterval(load));
console.log(`healthy: cache bounded at ${maxEntries} entries, full after about ${warmUpSeconds} s`);
