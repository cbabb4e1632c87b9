/** Which runtime a process runs on, told from outside. Pure. */
import type { Runtime } from '../../shared/sample.ts';

const BY_NAME: readonly (readonly [RegExp, Runtime])[] = [
  [/^(?:node|nodejs)(?:-?\d[\d.]*)?$/, 'nodejs'],
  [/^(?:python|pypy)[\d.]*(?:-dbg)?$/, 'python'],
  [/^(?:java|jsvc)$/, 'jvm'],
  [/^(?:ruby|truffleruby)[\d.]*$/, 'ruby'],
  [/^dotnet$/, 'dotnet'],
];

/** Libraries that carry a runtime into programs of any name (uWSGI, custom launchers, single-file builds). */
const BY_LIBRARY: readonly (readonly [RegExp, Runtime])[] = [
  [/\/libjvm\.so/, 'jvm'],
  [/\/libcoreclr\.so/, 'dotnet'],
  [/\/libnode\.so/, 'nodejs'],
  [/\/libpython[\d.]*[a-z]*\.so/, 'python'],
  [/\/libruby[-\d.]*\.so/, 'ruby'],
];

/** By the executable's path or name; undefined when that says nothing. */
export function runtimeOfName(executable: string): Runtime | undefined {
  const name = executable.slice(executable.lastIndexOf('/') + 1);
  return BY_NAME.find(([pattern]) => pattern.test(name))?.[1];
}

/** By the text of /proc/PID/maps; undefined when no runtime's library is mapped. */
export function runtimeOfMaps(maps: string): Runtime | undefined {
  return BY_LIBRARY.find(([pattern]) => pattern.test(maps))?.[1];
}

/** ELF note of type 4 (build id) with owner "Go": the Go linker writes it near the start of every binary. */
const GO_NOTE = Buffer.from([4, 0, 0, 0, 0x47, 0x6f, 0, 0]);

export function isGoBinary(head: Buffer): boolean {
  return head.length > 4 && head.readUInt32BE(0) === 0x7f45_4c46 && head.includes(GO_NOTE);
}
