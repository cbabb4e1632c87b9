/** Which of some processes listen on a TCP port: socket inodes of /proc/PID/net/tcp, found again among their descriptors. */
import { readdirSync, readlinkSync } from 'node:fs';
import { readText } from './proc-file.ts';

const LISTEN = '0A';
const MAX_TABLE_BYTES = 8 << 20;

/** Inodes of the sockets that listen on `port`, from the text of /proc/net/tcp or tcp6. */
export function listeningInodes(table: string, port: number): string[] {
  const wanted = port.toString(16).toUpperCase().padStart(4, '0');
  const inodes: string[] = [];
  for (const line of table.split('\n')) {
    const fields = line.trim().split(/\s+/);
    if (fields[3] === LISTEN && fields[1]?.endsWith(`:${wanted}`) === true && fields[9] !== undefined) inodes.push(fields[9]);
  }
  return inodes;
}

function holdsSocket(procRoot: string, pid: number, inodes: ReadonlySet<string>): boolean {
  const folder = `${procRoot}/${String(pid)}/fd`;
  try {
    return readdirSync(folder).some((fd) => {
      try {
        return inodes.has(/^socket:\[(\d+)\]$/.exec(readlinkSync(`${folder}/${fd}`))?.[1] ?? '');
      } catch {
        return false; // closed meanwhile
      }
    });
  } catch {
    return false; // gone, or another user's
  }
}

/** Those of `pids` that hold a socket listening on `port` in their own network namespace; its table is read once. */
export function listenersOn(port: number, pids: Iterable<number>, procRoot = '/proc'): number[] {
  const byNamespace = new Map<string, ReadonlySet<string>>();
  return [...pids].filter((pid) => {
    const namespace = networkNamespace(procRoot, pid);
    if (namespace === undefined) return false;
    let inodes = byNamespace.get(namespace);
    if (inodes === undefined) {
      const tables = ['tcp', 'tcp6'].map((name) => readText(`${procRoot}/${String(pid)}/net/${name}`, MAX_TABLE_BYTES) ?? '');
      inodes = new Set(tables.flatMap((table) => listeningInodes(table, port)));
      byNamespace.set(namespace, inodes);
    }
    return inodes.size > 0 && holdsSocket(procRoot, pid, inodes);
  });
}

/** Undefined where it may not be known: then the descriptors may not be listed either. */
function networkNamespace(procRoot: string, pid: number): string | undefined {
  try {
    return readlinkSync(`${procRoot}/${String(pid)}/ns/net`);
  } catch {
    return undefined;
  }
}
