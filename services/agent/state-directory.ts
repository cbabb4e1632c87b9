/** The agent's own directory: its id (stable over restarts), the spool, the slots of instances; held by one agent at a time. */
import { randomUUID } from 'node:crypto';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { LeaklineError } from '../../shared/errors.ts';
import { readKernel } from './kernel.ts';
import { readStat } from './proc.ts';

export interface StateDirectory {
  readonly agentId: string;
  readonly spool: string;
  readonly instances: string;
  release(): void;
}

const errorCode = (error: unknown): string => (error as NodeJS.ErrnoException).code ?? String(error);

/** Who holds the lock: (boot, pid, start) names one process for good, so a lock left by kill -9 is never mistaken for a live one. */
function holder(bootId: string, pid: number): string {
  return `${bootId} ${String(pid)} ${String(readStat('/proc', pid)?.startTicks ?? '')}`;
}

function lock(path: string): void {
  const { bootId } = readKernel('/proc');
  const mine = holder(bootId, process.pid);
  for (let attempt = 0; attempt < 3; attempt++) {
    try {
      writeFileSync(path, mine, { flag: 'wx', mode: 0o600 });
      return;
    } catch (error) {
      if (errorCode(error) !== 'EEXIST') throw error;
    }
    const other = readFileSync(path, 'utf8');
    const pid = Number(other.split(' ')[1]);
    if (other === holder(bootId, pid)) {
      throw new LeaklineError('LKL_ERR_CONFIG', `${path}: held by process ${String(pid)}; give every agent a data directory of its own`);
    }
    rmSync(path, { force: true });
  }
  throw new LeaklineError('LKL_ERR_CONFIG', `${path}: several agents are starting on it; give every agent a data directory of its own`);
}

/** Throws LKL_ERR_CONFIG when the directory cannot be written or another agent runs on it. */
export function openStateDirectory(directory: string): StateDirectory {
  const lockFile = join(directory, 'lock');
  const idFile = join(directory, 'agent-id');
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    lock(lockFile);
    let agentId = '';
    try {
      agentId = readFileSync(idFile, 'utf8').trim();
    } catch {
      // First start.
    }
    if (!/^[\w-]{8,64}$/.test(agentId)) {
      agentId = randomUUID();
      writeFileSync(idFile, `${agentId}\n`, { mode: 0o600 });
    }
    return {
      agentId,
      spool: join(directory, 'spool'),
      instances: join(directory, 'instances.json'),
      release: () => rmSync(lockFile, { force: true }),
    };
  } catch (error) {
    if (error instanceof LeaklineError) throw error;
    throw new LeaklineError(
      'LKL_ERR_CONFIG',
      `data directory ${directory} cannot be used (${errorCode(error)}): the agent needs one it may write to`,
      {
        cause: error,
      },
    );
  }
}
