/** The fleet of docker-compose.yml, checked against the code: it starts what exists, with settings that exist, on loopback only. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { createAuth } from '../../shared/auth.ts';
import { loadConfig } from '../../shared/config.ts';

const root = join(import.meta.dirname, '../..');
const read = (path: string) => readFileSync(join(root, path), 'utf8');

interface Service {
  readonly image: string;
  readonly build?: { readonly context: string; readonly dockerfile: string };
  readonly command?: readonly string[];
  readonly environment?: Readonly<Record<string, string | number>>;
  readonly ports?: readonly string[];
  readonly volumes?: readonly string[];
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>;
  readonly healthcheck?: { readonly test?: readonly string[]; readonly disable?: boolean };
  readonly pid?: string;
}

const compose = parse(read('docker-compose.yml'), { merge: true }) as {
  readonly services: Readonly<Record<string, Service>>;
  readonly volumes: Readonly<Record<string, null>>;
};
const services = Object.entries(compose.services);
const ours = services.filter(([, { image, command }]) => image === 'leakline' && command !== undefined);

/** `${NAME:-default}` → default, as with an empty environment. */
const withDefaults = (value: string | number) => String(value).replace(/\$\{\w+:-([^}]*)\}/g, '$1');

describe('docker-compose.yml', () => {
  it('holds every service of the fleet', () => {
    expect(services.map(([name]) => name).sort()).toEqual(
      ['agent', 'clickhouse', 'console', 'detector', 'example', 'gateway', 'ingester', 'kafka', 'mailpit', 'migrate'].sort(),
    );
  });

  it('publishes on loopback only', () => {
    const ports = services.flatMap(([, { ports: published = [] }]) => published);
    expect(ports.length).toBeGreaterThan(0);
    expect(ports.filter((port) => !port.startsWith('127.0.0.1:'))).toEqual([]);
    expect(new Set(ports.map((port) => port.split(':')[1])).size).toBe(ports.length);
  });

  it.each(ours)('%s runs a command that exists, with settings that are valid', (_name, { command = [], environment = {} }) => {
    expect(read('services/main.ts')).toMatch(new RegExp(`(service|\\.command)\\('${command[0]!}'`));
    const env = Object.fromEntries(Object.entries(environment).map(([name, value]) => [name, withDefaults(value)]));
    const config = loadConfig({ env, flags: {}, readFile: () => '' });
    expect(createAuth(config.auth).open).toBe(config.listen.startsWith('127.0.0.1'));
  });

  it('gives the agent a token the gateway knows', () => {
    const setting = (service: string, name: string) => withDefaults(compose.services[service]?.environment?.[name] ?? '');
    const { auth } = loadConfig({
      env: { LEAKLINE_AUTH_INGEST_TOKENS: setting('gateway', 'LEAKLINE_AUTH_INGEST_TOKENS') },
      flags: {},
      readFile: () => '',
    });
    expect(createAuth(auth).authenticateToken(setting('agent', 'LEAKLINE_AGENT_TOKEN'))?.roles).toEqual(new Set(['ingest']));
  });

  it.each(services)('%s refers to services, volumes and files that exist, and waits for what can be waited for', (_name, service) => {
    for (const [dependency, { condition }] of Object.entries(service.depends_on ?? {})) {
      const target = compose.services[dependency];
      expect(target, dependency).toBeDefined();
      if (condition === 'service_healthy') expect(target?.healthcheck?.test, `${dependency} has a health check`).toBeDefined();
      if (condition === 'service_completed_successfully') expect(dependency).toBe('migrate');
    }
    if (service.pid !== undefined) expect(Object.keys(compose.services)).toContain(service.pid.replace('service:', ''));
    for (const volume of service.volumes ?? []) {
      const [source = ''] = volume.split(':');
      if (source.startsWith('.')) expect(existsSync(join(root, source)), source).toBe(true);
      else expect(Object.keys(compose.volumes)).toContain(source);
    }
    if (service.build !== undefined) expect(existsSync(join(root, service.build.dockerfile))).toBe(true);
  });

  it('lets example and agent meet at the same socket and probe', () => {
    const { example, agent } = compose.services;
    expect(example?.environment?.['LEAKLINE_SOCKET']).toBe(agent?.environment?.['LEAKLINE_AGENT_SOCKET']);
    const probe = /--require \/leakline\/(\S+)/.exec(String(example?.environment?.['NODE_OPTIONS']))?.[1];
    expect(existsSync(join(root, probe ?? 'missing'))).toBe(true);
  });
});

describe('infra/docker/Dockerfile', () => {
  const lines = read('infra/docker/Dockerfile').split('\n');

  it('copies only what exists and what .dockerignore lets through', () => {
    const allowed = read('.dockerignore')
      .split('\n')
      .filter((line) => line.startsWith('!'))
      .map((line) => line.slice(1));
    const sources = lines.filter((line) => /^COPY (?!--from)/.test(line)).flatMap((line) => line.split(' ').slice(1, -1));
    expect(sources.length).toBeGreaterThan(5);
    for (const source of sources) {
      expect(existsSync(join(root, source)), source).toBe(true);
      expect(
        allowed.some((entry) => source === entry || source.startsWith(`${entry}/`)),
        `${source} in .dockerignore`,
      ).toBe(true);
    }
  });

  it('runs as nobody special, on glibc', () => {
    expect(lines.filter((line) => line.startsWith('USER'))).toEqual(['USER node']);
    expect(lines.filter((line) => line.startsWith('FROM')).every((line) => line.startsWith('FROM node:20-bookworm-slim'))).toBe(true);
  });
});
