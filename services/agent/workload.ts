/** What a cgroup path tells about who runs a process: Kubernetes pod, container, systemd unit. Pure. */

export interface Workload {
  /** Kubernetes pod uid, with dashes. */
  readonly podUid?: string;
  /** The full container id (64 hex digits). */
  readonly containerId?: string;
  /** `checkout.service`; sessions, scopes and slices are nobody's service. */
  readonly systemdUnit?: string;
}

/** cgroupfs driver: …/pod1234-…; systemd driver: …/kubepods-burstable-pod1234_….slice */
const POD = /pod([0-9a-f]{8}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{12}|[0-9a-f]{32})/;
/** docker/<id>, docker-<id>.scope, cri-containerd-<id>.scope, crio-<id>.scope, libpod-<id>.scope, garden/<id> … */
const CONTAINER = /(?:^|[/\-:])([0-9a-f]{64})(?:\.scope)?(?=\/|$)/g;
const UNIT = /\/([^/]+)\.service(?=\/|$)/g;
/** Units that are a user's session manager or a container engine, never the service itself. */
const NOT_A_SERVICE = /^(user@\d+|user-runtime-dir@.*|docker|containerd|crio|podman|kubelet|init|getty@.*|serial-getty@.*)$/;

/** systemd escapes characters of unit names as \x2d. */
const unescapeUnit = (unit: string): string =>
  unit.replace(/\\x([0-9a-f]{2})/g, (_, hex: string) => String.fromCharCode(parseInt(hex, 16)));

export function parseWorkload(cgroupPath: string): Workload {
  const pod = POD.exec(cgroupPath)?.[1]?.replaceAll('_', '-');
  const container = [...cgroupPath.matchAll(CONTAINER)].at(-1)?.[1];
  const unit = [...cgroupPath.matchAll(UNIT)]
    .map((match) => unescapeUnit(match[1]!))
    .filter((name) => !NOT_A_SERVICE.test(name))
    .at(-1);
  return {
    ...(pod === undefined ? {} : { podUid: pod }),
    ...(container === undefined ? {} : { containerId: container }),
    ...(unit === undefined || container !== undefined ? {} : { systemdUnit: `${unit}.service` }),
  };
}

/** `checkout-7d9f8b6c5-x2x4z`, `db-0` and `agent-k9v2x` without what the controller appended: the workload's name. */
export function workloadOfPod(podName: string): string {
  const SUFFIX = '[bcdfghjklmnpqrstvwxz2456789]';
  return podName.replace(new RegExp(`-${SUFFIX}{6,10}-${SUFFIX}{5}$`), '').replace(new RegExp(`-(?:\\d{1,5}|${SUFFIX}{5})$`), '');
}
