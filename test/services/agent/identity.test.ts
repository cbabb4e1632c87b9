import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { identify, type IdentityOverrides, type ProcessFacts } from '../../../services/agent/identity.ts';
import { Instances } from '../../../services/agent/instances.ts';

const NONE: IdentityOverrides = { service: '', environment: '', version: '', instance: '' };
const UID = '0f1e2d3c-1111-2222-3333-444455556666';

const facts = (more: Partial<ProcessFacts> = {}, variables: Readonly<Record<string, string>> = {}): ProcessFacts => ({
  argv: ['node', 'server.js'],
  comm: 'node',
  cwd: '/',
  variables: new Map(Object.entries(variables)),
  workload: {},
  runtime: 'nodejs',
  ...more,
});

describe('the service, first match wins', () => {
  const everything = facts(
    { packageJson: { name: 'from-package', version: '3.0.0' }, workload: { podUid: UID } },
    {
      LEAKLINE_SERVICE: 'from-leakline',
      OTEL_SERVICE_NAME: 'from-otel',
      OTEL_RESOURCE_ATTRIBUTES: 'service.name=from-attributes,service.version=2.0.0',
      POD_NAME: 'from-pod-7d9f8b6c5-x2x4z',
    },
  );
  const without = (...names: string[]): ProcessFacts => ({
    ...everything,
    variables: new Map([...everything.variables].filter(([name]) => !names.includes(name))),
  });
  const ENV = ['LEAKLINE_SERVICE', 'OTEL_SERVICE_NAME', 'OTEL_RESOURCE_ATTRIBUTES'];
  const bare = facts({ workload: { podUid: UID } }, { POD_NAME: 'from-pod-7d9f8b6c5-x2x4z' });

  it.each<[string, ProcessFacts, Partial<IdentityOverrides>, string]>([
    ['a flag', everything, { service: 'from-flag' }, 'from-flag'],
    ['LEAKLINE_SERVICE', everything, {}, 'from-leakline'],
    ['OTEL_SERVICE_NAME', without('LEAKLINE_SERVICE'), {}, 'from-otel'],
    ['service.name', without('LEAKLINE_SERVICE', 'OTEL_SERVICE_NAME'), {}, 'from-attributes'],
    ['package.json', without(...ENV), {}, 'from-package'],
    ['a telling command line', { ...bare, argv: ['node', 'checkout.js'] }, {}, 'checkout'],
    ['the workload of the pod', bare, {}, 'from-pod'],
    ['the systemd unit', facts({ workload: { systemdUnit: 'shop@2.service' } }), {}, 'shop'],
    ['a generic command line', facts(), {}, 'server'],
    ['the command name', facts({ argv: [], comm: 'kernelish' }), {}, 'kernelish'],
    ['nothing at all', facts({ argv: [], comm: '' }), {}, 'unknown_service'],
  ])('%s', (_name, given, overrides, service) => {
    expect(identify(given, { ...NONE, ...overrides }, 'h1', []).service).toBe(service);
  });
});

describe('version, environment, instance, labels', () => {
  it('come from the environment before package.json', () => {
    const given = facts(
      { packageJson: { name: 'shop', version: '3.0.0' } },
      { OTEL_RESOURCE_ATTRIBUTES: 'service.version=2.0.0,deployment.environment=staging,service.instance.id=i-7' },
    );
    expect(identify(given, NONE, 'h1', [])).toMatchObject({ version: '2.0.0', environment: 'staging', instanceBase: 'i-7' });
    expect(identify(facts({ packageJson: { name: 'shop', version: '3.0.0' } }), NONE, 'h1', []).version).toBe('3.0.0');
  });

  it.each<[string, ProcessFacts, string]>([
    ['pod, by HOSTNAME inside one', facts({ workload: { podUid: UID } }, { HOSTNAME: 'shop-0' }), 'shop-0'],
    ['not HOSTNAME outside of pods', facts({}, { HOSTNAME: 'laptop' }), 'h1'],
    ['container', facts({ workload: { containerId: 'ab'.repeat(32) } }), 'abababababab'],
    ['template unit', facts({ workload: { systemdUnit: 'web@8081.service' } }), 'h1/web@8081'],
    ['port asked for', facts({ argv: ['node', 'a.js', '--port', '8081'] }), 'h1:8081'],
    ['PORT', facts({}, { PORT: '8082' }), 'h1:8082'],
    ['host', facts(), 'h1'],
  ])('instance by %s', (_, given, base) => {
    expect(identify(given, NONE, 'h1', []).instanceBase).toBe(base);
  });

  it('labels hold named things alone, redacted', () => {
    const given = facts(
      { workload: { podUid: UID, containerId: 'ab'.repeat(32) } },
      {
        POD_NAME: 'shop-0',
        POD_NAMESPACE: 'prod',
        OTEL_RESOURCE_ATTRIBUTES: 'api.key=hunter2,cloud.region=eu-west-1',
        TEAM: 'https://a:hunter2@b',
        DATABASE_URL: 'x',
      },
    );
    const { labels } = identify(given, NONE, 'h1', ['TEAM']);
    expect(labels).toEqual({
      'k8s.pod.name': 'shop-0',
      'k8s.pod.uid': UID,
      'k8s.namespace.name': 'prod',
      'container.id': 'abababababab',
      'cloud.region': 'eu-west-1',
      TEAM: 'https://[redacted]@b',
    });
  });
});

describe('instances', () => {
  let directory: string;
  let file: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'leakline-instances-'));
    file = join(directory, 'instances.json');
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  it('tell replicas apart, and a restarted one keeps its name', () => {
    const instances = new Instances(undefined);
    expect([instances.assign('shop', 'h1', 'a'), instances.assign('shop', 'h1', 'b'), instances.assign('cart', 'h1', 'c')]).toEqual([
      'h1',
      'h1#1',
      'h1',
    ]);
    expect(instances.assign('shop', 'h1', 'b')).toBe('h1#1');
    instances.release('shop', 'h1', 'a', 10);
    expect(instances.assign('shop', 'h1', 'a2')).toBe('h1');
  });

  it('give a successor the slot freed last, rather than that of an old scale-down', () => {
    const instances = new Instances(undefined);
    for (const lifetime of ['a', 'b', 'c']) instances.assign('shop', 'h1', lifetime);
    instances.release('shop', 'h1', 'a', 10);
    instances.release('shop', 'h1', 'c', 99);
    expect(instances.assign('shop', 'h1', 'c2')).toBe('h1#2');
    expect(instances.assign('shop', 'h1', 'd')).toBe('h1');
  });

  it('survive a restart of the agent, whatever order processes are found in', () => {
    const before = new Instances(file);
    before.assign('shop', 'h1', 'a');
    before.assign('shop', 'h1', 'b');
    before.assign('shop', 'h1', 'gone');
    expect(before.save()).toBe(true);

    const after = new Instances(file);
    after.releaseAllBut(new Set(['a', 'b']), 5);
    expect([after.assign('shop', 'h1', 'new'), after.assign('shop', 'h1', 'b'), after.assign('shop', 'h1', 'a')]).toEqual([
      'h1#2',
      'h1#1',
      'h1',
    ]);
    expect(readFileSync(file, 'utf8')).toContain('"v":1');
  });

  it('start anew from a file cut short', () => {
    writeFileSync(file, '{"v":1,"gro');
    expect(new Instances(file).assign('shop', 'h1', 'a')).toBe('h1');
  });
});
