/** A version against the last one before it, at equal age: what a growth is that the other did not have. */

import type { AgeProfile } from './age-profile.ts';
import type { Judgement } from '../../shared/judgement.ts';
import { bytesText } from '../../shared/bytes-text.ts';
import { medianOf } from './trend.ts';

const HOUR = 3_600_000;
/** A difference that is a smaller part of the growth says nothing of the version. */
const MIN_SHARE = 0.3;

export interface Aged {
  readonly version: string;
  readonly startedAt: number;
  readonly profile: AgeProfile;
}

/** The judgement with its version compared; as it is where no other version was seen at that age. `others` in order of time. */
export function compareVersions(judgement: Judgement, own: Aged, others: readonly Aged[]): Judgement {
  const { onsetAt, at, version } = judgement;
  if (judgement.verdict !== 'leak' || version === '' || onsetAt === null) return judgement;
  const range = [Math.max(0, onsetAt - own.startedAt), at - own.startedAt] as const;
  const now = own.profile.slope(...range);
  const before = others.findLast((one) => one.version !== version && one.version !== '' && one.profile.slope(...range) !== undefined);
  if (now === undefined || before === undefined) return judgement;
  const alike = others.flatMap((one) => (one.version === before.version ? [one.profile.slope(...range) ?? Number.NaN] : []));
  const more = now - medianOf(alike.filter((slope) => !Number.isNaN(slope)));
  const told =
    more > MIN_SHARE * now
      ? `${version} grows ${bytesText(more * HOUR)}/h more than ${before.version} at the same age`
      : `${before.version} grew alike at the same age`;
  return { ...judgement, explanation: `${judgement.explanation}; ${told}` };
}
