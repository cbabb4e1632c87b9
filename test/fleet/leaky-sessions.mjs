/**
 * A Node service that leaks: sessions are stored on every sign-in and never evicted. It makes its own load.
 * LEAK_MIB_PER_SECOND (default 0.4) sets the pace, PORT a port for people to look at (default: any free one).
 */
import { randomBytes, randomUUID } from 'node:crypto';
import { createServer } from 'node:http';

const leakBytesPerSecond = Number(process.env.LEAK_MIB_PER_SECOND ?? 0.4) * 2 ** 20;
const SESSION_BYTES = 2_048;
const TICK_MS = 100;

const sessions = new Map();

function signIn() {
  const id = randomUUID();
  // A hex string of 1.5 to 2.5 KiB lives on the JavaScript heap, as parsed profiles and rendered fragments do.
  const size = SESSION_BYTES * (0.75 + Math.random() / 2);
  sessions.set(id, { id, user: `user-${sessions.size}`, seenAt: performance.now(), profile: randomBytes(size / 2).toString('hex') });
  return id;
}

function page(id) {
  const rows = Array.from({ length: 40 }, (_, row) => ({ row, id, text: `order ${row} of ${sessions.size}` }));
  return JSON.stringify(rows);
}

const server = createServer((_request, response) => {
  response.end(page(signIn()));
});
server.listen(Number(process.env.PORT ?? 0), '127.0.0.1', () => {
  console.log(`leaky-sessions: http://127.0.0.1:${server.address().port} leaking ${leakBytesPerSecond / 2 ** 20} MiB/s`);
});

let owed = 0;
const load = setInterval(() => {
  owed += ((leakBytesPerSecond * TICK_MS) / 1_000 / SESSION_BYTES) * (0.5 + Math.random());
  for (; owed >= 1; owed -= 1) page(signIn());
}, TICK_MS);

process.on('SIGTERM', () => {
  clearInterval(load);
  server.close();
  server.closeAllConnections();
});
