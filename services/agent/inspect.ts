/**
 * Looks at one process once, when it is first seen: command line, environment, cgroup, runtime, package.json.
 * Files of the process's own filesystem are read in the thread pool under a time limit: a dead network mount must not hang the agent.
 */
import { readlinkSync } from 'node:fs';
import { constants, open } from 'node:fs/promises';
import { dirname, join } from 'node:path/posix';
import type { Runtime } from '../../shared/sample.ts';
import { longestMembership } from './cgroup-path.ts';
import { nameOfCommand } from './command-line.ts';
import { readVariables } from './environ.ts';
import type { ProcessFacts } from './identity.ts';
import { readBytes, readText } from './proc-file.ts';
import { isGoBinary, runtimeOfMaps, runtimeOfName } from './runtime-detect.ts';
import { parseWorkload } from './workload.ts';

export interface Inspection extends ProcessFacts {
  /** /proc/PID/cgroup as read. */
  readonly cgroupFile: string;
  /** The pid in the innermost pid namespace, where that is another number. */
  readonly nsPid?: number;
  readonly environReadable: boolean;
}

const FILE_TIMEOUT_MS = 2_000;
const MAX_PACKAGE_BYTES = 256 << 10;
const MAX_COMMAND_BYTES = 64 << 10;

/** Arguments of /proc/PID/cmdline; a program that rewrote its title leaves one long argument, padded with NULs. */
export function readCommandLine(procRoot: string, pid: number): string[] {
  const bytes = readBytes(`${procRoot}/${String(pid)}/cmdline`, MAX_COMMAND_BYTES);
  const text = bytes?.toString('utf8').replace(/\0+$/, '').trim() ?? '';
  return text === '' ? [] : text.split('\0');
}

function link(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}

/** The first `maxBytes` of a regular file; undefined when it is anything else, unreadable or too slow. Never blocks on a FIFO. */
async function readRegularFile(path: string, maxBytes: number): Promise<Buffer | undefined> {
  const read = async (): Promise<Buffer | undefined> => {
    const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      if (!(await file.stat()).isFile()) return undefined;
      const { buffer, bytesRead } = await file.read(Buffer.alloc(maxBytes), 0, maxBytes, 0);
      return buffer.subarray(0, bytesRead);
    } finally {
      await file.close();
    }
  };
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<undefined>((resolve) => {
    timer = setTimeout(resolve, FILE_TIMEOUT_MS, undefined);
  });
  try {
    return await Promise.race([read(), timeout]);
  } catch {
    return undefined;
  } finally {
    clearTimeout(timer);
  }
}

/** name and version of the nearest package.json at or above `directory`, as the process sees its filesystem. */
async function findPackage(root: string, directory: string): Promise<{ name: string; version?: string } | undefined> {
  for (let at = directory; ; at = dirname(at)) {
    const bytes = await readRegularFile(join(root, at, 'package.json'), MAX_PACKAGE_BYTES);
    if (bytes !== undefined) {
      try {
        const { name, version } = JSON.parse(bytes.toString('utf8')) as { name?: unknown; version?: unknown };
        // A scope says whose package it is, not what the service is called.
        if (typeof name === 'string' && name !== '')
          return { name: name.replace(/^@[^/]*\//, ''), ...(typeof version === 'string' ? { version } : {}) };
      } catch {
        // Not JSON: as good as none; one further up may name the program.
      }
    }
    if (at === '/' || at === '.') return undefined;
  }
}

const ELF_HEAD_BYTES = 16 << 10;

/** By the name of the executable, else by what is mapped into the process, else by the notes in its binary. */
async function detectRuntime(directory: string, argv: readonly string[], comm: string): Promise<Runtime> {
  const exe = link(`${directory}/exe`).replace(/ \(deleted\)$/, '');
  const byName = runtimeOfName(exe === '' ? (argv[0] ?? comm) : exe);
  if (byName !== undefined) return byName;
  const byMaps = runtimeOfMaps(readText(`${directory}/maps`) ?? '');
  if (byMaps !== undefined) return byMaps;
  const head = await readRegularFile(`${directory}/exe`, ELF_HEAD_BYTES);
  return head !== undefined && isGoBinary(head) ? 'go' : 'native';
}

/** `variableNames`: which variables of the environment may be looked at; all others are never even decoded. */
export async function inspect(procRoot: string, pid: number, variableNames: readonly string[]): Promise<Inspection> {
  const directory = `${procRoot}/${String(pid)}`;
  const argv = readCommandLine(procRoot, pid);
  const comm = readText(`${directory}/comm`)?.trim() ?? '';
  const variables = readVariables(procRoot, pid, variableNames);
  const cgroupFile = readText(`${directory}/cgroup`) ?? '';
  const namespacePids = /^NSpid:\t(.*)$/m.exec(readText(`${directory}/status`) ?? '')?.[1]?.split('\t') ?? [];
  const cwd = link(`${directory}/cwd`);
  const runtime = await detectRuntime(directory, argv, comm);
  const packageDirectory = nameOfCommand(argv, cwd === '' ? '/' : cwd)?.packageDirectory;
  const packageJson = packageDirectory === undefined ? undefined : await findPackage(`${directory}/root`, packageDirectory);
  return {
    argv,
    comm,
    cwd: cwd === '' ? '/' : cwd,
    variables: variables ?? new Map(),
    environReadable: variables !== undefined,
    workload: parseWorkload(longestMembership(cgroupFile)),
    runtime,
    cgroupFile,
    ...(namespacePids.length > 1 ? { nsPid: Number(namespacePids.at(-1)) } : {}),
    ...(packageJson === undefined ? {} : { packageJson }),
  };
}
