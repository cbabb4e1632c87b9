/** A /proc tree in a temporary directory, with the processes and cgroups a test wants. */
import { existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

/** In memory where that can be had: ten thousand small files take half a minute on a disk. */
const BASE = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();

export interface FakeProcess {
  readonly argv?: readonly string[];
  readonly comm?: string;
  readonly state?: string;
  readonly flags?: number;
  readonly startTicks?: number;
  readonly residentPages?: number;
  readonly sharedPages?: number;
  readonly cgroup?: string;
  readonly environ?: Readonly<Record<string, string>>;
}

export class FakeProc {
  readonly directory = mkdtempSync(join(BASE, 'leakline-proc-'));
  readonly root = join(this.directory, 'proc');

  constructor(options: { uptimeSeconds?: number; seesHost?: boolean } = {}) {
    this.write('uptime', `${options.uptimeSeconds ?? 100_000}.00 1.00\n`);
    this.write('stat', 'cpu 1 2 3\nbtime 1700000000\n');
    this.write('sys/kernel/random/boot_id', '11111111-2222-3333-4444-555555555555\n');
    this.write('swaps', 'Filename Type Size Used Priority\n');
    this.write('vmstat', 'nr_free_pages 1\noom_kill 0\n');
    this.write('self/mountinfo', '');
    // No descriptor is kept: that of a file removed here would go on giving what it held, unlike one of a process that ended.
    this.write('self/limits', 'Max open files            0                    0                    files\n');
    if (options.seesHost === true) this.process(2, { comm: 'kthreadd', flags: 0x0020_0000, argv: [], startTicks: 1 });
  }

  write(path: string, content: string): void {
    const file = join(this.root, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, content);
  }

  process(pid: number, fake: FakeProcess): void {
    const { argv = ['/usr/bin/app'], comm = 'app', state = 'S', flags = 0, startTicks = 1000, environ = {} } = fake;
    this.write(
      `${pid}/stat`,
      `${pid} (${comm}) ${state} 1 1 1 0 -1 ${flags} 0 0 0 0 150 50 0 0 20 0 7 0 ${startTicks} 1000000 500 18446744073709551615\n`,
    );
    this.write(`${pid}/statm`, `5000 ${fake.residentPages ?? 1000} ${fake.sharedPages ?? 200} 10 0 300 0\n`);
    this.write(`${pid}/status`, `Name:\t${comm}\nVmRSS:\t4000 kB\nVmSwap:\t12 kB\nNSpid:\t${pid}\t7\n`);
    this.write(`${pid}/cmdline`, argv.map((arg) => `${arg}\0`).join(''));
    this.write(`${pid}/comm`, `${comm}\n`);
    this.write(`${pid}/cgroup`, fake.cgroup ?? '0::/\n');
    this.write(
      `${pid}/environ`,
      Object.entries(environ)
        .map(([name, value]) => `${name}=${value}\0`)
        .join(''),
    );
  }

  end(pid: number): void {
    rmSync(join(this.root, String(pid)), { recursive: true });
  }

  /** Mounts a cgroup hierarchy below the temporary directory and returns its mount point. */
  mountCgroup(version: 1 | 2, root = '/'): string {
    const mountPoint = join(this.directory, `cgroup${version}`);
    mkdirSync(mountPoint, { recursive: true });
    const type = version === 2 ? 'cgroup2 cgroup2 rw' : 'cgroup cgroup rw,memory';
    this.write('self/mountinfo', `31 23 0:28 / /elsewhere rw - tmpfs tmpfs rw\n35 31 0:32 ${root} ${mountPoint} rw,relatime - ${type}\n`);
    return mountPoint;
  }

  link(path: string, target: string): void {
    symlinkSync(target, join(this.root, path));
  }

  remove(): void {
    rmSync(this.directory, { recursive: true, force: true });
  }
}

export function writeFiles(directory: string, files: Readonly<Record<string, string | number>>): void {
  mkdirSync(directory, { recursive: true });
  for (const [name, content] of Object.entries(files)) writeFileSync(join(directory, name), `${content}\n`);
}
