/** What a judgement waits for, and until when at the latest: a verdict, or the alert of a leak that the fleet's budget holds back. */
import type { ApiJudgement as Judgement } from '../api-schema.ts';
import { formatLeft } from './format.ts';

export function waitingText({ verdict, waitingFor, decidesBy }: Judgement, now: number): string {
  if (waitingFor === '') return '';
  const [waits, then] =
    verdict === 'leak' ? ['no alert yet: waits for', '; in any case it goes out within'] : ['waits for', ' and decides within'];
  return `${waits} ${waitingFor}${decidesBy === null || decidesBy <= now ? '' : `${then} ${formatLeft(decidesBy, now)}`}`;
}
