/** What every Node program here shares: parameters, seeded chance, a beat that never loses load, and the truth it tells of itself. */
import { readFileSync } from 'node:fs';
import { Agent, createServer, request } from 'node:http';

export const number = (name, otherwise) => Number(process.env[name] ?? otherwise);
export const KIB = 1024;
export const MIB = 1024 * KIB;

const limitBytes = number('LIMIT_MIB', 160) * MIB;
const BEAT_MS = 100;

let state = number('SEED', 1) >>> 0;

/** mulberry32: uniform in [0, 1). */
export function random() {
  state = (state + 0x6d2b79f5) >>> 0;
  let t = state;
  t = Math.imul(t ^ (t >>> 15), t | 1);
  t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
  return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
}

/** `bytes` in the JavaScript heap proper: numbers in an array, with no buffer behind them. */
export function heapBlock(bytes) {
  return new Array(Math.ceil(bytes / 8)).fill(random());
}

/** Calls `work(seconds since start)` once per unit of load; `perSecond` may depend on the seconds. A late beat makes up for what it missed. */
export function load(perSecond, work) {
  const startMs = performance.now();
  let lastSeconds = 0;
  let owed = 0;
  setInterval(() => {
    const seconds = (performance.now() - startMs) / 1000;
    owed += (seconds - lastSeconds) * perSecond(seconds) * (0.5 + random());
    lastSeconds = seconds;
    for (; owed >= 1; owed -= 1) work(seconds);
  }, BEAT_MS);
}

/** Serves `answer(seconds)` over HTTP on loopback, and asks itself at the given rate. */
export function serve(perSecond, answer) {
  let now = 0;
  const server = createServer((_, response) => answer(now, response));
  // A connection that idles while the load is low must not be closed just as it is used again.
  server.keepAliveTimeout = 0;
  const agent = new Agent({ keepAlive: true });
  server.listen(0, '127.0.0.1', () => {
    const { port } = server.address();
    load(perSecond, (seconds) => {
      now = seconds;
      // On a machine this busy a request may be cut off; a client would try again.
      request({ host: '127.0.0.1', port, agent }, (response) => response.resume())
        .on('error', () => undefined)
        .end();
    });
  });
}

const tell = (truth) => console.log(JSON.stringify({ ...truth, limitBytes }));

export const tellHealthy = () => tell({ leak: false });

/** Told at the moment the leak begins; the recorder notes when the limit is really reached. */
export function tellLeak(kind, bytesPerSecond) {
  const residentBytes = Number(readFileSync('/proc/self/statm', 'utf8').split(' ')[1]) * 4096;
  const onsetAt = Date.now();
  tell({ leak: true, kind, onsetAt, exhaustsAt: Math.round(onsetAt + (1000 * (limitBytes - residentBytes)) / bytesPerSecond) });
}
