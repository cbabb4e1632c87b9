/** One process being watched: its open files, its identity as samples carry it, and what was last read. */
import type { ProcessIdentity } from '../../shared/sample.ts';
import type { Cgroup } from './cgroup.ts';
import type { Candidate } from './discover.ts';
import type { ProcessFiles } from './proc.ts';
import type { RuntimeReading, RuntimeTarget } from './runtime-source.ts';
import type { SmapsState } from './smaps.ts';

export interface Watched extends Candidate {
  readonly files: ProcessFiles;
  readonly nsPid: number | undefined;
  readonly smaps: SmapsState;
  /** As the rules found it; `identity` may differ by what the process says of itself. */
  found: ProcessIdentity;
  identity: ProcessIdentity;
  /** Group of the instance slot it holds. */
  instanceBase: string;
  cgroup: Cgroup | undefined;
  /** Command line and cgroup the identity rests on; '' once they are no longer looked at. */
  basis: string;
  /** They were found unchanged once: the next look, when the process is no longer young, is the last. */
  confirmed: boolean;
  rssBytes: number;
  unreadable: boolean;
  /** Readings of this tick. */
  readings: RuntimeReading[];
  /** What of `readings` the identity already has in it. */
  selfDescription: string;
}

export function runtimeTarget(watched: Watched): RuntimeTarget {
  const { pid, startedAt, nsPid, found } = watched;
  return { pid, startedAt, runtime: found.runtime, service: found.service, ...(nsPid === undefined ? {} : { nsPid }) };
}

export interface SelfDescription {
  readonly service: string | undefined;
  readonly environment: string | undefined;
  readonly version: string | undefined;
  readonly instance: string | undefined;
  readonly runtime: ProcessIdentity['runtime'] | undefined;
  readonly labels: Readonly<Record<string, string>>;
}

/** What the sources together say of who the process is: the first that says something counts. */
export function describeItself(readings: readonly RuntimeReading[]): SelfDescription {
  const first = <Field extends 'service' | 'environment' | 'version' | 'instance' | 'runtime'>(field: Field) =>
    readings.find((reading) => reading[field] !== undefined && reading[field] !== '')?.[field];
  return {
    service: first('service'),
    environment: first('environment'),
    version: first('version'),
    instance: first('instance'),
    runtime: first('runtime'),
    labels: Object.assign({}, ...readings.map((reading) => reading.labels ?? {})) as Record<string, string>,
  };
}
