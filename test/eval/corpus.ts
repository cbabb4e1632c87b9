/** The corpus by part: `dev` is for looking at, `held` has other seeds and wider ranges and is looked at once. */
import { BENIGN, benignCase } from './benign.ts';
import type { Case } from './corpus-case.ts';
import { LEAKS, leakCase } from './leaks.ts';
import { heapCase, machineCase } from './machines.ts';

export type Part = 'dev' | 'held';

const SEEDS: Record<Part, { readonly first: number; readonly stretch: number }> = {
  dev: { first: 1_000, stretch: 0 },
  held: { first: 184_700_000, stretch: 0.12 },
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
  for (let number = 0; number < perFamily * 4; number += 1) {
    const seed = first + 50_000 + number * 7919;
    for (const [index, family] of SHAPED.entries()) ids.push({ family, seed: seed + index * 331, stretch });
  }
  return ids;
}

/** Not textbook effects but whole machines and heaps; scored as sets of their own. */
const SHAPED = ['machine', 'leak on a machine', 'JVM heap'];

/** Sets that must each meet the bar. */
export function setOf(family: string): string {
  if (family === 'JVM heap') return 'JVM heaps';
  if (family.endsWith('machine')) return 'machines';
  if (family.endsWith('real program')) return 'real programs';
  return family.endsWith('real pod') ? 'real pods' : 'synthetic';
}

export function makeCase({ family, seed, stretch }: CaseId): Case {
  if (family === 'JVM heap') return heapCase(seed, stretch);
  if (family.endsWith('machine')) return machineCase(seed, stretch, family.startsWith('leak'));
  return family in LEAKS ? leakCase(family, seed, stretch) : benignCase(family, seed, stretch);
}
