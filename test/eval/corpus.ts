/** The corpus by part: `dev` is for looking at, `held` has other seeds and wider ranges and is looked at once. */
import { BENIGN, benignCase } from './benign.ts';
import type { Case } from './corpus-case.ts';
import { LEAKS, leakCase } from './leaks.ts';

export type Part = 'dev' | 'held';

const SEEDS: Record<Part, { readonly first: number; readonly stretch: number }> = {
  dev: { first: 1_000, stretch: 0 },
  held: { first: 700_000, stretch: 0.12 },
};

export interface CaseId {
  readonly family: string;
  readonly seed: number;
  readonly stretch: number;
}

/** `perFamily` cases of each benign family and half again as many of each leak family, so both halves weigh alike. */
export function caseIds(part: Part, perFamily: number): CaseId[] {
  const { first, stretch } = SEEDS[part];
  const ids: CaseId[] = [];
  for (const [index, family] of [...Object.keys(BENIGN), ...Object.keys(LEAKS)].entries()) {
    const count = family in LEAKS ? Math.round(perFamily * 1.5) : perFamily;
    for (let number = 0; number < count; number += 1) ids.push({ family, seed: first + index * 997 + number * 7919, stretch });
  }
  return ids;
}

export function makeCase({ family, seed, stretch }: CaseId): Case {
  return family in LEAKS ? leakCase(family, seed, stretch) : benignCase(family, seed, stretch);
}
