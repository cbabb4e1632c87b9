/** The rules of the house as a test: which room may know which, where vendors stay, and that docs list what the code has. */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, normalize, relative } from 'node:path';
import ts from 'typescript';
import { describe, expect, it } from 'vitest';
import { configDocs } from '../services/cli/config-docs.ts';
import { ERROR_CODES } from '../shared/errors.ts';
import { METRIC_NAMES } from '../shared/sample.ts';

const ROOT = join(import.meta.dirname, '..');

interface SourceFile {
  readonly path: string;
  readonly text: string;
}

function sourcesUnder(folder: string): SourceFile[] {
  return readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .map((name) => join(folder, name))
    .filter((path) => /\.(ts|tsx)$/.test(path) && !path.includes('node_modules') && statSync(join(ROOT, path)).isFile())
    .map((path) => ({ path, text: readFileSync(join(ROOT, path), 'utf8') }));
}

/** Imported paths: relative ones resolved against the root, packages as they are written. */
function importsOf({ path, text }: SourceFile): string[] {
  return ts
    .preProcessFile(text, true, true)
    .importedFiles.map(({ fileName }) => (fileName.startsWith('.') ? normalize(join(dirname(path), fileName)) : fileName));
}

/** Who may not import what. `from` and `to` are prefixes or patterns of paths relative to the root, or package names. */
const FORBIDDEN: readonly { readonly from: RegExp; readonly to: RegExp; readonly why: string }[] = [
  { from: /^shared\//, to: /^services\//, why: 'shared/ is vocabulary and ports: it knows no service' },
  { from: /^(shared|services|probes)\//, to: /^test\//, why: 'the product does not depend on its tests' },
  { from: /./, to: /^services\/main\.ts$/, why: 'main.ts is imported by nothing' },
  { from: /^services\/(?!main|cli\/)/, to: /^services\/cli\//, why: 'only main.ts wires' },
  { from: /^services\/agent\//, to: /^shared\/store\//, why: 'the agent knows nothing of storage' },
  { from: /^services\/gateway\//, to: /^shared\/store\//, why: 'the gateway puts on the bus, it does not store' },
  { from: /^services\/ingester\//, to: /^shared\/(incident|judgement)\.ts$/, why: 'the ingester knows samples, not incidents' },
  {
    from: /^services\/(detector|notifier|console|store)\//,
    to: /^shared\/bus\//,
    why: 'past the ingester everything flows through the store',
  },
  { from: /^services\/notifier\//, to: /^shared\/sample\.ts$/, why: 'the notifier knows incidents, not samples' },
  { from: /^services\/console\//, to: /^shared\/store\/samples\.ts$/, why: 'the console only reads' },
  { from: /^shared\/bus\//, to: /^shared\/store\//, why: 'bus and store do not know each other' },
  { from: /^shared\/store\//, to: /^shared\/(bus\/|wire\.ts)/, why: 'bus and store do not know each other' },
  {
    from: /^shared\/(errors|clock|lifecycle|log|metrics|retry)\.ts$/,
    to: /^shared\/(sample|incident|judgement|series|bus\/|store\/)/,
    why: 'the process frame knows no vocabulary',
  },
  { from: /^(?!shared\/bus\/kafka)/, to: /^kafkajs/, why: 'Kafka stays behind shared/bus/kafka*.ts' },
  { from: /^(?!shared\/store\/|services\/store\/)/, to: /^(@clickhouse\/client|chdb)/, why: 'ClickHouse stays behind shared/store/' },
  { from: /^(?!services\/notifier\/)/, to: /^(nodemailer|@slack\/)/, why: 'vendors of messages stay in the notifier' },
  { from: /^(?!shared\/log\.ts)/, to: /^pino$/, why: 'pino stays behind shared/log.ts' },
  { from: /^(?!services\/(main\.ts|cli\/))/, to: /^commander$/, why: 'only main.ts reads arguments' },
];

/** Pure files take what they need as arguments: no I/O modules, no clock, no log. */
const PURE =
  /^(shared\/(sample|series|judgement|chart)\.ts|services\/detector\/(?!detector|schedule|backtest|history|report)[\w-]+\.ts|services\/notifier\/message[\w-]*\.ts)$/;
const IMPURE_IMPORT = /^(node:(?!crypto$)|shared\/(clock|log|metrics|config)\.ts)/;

const service = (path: string) => /^services\/(\w+)\//.exec(path)?.[1];

function violations(files: readonly SourceFile[]): string[] {
  return files.flatMap((file) =>
    importsOf(file).flatMap((to) => {
      const found = FORBIDDEN.filter((rule) => rule.from.test(file.path) && rule.to.test(to)).map(({ why }) => why);
      const [here, there] = [service(file.path), service(to)];
      if (here !== undefined && there !== undefined && here !== 'cli' && here !== there)
        found.push('services meet on a topic, a table or an injected function, never by import');
      if (PURE.test(file.path) && IMPURE_IMPORT.test(to) && !/import type/.test(importLine(file, to)))
        found.push('pure files do no I/O and read no clock');
      return found.map((why) => `${file.path} imports ${to}: ${why}`);
    }),
  );
}

const importLine = (file: SourceFile, to: string) =>
  file.text
    .split('\n')
    .find((line) => line.includes(relative(dirname(file.path), to).replace(/^(?!\.)/, './')) || line.includes(`'${to}'`)) ?? '';

const product = [...sourcesUnder('services'), ...sourcesUnder('shared')];

describe('the arrows', () => {
  it('holds: no import goes against the flow', () => {
    expect(product.length).toBeGreaterThan(40);
    expect(violations(product)).toEqual([]);
  });

  it.each([
    ['services/agent/agent.ts', "import { openStore } from '../../shared/store/store.ts';"],
    ['services/detector/detector.ts', "import { Notifier } from '../notifier/notifier.ts';"],
    ['services/detector/detector.ts', "import type { Bus } from '../../shared/bus/bus.ts';"],
    ['services/notifier/slack.ts', "import { decodeBatch } from '../../shared/sample.ts';"],
    ['services/gateway/gateway.ts', "import { insertSamples } from '../../shared/store/samples.ts';"],
    ['shared/store/store.ts', "import { runUp } from '../../services/cli/up.ts';"],
    ['services/ingester/ingester.ts', "import { Kafka } from 'kafkajs';"],
    ['services/console/console.ts', "import { createClient } from '@clickhouse/client';"],
    ['shared/series.ts', "import { readFileSync } from 'node:fs';"],
  ])('would notice %s with %s', (path, text) => {
    expect(violations([{ path, text }])).toHaveLength(1);
  });
});

describe('the rooms', () => {
  it.each(['agent', 'gateway', 'ingester', 'detector', 'notifier', 'console'])('%s is a folder that holds a file of its name', (room) => {
    expect(product.some(({ path }) => path === `services/${room}/${room}.ts`)).toBe(true);
  });

  it('has no drawer files', () => {
    const drawers = product.filter(({ path }) =>
      /(^|\/)(utils?|helpers?|types|common|misc|constants|interfaces|lib|index)\.ts$/.test(path),
    );
    expect(drawers.map(({ path }) => path)).toEqual([]);
  });

  it('has no barrels', () => {
    expect(product.filter(({ text }) => /^export \*/m.test(text)).map(({ path }) => path)).toEqual([]);
  });

  it('keeps every file within 400 lines', () => {
    const long = [...product, ...sourcesUnder('test')].filter(({ text }) => text.split('\n').length > 401);
    expect(long.map(({ path, text }) => `${path}: ${text.split('\n').length}`)).toEqual([]);
  });

  it('keeps SQL in infra/clickhouse and shared/store', () => {
    const elsewhere = product.filter(
      ({ path, text }) =>
        !/^(shared\/store|services\/(store|cli))\//.test(path) &&
        !path.startsWith('services/console/page/') &&
        /['"`]\s*(SELECT|INSERT INTO|ALTER TABLE)\s+[\w*(]/.test(text),
    );
    const allowed = elsewhere.filter(({ path }) => path !== 'services/notifier/message.ts' && !path.startsWith('services/console/'));
    expect(allowed.map(({ path }) => path)).toEqual([]);
  });

  it('reads arguments and environment in main.ts alone, and the clock in clock.ts alone', () => {
    const readers = product.filter(
      ({ path, text }) => !/^services\/(main\.ts|cli\/|console\/page\/)/.test(path) && /process\.(env|argv)\b/.test(text),
    );
    expect(readers.map(({ path }) => path)).toEqual([]);
    const clocks = product.filter(
      ({ path, text }) =>
        path !== 'shared/clock.ts' && !path.startsWith('services/console/page/') && /\bDate\.now\(\)|\bnew Date\(\)/.test(text),
    );
    expect(clocks.map(({ path }) => path)).toEqual([]);
  });
});

describe('the documents', () => {
  const doc = (name: string) => readFileSync(join(ROOT, 'docs', name), 'utf8');

  it('docs/config.md is what the schema says', () => {
    expect(doc('config.md')).toBe(configDocs());
  });

  it('docs/errors.md explains every code and no other', () => {
    const listed = [...doc('errors.md').matchAll(/^\| `(LKL_ERR_\w+)`/gm)].map(([, code]) => code);
    expect(listed.sort()).toEqual([...ERROR_CODES].sort());
  });

  it('every error code is raised somewhere', () => {
    const raised = (code: string) => product.some(({ path, text }) => path !== 'shared/errors.ts' && text.includes(`'${code}'`));
    expect(ERROR_CODES.filter((code) => !raised(code))).toEqual([]);
  });

  it('docs/metrics.md lists every metric the code has and no other', () => {
    const inCode = new Set(
      product.flatMap(({ text }) =>
        [...text.matchAll(/(?:counter|gauge|histogram)(?:<[^>]*>)?\(\s*'(leakline_\w+)'/g)].map(([, name]) => name),
      ),
    );
    const listed = new Set([...doc('metrics.md').matchAll(/^\| `(leakline_\w+)`/gm)].map(([, name]) => name));
    expect([...listed].sort()).toEqual([...inCode].sort());
  });

  it('docs/sql.md explains every column of a sample', () => {
    const text = doc('sql.md');
    expect(METRIC_NAMES.filter((name) => !text.includes(`| ${name} |`))).toEqual([]);
  });

  const pages = [
    'README.md',
    'ARCHITECTURE.md',
    'CONTRIBUTING.md',
    ...readdirSync(join(ROOT, 'docs'))
      .filter((name) => name.endsWith('.md'))
      .map((name) => `docs/${name}`),
  ];
  const isThere = (path: string) => statSync(join(ROOT, path), { throwIfNoEntry: false }) !== undefined;

  it('every page of docs/ can be reached from README', () => {
    const readme = readFileSync(join(ROOT, 'README.md'), 'utf8');
    expect(pages.filter((page) => page.startsWith('docs/') && !readme.includes(`(${page})`))).toEqual([]);
  });

  it('a test or source a page names exists', () => {
    const named = pages.flatMap((page) =>
      [
        ...readFileSync(join(ROOT, page), 'utf8').matchAll(
          /\b((?:test|services|shared|infra|probes)\/[\w./-]+\.(?:ts|mjs|cjs|py|sh|sql|service))\b/g,
        ),
      ].map(([, path = '']) => ({ page, path })),
    );
    expect(named.length).toBeGreaterThan(20);
    expect(named.filter(({ path }) => !isThere(path))).toEqual([]);
  });

  it('a relative link leads somewhere', () => {
    const broken = pages.flatMap((page) =>
      [...readFileSync(join(ROOT, page), 'utf8').matchAll(/\]\((?!https?:|#|mailto:)([^)#\s]+)/g)]
        .map(([, target = '']) => join(dirname(page), target))
        .filter((target) => !isThere(target))
        .map((target) => `${page} → ${target}`),
    );
    expect(broken).toEqual([]);
  });
});
