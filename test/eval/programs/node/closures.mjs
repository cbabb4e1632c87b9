/** Leaks slowly under a deep sawtooth: a memo of closures keyed by request, beneath results that live just long enough to grow old. */
import { heapBlock, KIB, MIB, load, number, random, tellLeak } from './service.mjs';

const leakBytesPerSecond = number('LEAK_KIB_PER_SECOND', 110) * KIB;
const garbageBytesPerSecond = number('GARBAGE_MIB_PER_SECOND', 3) * MIB;
const keptSeconds = number('KEPT_SECONDS', 6);
const PER_SECOND = 20;

const memo = new Map();
let recent = [];

tellLeak('heap', leakBytesPerSecond);
load(
  () => PER_SECOND,
  (seconds) => {
    const request = { id: `request-${memo.size}`, body: heapBlock((leakBytesPerSecond / PER_SECOND) * (0.5 + random())) };
    memo.set(request.id, () => request.body.length);
    recent.push(heapBlock((garbageBytesPerSecond / PER_SECOND) * (0.5 + random())));
    if (seconds % keptSeconds < 1 / PER_SECOND) recent = [];
    if (recent.length > PER_SECOND * keptSeconds) recent = recent.slice(PER_SECOND);
  },
);
