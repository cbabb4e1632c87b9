/** Healthy: what is in flight holds memory, so memory rises and falls with the load. */
import { heapBlock, KIB, number, random, serve, tellHealthy } from './service.mjs';

const requestsPerSecond = number('REQUESTS_PER_SECOND', 14);
const swing = number('SWING', 0.8);
const tideSeconds = number('TIDE_SECONDS', 500);
const heldBytes = number('HELD_KIB', 300) * KIB;
const heldMs = number('HELD_MS', 4_000);

tellHealthy();
serve(
  (seconds) => requestsPerSecond * (1 - swing * Math.cos((2 * Math.PI * seconds) / tideSeconds)),
  (_, response) => {
    const held = heapBlock(heldBytes * (0.5 + random()));
    setTimeout(() => response.end(String(held.length)), heldMs * (0.5 + random()));
  },
);
