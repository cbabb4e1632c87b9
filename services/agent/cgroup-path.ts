/**
 * From a process to the directory of its memory cgroup: /proc/PID/cgroup gives a path within a hierarchy,
 * /proc/self/mountinfo says which part of that hierarchy is mounted where. Pure text work; v1, v2 and hybrid hosts.
 */

export interface CgroupMount {
  readonly version: 1 | 2;
  readonly mountPoint: string;
  /** Which directory of the hierarchy stands at the mount point: `/`, or the container's own when only that is mounted. */
  readonly root: string;
}

/** mountinfo writes space, tab, newline and backslash of paths in octal. */
const unescapePath = (path: string): string => path.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(parseInt(octal, 8)));

/** Every mount that holds memory accounting, the v1 memory controller first: where it is mounted, v2 does not have it. */
export function parseMounts(mountinfo: string): CgroupMount[] {
  const mounts: CgroupMount[] = [];
  for (const line of mountinfo.split('\n')) {
    const [left = '', right = ''] = line.split(' - ');
    const [, , , root = '', mountPoint = ''] = left.split(' ');
    const [type = '', , options = ''] = right.split(' ');
    const version = type === 'cgroup2' ? 2 : type === 'cgroup' && options.split(',').includes('memory') ? 1 : undefined;
    if (version !== undefined) mounts.push({ version, mountPoint: unescapePath(mountPoint), root: unescapePath(root) });
  }
  return mounts.sort((a, b) => a.version - b.version);
}

/** The path of the process in the memory hierarchy (`4:memory:/…`, else `0::/…`); undefined when the text has neither. */
export function parseMembership(cgroupFile: string, version: 1 | 2): string | undefined {
  for (const line of cgroupFile.split('\n')) {
    const [id = '', controllers = '', ...path] = line.split(':');
    const mine = version === 2 ? id === '0' && controllers === '' : controllers.split(',').includes('memory');
    if (mine) return path.join(':').replace(/ \(deleted\)$/, '');
  }
  return undefined;
}

/** The longest path any hierarchy gives, for telling container, pod and systemd unit: the memory one may be just `/`. */
export function longestMembership(cgroupFile: string): string {
  let longest = '';
  for (const line of cgroupFile.split('\n')) {
    const path = line.split(':').slice(2).join(':');
    if (path.length > longest.length) longest = path;
  }
  return longest;
}

const climbs = (path: string): number => /^(?:\/\.\.)*/.exec(path)![0].length / 3;

/**
 * The directory a membership path stands for under a mount; undefined when it lies outside of what is mounted.
 * Inside a cgroup namespace paths are relative to its root and climb out of it with `/..`; so does the mount's root.
 */
export function resolveDirectory(mount: CgroupMount, path: string): string | undefined {
  const { mountPoint, root } = mount;
  const join = (rest: string): string => (rest === '' || rest === '/' ? mountPoint : `${mountPoint}${rest}`);
  if (climbs(root) > 0 || climbs(path) > 0) {
    // Both climb equally high: the rest of the path hangs below the mounted directory. Otherwise names are missing in between.
    return climbs(root) === climbs(path) ? join(path.slice(climbs(path) * 3)) : undefined;
  }
  if (root === '/') return join(path);
  if (path === root || path.startsWith(`${root}/`)) return join(path.slice(root.length));
  // A v1 container that mounts only its own directory while its processes show a path relative to a cgroup namespace.
  return path === '/' ? mountPoint : undefined;
}

/** Directories from `directory` up to the mount point, nearest first. */
export function ancestors(mountPoint: string, directory: string): string[] {
  const list: string[] = [];
  for (let at = directory; at.startsWith(mountPoint) && at.length >= mountPoint.length; at = at.slice(0, at.lastIndexOf('/'))) {
    list.push(at);
    if (at === mountPoint) break;
  }
  return list;
}
