/** A Node service whose Buffers pile up outside the JavaScript heap. LEAK_MIB_PER_SECOND (default 2) sets the pace. */
const leakBytesPerSecond = Number(process.env.LEAK_MIB_PER_SECOND ?? 2) * 2 ** 20;
const BUFFER_BYTES = 65_536;
const TICK_MS = 100;

const uploads = [];
let owed = 0;
const load = setInterval(() => {
  owed += ((leakBytesPerSecond * TICK_MS) / 1_000 / BUFFER_BYTES) * (0.5 + Math.random());
  for (; owed >= 1; owed -= 1) uploads.push(Buffer.alloc(BUFFER_BYTES, 1));
}, TICK_MS);

process.on('SIGTERM', () => clearInterval(load));
console.log(`leaky-buffers: leaking ${leakBytesPerSecond / 2 ** 20} MiB/s`);
