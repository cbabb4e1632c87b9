import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CgroupTable } from '../../../services/agent/cgroup.ts';
import { ancestors, parseMembership, parseMounts, resolveDirectory } from '../../../services/agent/cgroup-path.ts';
import { FakeProc, writeFiles } from './fake-proc.ts';

describe('where the cgroup of a process is', () => {
  const HYBRID = [
    '35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory',
    '31 31 0:30 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu',
    '41 31 0:38 / /sys/fs/cgroup/uni\\040fied rw,relatime - cgroup2 cgroup2 rw',
  ].join('\n');

  it('takes the v1 memory controller before v2, and undoes the escapes of mountinfo', () => {
    expect(parseMounts(HYBRID)).toEqual([
      { version: 1, mountPoint: '/sys/fs/cgroup/memory', root: '/' },
      { version: 2, mountPoint: '/sys/fs/cgroup/uni fied', root: '/' },
    ]);
  });

  it('reads memberships of v1, v2 and hybrid hosts', () => {
    expect(parseMembership('9:name=systemd:/\n4:cpu,memory:/docker/ab:c\n0::/\n', 1)).toBe('/docker/ab:c');
    expect(parseMembership('9:name=systemd:/\n0::/system.slice/x.service\n', 2)).toBe('/system.slice/x.service');
    expect(parseMembership('0::/gone (deleted)\n', 2)).toBe('/gone');
    expect(parseMembership('9:name=systemd:/\n', 1)).toBeUndefined();
  });

  it.each([
    ['whole hierarchy', '/', '/system.slice/a.service', '/cg/system.slice/a.service'],
    ['root itself', '/', '/', '/cg'],
    ['only the own directory is mounted', '/docker/abc', '/docker/abc', '/cg'],
    ['below the mounted directory', '/docker/abc', '/docker/abc/sub', '/cg/sub'],
    ['beside the mounted directory', '/docker/abc', '/docker/abcd', undefined],
    ['namespaced path under a bind mount', '/docker/abc', '/', '/cg'],
    ['out of the namespace, host hierarchy mounted', '/../..', '/../../kubepods/pod1', '/cg/kubepods/pod1'],
    ['out of the namespace, names in between unknown', '/../../..', '/../../kubepods/pod1', undefined],
    ['out of the namespace, own directory mounted', '/', '/../sibling', undefined],
  ])('%s', (_, root, path, expected) => {
    expect(resolveDirectory({ version: 2, mountPoint: '/cg', root }, path)).toBe(expected);
  });

  it('lists ancestors up to the mount point and no further', () => {
    expect(ancestors('/cg', '/cg/a/b')).toEqual(['/cg/a/b', '/cg/a', '/cg']);
    expect(ancestors('/cg', '/cg')).toEqual(['/cg']);
  });
});

describe('reading', () => {
  let fake: FakeProc;
  beforeEach(() => {
    fake = new FakeProc();
  });
  afterEach(() => fake.remove());

  const V2 = { 'memory.current': 1000, 'memory.stat': 'anon 400\nfile 500\ninactive_anon 1\ninactive_file 300', 'memory.max': 'max' };

  it('v2: working set without inactive file pages, limit of the nearest ancestor that has one', () => {
    const mount = fake.mountCgroup(2);
    writeFiles(join(mount, 'kubepods'), { ...V2, 'memory.max': 9000, 'memory.events': 'oom_kill 0' });
    writeFiles(join(mount, 'kubepods/pod1/c1'), { ...V2, 'memory.events': 'low 0\noom 5\noom_kill 2\noom_group_kill 0' });
    writeFiles(join(mount, 'kubepods/pod1'), { 'memory.max': 'max' });
    const cgroup = new CgroupTable(fake.root).join('0::/kubepods/pod1/c1\n')!;
    cgroup.read(1, true);
    expect(cgroup.reading).toEqual({ workingSetBytes: 700, anonBytes: 400, limitBytes: 9000, oomKills: 2 });
    writeFiles(join(mount, 'kubepods/pod1'), { 'memory.max': 8000 });
    cgroup.read(2, false);
    expect(cgroup.reading.limitBytes).toBe(9000);
    cgroup.read(3, true);
    expect(cgroup.reading.limitBytes).toBe(8000);
  });

  it('v1: hierarchical counts, and the largest number is no limit', () => {
    const mount = fake.mountCgroup(1);
    const stat = 'cache 1\nrss 2\ninactive_file 3\ntotal_rss 400\ntotal_inactive_file 300';
    const unlimited = '9223372036854771712';
    writeFiles(mount, { 'memory.limit_in_bytes': unlimited, release_agent: '', 'memory.oom_control': 'oom_kill 9', 'memory.stat': stat });
    writeFiles(join(mount, 'docker/c1'), {
      'memory.usage_in_bytes': 1000,
      'memory.stat': stat,
      'memory.limit_in_bytes': unlimited,
      'memory.oom_control': 'oom_kill_disable 0\nunder_oom 0\noom_kill 3',
    });
    const table = new CgroupTable(fake.root);
    const cgroup = table.join('4:memory:/docker/c1\n')!;
    cgroup.read(1, true);
    expect(cgroup.reading).toEqual({ workingSetBytes: 700, anonBytes: 400, limitBytes: 0, oomKills: 3 });
    const root = table.join('4:memory:/\n')!;
    root.read(1, true);
    expect(root.reading).toEqual({ workingSetBytes: NaN, anonBytes: NaN, limitBytes: 0, oomKills: 9 });
  });

  it('inside a container that mounts its own v1 directory alone', () => {
    const mount = fake.mountCgroup(1, '/docker/abc');
    writeFiles(mount, { 'memory.usage_in_bytes': 10, 'memory.stat': 'total_rss 4\ntotal_inactive_file 1', 'memory.limit_in_bytes': 64 });
    const cgroup = new CgroupTable(fake.root).join('4:memory:/docker/abc\n')!;
    cgroup.read(1, true);
    expect(cgroup.reading).toEqual({ workingSetBytes: 9, anonBytes: 4, limitBytes: 64, oomKills: NaN });
  });

  it('shares one reader among the processes of a cgroup, and forgets it with the last', () => {
    const mount = fake.mountCgroup(2);
    writeFiles(join(mount, 'a'), V2);
    const table = new CgroupTable(fake.root);
    const first = table.join('0::/a\n')!;
    expect(table.join('0::/a\n')).toBe(first);
    table.leave(first);
    expect([...table.all()]).toHaveLength(1);
    table.leave(first);
    expect([...table.all()]).toHaveLength(0);
    expect(table.join('0::/nowhere\n')).toBeUndefined();
  });
});

describe('how members ended', () => {
  let fake: FakeProc;
  let directory: string;
  const events = (oomKill: number) => writeFiles(directory, { 'memory.events': `oom_kill ${oomKill}` });
  beforeEach(() => {
    fake = new FakeProc();
    directory = join(fake.mountCgroup(2), 'pod/c');
    writeFiles(directory, { 'memory.current': 1, 'memory.stat': 'anon 1\ninactive_file 0', 'memory.max': 'max' });
  });
  afterEach(() => fake.remove());
  const join_ = () => new CgroupTable(fake.root).join('0::/pod/c\n')!;

  it('a counted kill explains exactly one member; kills from before are nobody’s', () => {
    events(5);
    const cgroup = join_();
    cgroup.read(1, true);
    expect(cgroup.claimEnd()).toBe('exit');
    events(6);
    cgroup.read(2, false);
    expect([cgroup.claimEnd(), cgroup.claimEnd()]).toEqual(['oom', 'exit']);
  });

  it('a kill seen one tick before its victim is found missing still explains it, a later one does not', () => {
    events(0);
    const cgroup = join_();
    cgroup.read(1, true);
    events(1);
    cgroup.read(2, false);
    cgroup.read(3, false);
    expect(cgroup.claimEnd()).toBe('oom');
    events(2);
    cgroup.read(4, false);
    cgroup.read(5, false);
    cgroup.read(6, false);
    expect(cgroup.claimEnd()).toBe('exit');
  });

  it('a container removed as a whole: the counter of its parent tells', () => {
    events(0);
    writeFiles(join(directory, '..'), { 'memory.events': 'oom_kill 0' });
    const cgroup = join_();
    cgroup.read(1, true);
    cgroup.close();
    rmSync(directory, { recursive: true });
    writeFiles(join(directory, '..'), { 'memory.events': 'oom_kill 1' });
    cgroup.read(2, false);
    expect(cgroup.claimEnd()).toBe('oom');
    cgroup.close();
    rmSync(join(directory, '..'), { recursive: true });
    cgroup.read(5, false);
    expect(cgroup.claimEnd()).toBe('unknown');
  });
});
