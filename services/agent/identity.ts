/**
 * Who a process is: service, environment, version, instance, labels. Pure rules over what inspect.ts found,
 * first match wins (docs/agent.md lists them in this order).
 */
import type { Runtime } from '../../shared/sample.ts';
import { nameOfCommand, portOfCommand } from './command-line.ts';
import { parseResourceAttributes } from './environ.ts';
import { redactValue } from './redaction.ts';
import { workloadOfPod, type Workload } from './workload.ts';

/** What the configuration says of every watched process; '' = find out per process. */
export interface IdentityOverrides {
  readonly service: string;
  readonly environment: string;
  readonly version: string;
  readonly instance: string;
}

/** Everything of a process the rules look at. It stays on the host. */
export interface ProcessFacts {
  readonly argv: readonly string[];
  readonly comm: string;
  readonly cwd: string;
  /** Empty where the environment may not be read. */
  readonly variables: ReadonlyMap<string, string>;
  readonly workload: Workload;
  readonly runtime: Runtime;
  /** The nearest package.json of a Node program. */
  readonly packageJson?: { readonly name: string; readonly version?: string };
}

export interface Identity {
  readonly service: string;
  readonly environment: string;
  readonly version: string;
  /** Shared by all processes of one pod, container, unit or host: instances.ts makes it unique. */
  readonly instanceBase: string;
  readonly runtime: Runtime;
  readonly labels: Readonly<Record<string, string>>;
}

const firstOf = (...candidates: (string | undefined)[]): string => {
  for (const candidate of candidates) {
    const clean = candidate === undefined ? '' : redactValue(candidate);
    if (clean !== '') return clean;
  }
  return '';
};

function podName(facts: ProcessFacts, attributes: ReadonlyMap<string, string>): string | undefined {
  const named = attributes.get('k8s.pod.name') ?? facts.variables.get('POD_NAME');
  // Inside a pod HOSTNAME is its name, unless the pod shares the network of its node.
  return named ?? (facts.workload.podUid === undefined ? undefined : facts.variables.get('HOSTNAME'));
}

/** Only these attributes of OTEL_RESOURCE_ATTRIBUTES become labels; anything else there stays on the host. */
const LABEL_ATTRIBUTES = [
  'service.namespace',
  'k8s.namespace.name',
  'k8s.node.name',
  'k8s.deployment.name',
  'k8s.container.name',
  'cloud.region',
];

function labelsOf(
  facts: ProcessFacts,
  attributes: ReadonlyMap<string, string>,
  pod: string | undefined,
  allow: readonly string[],
): Record<string, string> {
  const { variables, workload } = facts;
  const candidates: [string, string | undefined][] = [
    ...LABEL_ATTRIBUTES.map((name): [string, string | undefined] => [name, attributes.get(name)]),
    ['k8s.pod.name', pod],
    ['k8s.pod.uid', workload.podUid ?? variables.get('POD_UID')],
    ['k8s.namespace.name', variables.get('POD_NAMESPACE') ?? attributes.get('k8s.namespace.name')],
    ['k8s.node.name', variables.get('NODE_NAME') ?? attributes.get('k8s.node.name')],
    ['container.id', workload.containerId?.slice(0, 12)],
    ['systemd.unit', workload.systemdUnit],
    ...allow.map((name): [string, string | undefined] => [name, variables.get(name)]),
  ];
  const labels: Record<string, string> = {};
  for (const [name, value] of candidates) {
    const clean = firstOf(value);
    if (clean !== '') labels[name] = clean;
  }
  return labels;
}

export function identify(facts: ProcessFacts, overrides: IdentityOverrides, host: string, environmentAllow: readonly string[]): Identity {
  const { variables, workload } = facts;
  const attributes = parseResourceAttributes(variables.get('OTEL_RESOURCE_ATTRIBUTES') ?? '');
  const pod = podName(facts, attributes);
  const command = nameOfCommand(facts.argv, facts.cwd);
  const unit = workload.systemdUnit?.replace(/\.service$/, '');
  const port = portOfCommand(facts.argv) ?? variables.get('PORT');

  return {
    service: firstOf(
      overrides.service,
      variables.get('LEAKLINE_SERVICE'),
      variables.get('OTEL_SERVICE_NAME'),
      attributes.get('service.name'),
      facts.packageJson?.name,
      command?.generic === false ? command.name : undefined,
      pod === undefined ? undefined : workloadOfPod(pod),
      unit?.replace(/@.*$/, ''),
      command?.name,
      facts.comm,
      'unknown_service',
    ),
    environment: firstOf(
      overrides.environment,
      variables.get('LEAKLINE_ENVIRONMENT'),
      attributes.get('deployment.environment.name'),
      attributes.get('deployment.environment'),
    ),
    version: firstOf(
      overrides.version,
      variables.get('LEAKLINE_VERSION'),
      attributes.get('service.version'),
      facts.packageJson?.version,
      command?.version,
    ),
    instanceBase: firstOf(
      overrides.instance,
      variables.get('LEAKLINE_INSTANCE'),
      attributes.get('service.instance.id'),
      pod,
      workload.containerId?.slice(0, 12),
      // A template unit (web@8081.service) tells its replicas apart by itself.
      unit?.includes('@') === true ? `${host}/${unit}` : undefined,
      port === undefined ? host : `${host}:${String(port)}`,
    ),
    runtime: facts.runtime,
    labels: labelsOf(facts, attributes, pod, environmentAllow),
  };
}
