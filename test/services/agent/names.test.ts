/** How programs, pods and units are named: command lines, cgroup paths, environments. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isLauncher, nameOfCommand, portOfCommand } from '../../../services/agent/command-line.ts';
import { commandMatches } from '../../../services/agent/discover.ts';
import { parseResourceAttributes, pickVariables } from '../../../services/agent/environ.ts';
import { redactValue } from '../../../services/agent/redaction.ts';
import { isGoBinary, runtimeOfMaps, runtimeOfName } from '../../../services/agent/runtime-detect.ts';
import { parseWorkload, workloadOfPod } from '../../../services/agent/workload.ts';

const ID = '0123456789abcdef'.repeat(4);

describe('the name behind a command line', () => {
  it.each([
    ['node checkout.js', 'checkout', false],
    ['/usr/bin/node --max-old-space-size=512 -r ./probe.cjs /srv/shop/dist/server.js', 'shop', false],
    ['node server.js', 'server', true],
    ['node -e require("x")("secret")', 'node', true],
    ['node /srv/shop/node_modules/.bin/next start', 'next', false],
    ['node /usr/bin/npm start', 'npm', false],
    ['next-server (v14.0)', 'next-server', false],
    ['python3 -m http.server 80', 'http.server', false],
    ['python3 -m gunicorn shop.wsgi:application', 'shop', false],
    ['/venv/bin/python /venv/bin/gunicorn -w 4 -b 0.0.0.0:8000 shop.wsgi', 'shop', false],
    ['uvicorn app.main:app --host localhost', 'app', true],
    ['gunicorn: worker [shop.wsgi:app]', 'shop', false],
    ['python /srv/shop/manage.py runserver', 'shop', false],
    ['python -c import secret', 'python', true],
    ['python -W ignore -u worker.py', 'worker', true],
    ['celery -A proj.celery worker -Q mail', 'proj-worker', false],
    ['java -Xmx1g -cp /lib/* com.acme.Checkout', 'Checkout', false],
    ['java -Xmx1g -Dspring.application.name=cart -jar /app/app.jar', 'cart', false],
    ['java -jar /opt/orders-1.4.2.jar --port 80', 'orders', false],
    ['java -jar /app/app.jar', 'app', true],
    ['dotnet /app/Shop.Api.dll', 'Shop.Api', false],
    ['puma 6.4.0 (tcp://0.0.0.0:3000) [storefront]', 'storefront', false],
    ['sidekiq 7.1.0 storefront [0 of 10 busy]', 'storefront-sidekiq', false],
    ['nginx: worker process', 'nginx', false],
    ['postgres: 16/main: walwriter ', 'postgres', false],
    ['-bash', 'bash', false],
    ['/usr/local/bin/orders --listen :8080', 'orders', false],
  ])('%s', (line, name, generic) => {
    const argv = /^(?:gunicorn:|puma|sidekiq|nginx:|postgres:|next-server)/.test(line) ? [line] : line.split(' ');
    expect(nameOfCommand(argv, '/')).toMatchObject({ name, generic });
  });

  it('looks for package.json where the program is, or where a tool of the project was started', () => {
    expect(nameOfCommand(['node', 'dist/server.js'], '/srv/shop')?.packageDirectory).toBe('/srv/shop/dist');
    expect(nameOfCommand(['node', 'node_modules/.bin/next', 'start'], '/srv/shop')?.packageDirectory).toBe('/srv/shop');
    expect(nameOfCommand(['java', '-jar', 'orders-1.4.2.jar'], '/')?.version).toBe('1.4.2');
    expect(nameOfCommand([], '/')).toBeUndefined();
  });

  it('never throws, whatever the arguments', () => {
    fc.assert(
      fc.property(fc.array(fc.string()), fc.string(), (argv, cwd) => {
        nameOfCommand(argv, `/${cwd}`);
        portOfCommand(argv);
        isLauncher(argv);
      }),
    );
  });

  it.each([
    ['node app.js --port 8081', 8081],
    ['java -Dserver.port=9000 -jar a.jar', 9000],
    ['gunicorn -b 0.0.0.0:8002 a:b', 8002],
    ['gunicorn --bind=127.0.0.1:8003 a:b', 8003],
    ['orders --listen :8080', 8080],
    ['node app.js -p secret', undefined],
    ['node app.js --port 99999', undefined],
  ])('port of %s', (line, port) => {
    expect(portOfCommand(line.split(' '))).toBe(port);
  });

  it.each([
    ['sh -c node app.js', true],
    ['/bin/bash -lc x', true],
    ['tini -- node app.js', true],
    ['node /usr/lib/node_modules/npm/bin/npm-cli.js start', true],
    ['bash backup.sh', false],
    ['node app.js', false],
  ])('%s only starts another program: %s', (line, launcher) => {
    expect(isLauncher(line.split(' '))).toBe(launcher);
  });

  it('a pattern does not match a command line merely for standing in it', () => {
    expect(commandMatches(/shop\.js/, ['node', 'leakline', 'agent', '--match', 'shop\\.js'])).toBe(false);
    expect(commandMatches(/shop/, ['sh', '-c', "leakline agent --match='shop' --to x"])).toBe(false);
    expect(commandMatches(/shop/, ['node', 'shop.js', '--match', 'shop'])).toBe(true);
  });
});

describe('who runs it, from the cgroup path', () => {
  it.each([
    [
      `/kubepods/burstable/pod0f1e2d3c-1111-2222-3333-444455556666/${ID}`,
      { podUid: '0f1e2d3c-1111-2222-3333-444455556666', containerId: ID },
    ],
    [
      `/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod0f1e2d3c_1111_2222_3333_444455556666.slice/cri-containerd-${ID}.scope`,
      { podUid: '0f1e2d3c-1111-2222-3333-444455556666', containerId: ID },
    ],
    [`/docker/${ID}`, { containerId: ID }],
    [`/system.slice/docker-${ID}.scope`, { containerId: ID }],
    ['/system.slice/shop.service', { systemdUnit: 'shop.service' }],
    ['/system.slice/system-web.slice/web@8081.service', { systemdUnit: 'web@8081.service' }],
    ['/user.slice/user-1000.slice/user@1000.service/app.slice/my\\x2dapp.service', { systemdUnit: 'my-app.service' }],
    ['/user.slice/user-1000.slice/session-3.scope', {}],
    ['/', {}],
  ])('%s', (path, workload) => {
    expect(parseWorkload(path)).toEqual(workload);
  });

  it.each([
    ['checkout-7d9f8b6c5-x2x4z', 'checkout'],
    ['node-exporter-k9v2x', 'node-exporter'],
    ['db-0', 'db'],
    ['checkout', 'checkout'],
    ['web-frontend', 'web-frontend'],
  ])('pod %s is of workload %s', (pod, workload) => {
    expect(workloadOfPod(pod)).toBe(workload);
  });
});

describe('environments', () => {
  const block = Buffer.from('PATH=/bin\0XPORT=1\0PORT=80\0PORT=81\0API_KEY=hunter2\0OTEL_SERVICE_NAME=shop\0');

  it('gives the variables asked for and nothing else, the first of equals', () => {
    expect([...pickVariables(block, ['PORT', 'OTEL_SERVICE_NAME', 'NONE'])]).toEqual([
      ['PORT', '80'],
      ['OTEL_SERVICE_NAME', 'shop'],
    ]);
  });

  it('finds every variable of any block', () => {
    const name = fc.stringMatching(/^[A-Z_]{1,8}$/);
    const value = fc.string().map((text) => text.replaceAll('\0', ''));
    fc.assert(
      fc.property(fc.dictionary(name, value), (variables) => {
        const bytes = Buffer.from(
          Object.entries(variables)
            .map(([key, text]) => `${key}=${text}\0`)
            .join(''),
        );
        expect(Object.fromEntries(pickVariables(bytes, Object.keys(variables)))).toEqual({ ...variables });
      }),
    );
  });

  it('reads resource attributes, percent-encoded or broken', () => {
    const attributes = parseResourceAttributes('service.name=shop, service.version=1%2E2,broken,=x,odd=%zz');
    expect(Object.fromEntries(attributes)).toEqual({ 'service.name': 'shop', 'service.version': '1.2', odd: '%zz' });
  });

  it.each([
    ['postgres://shop:hunter2@db/shop', 'postgres://[redacted]@db/shop'],
    ['password=hunter2 x', 'password=[redacted]'],
    ['Authorization: Bearer abc', 'Authorization: [redacted]'],
    ['ghp_0123456789abcdefghijABCDEFGHIJ', '[redacted]'],
    ['a\nb\u0000c', 'a b c'],
    ['eu-west-1', 'eu-west-1'],
    ['x'.repeat(500), 'x'.repeat(200)],
  ])('keeps of %s only %s', (value, kept) => {
    expect(redactValue(value)).toBe(kept);
  });
});

describe('runtimes', () => {
  it.each([
    ['/usr/bin/node', 'nodejs'],
    ['/usr/bin/python3.11', 'python'],
    ['/opt/jdk/bin/java', 'jvm'],
    ['/usr/bin/ruby3.1', 'ruby'],
    ['/usr/bin/dotnet', 'dotnet'],
    ['/usr/bin/nodepad', undefined],
  ])('%s is %s', (exe, runtime) => {
    expect(runtimeOfName(exe)).toBe(runtime);
  });

  it('knows libraries that carry a runtime, and the note of the Go linker', () => {
    expect(runtimeOfMaps('7f r-xp 0 0 0 /usr/lib/jvm/lib/server/libjvm.so\n')).toBe('jvm');
    expect(runtimeOfMaps('7f r-xp 0 0 0 /usr/lib/libpython3.11.so.1.0\n')).toBe('python');
    expect(runtimeOfMaps('7f r-xp 0 0 0 /usr/lib/libc.so.6\n')).toBeUndefined();
    const elf = Buffer.concat([
      Buffer.from('\x7fELF'),
      Buffer.alloc(100),
      Buffer.from([4, 0, 0, 0, 83, 0, 0, 0, 4, 0, 0, 0, 71, 111, 0, 0]),
    ]);
    expect(isGoBinary(elf)).toBe(true);
    expect(isGoBinary(elf.subarray(1))).toBe(false);
    expect(isGoBinary(Buffer.from('\x7fELF and no note'))).toBe(false);
  });
});
