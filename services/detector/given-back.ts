/**
 * What a false alarm teaches: a process that was alarmed of and gave the memory back by itself will do so again, as a job does that
 * runs every night. It is news only once it grows well beyond that. A restart ends the lesson, for then it was the restart that freed
 * the memory; growth that ended and stayed is a level held, which the gates know.
 */
import type { Incident } from '../../shared/incident.ts';
import type { Judgement } from '../../shared/judgement.ts';

/** Such jobs differ from night to night, and how high one went is known from its last judgement alone. */
const BEYOND = 1.5;
/** So near to its limit a process is in trouble whatever it did before. */
const NEAR_LIMIT = 0.9;

/** Level that a leak must stand at to be told, bytes; 0 = any. `past`: incidents of its service. */
export function levelOfNews(leak: Judgement, past: Iterable<Incident>): number {
  let level = 0;
  for (const { state, openedAt, openedWith, judgement, highestBytes } of past) {
    const isSame = leak.startedAt < openedAt && openedWith.instances.some((instance) => leak.instances.includes(instance));
    if (state !== 'resolved' || !isSame) continue;
    const origin = openedWith.fit?.fromBytes ?? openedWith.levelBytes;
    const grown = highestBytes - origin;
    if (judgement.levelBytes < origin + 0.5 * grown) level = Math.max(level, origin + BEYOND * grown);
  }
  return leak.limitBytes > 0 ? Math.min(level, NEAR_LIMIT * leak.limitBytes) : level;
}
