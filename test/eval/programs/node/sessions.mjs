/** Leaks per request under load that rises and falls: every request stores a session, none is ever removed. */
import { heapBlock, KIB, number, random, serve, tellLeak } from './service.mjs';

const sessionBytes = number('SESSION_KIB', 12) * KIB;
const requestsPerSecond = number('REQUESTS_PER_SECOND', 15);
const swing = number('SWING', 0.6);
const tideSeconds = number('TIDE_SECONDS', 240);

const sessions = new Map();

tellLeak('heap', requestsPerSecond * sessionBytes);
serve(
  (seconds) => requestsPerSecond * (1 + swing * Math.sin((2 * Math.PI * seconds) / tideSeconds)),
  (_, response) => {
    const id = `session-${sessions.size}`;
    sessions.set(id, { id, profile: heapBlock(sessionBytes * (0.5 + random())) });
    response.end(JSON.stringify(heapBlock(8 * KIB)));
  },
);
