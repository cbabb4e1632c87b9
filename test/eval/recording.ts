/** The recordings of real programs: an index of truths beside one gzipped CSV each, in the format of `leakline backtest`. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Part } from './corpus.ts';

export const RECORDINGS = join(import.meta.dirname, 'recordings');
const INDEX = join(RECORDINGS, 'index.json');

export interface Recording {
  /** Program and part; its file is `NAME.csv.gz`. */
  readonly name: string;
  readonly program: string;
  readonly runtime: string;
  readonly part: Part;
  readonly parameters: Readonly<Record<string, number>>;
  readonly leak: boolean;
  readonly limitBytes: number;
  /** Of a leak only. */
  readonly kind?: 'heap' | 'native';
  /** When it began, as the program said at that moment, ms UTC. */
  readonly onsetAt?: number;
  /** When the limit was reached or the heap was full; where the recording ends before, as the program foresaw it at the onset. */
  readonly exhaustsAt?: number;
  readonly reachedLimit?: boolean;
}

export const fileOf = (name: string): string => join(RECORDINGS, `${name}.csv.gz`);

export function readIndex(): Recording[] {
  return JSON.parse(readFileSync(INDEX, 'utf8')) as Recording[];
}

/** Recordings made anew take the place of those of the same name. */
export function addToIndex(made: readonly Recording[]): void {
  const all = new Map([...readIndex(), ...made].map((recording) => [recording.name, recording]));
  const sorted = [...all.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  writeFileSync(INDEX, `[\n${sorted.map((recording) => `  ${JSON.stringify(recording)}`).join(',\n')}\n]\n`);
}
