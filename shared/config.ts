/**
 * The whole configuration: one schema, from which types, environment names, docs/config.md and validation come.
 * Order: defaults, then the YAML file, then environment `LEAKLINE_…`, then flags. All mistakes are reported at once.
 * Durations are written `10s`, `5m`, `14d` and held in milliseconds; sizes are written `64MiB` and held in bytes.
 */
import ms from 'ms';
import { parseDocument } from 'yaml';
import { z } from 'zod';
import { duration, retention, size } from './config-units.ts';
import { LeaklineError } from './errors.ts';

interface KeyDoc {
  readonly doc: string;
  readonly unit?: string;
  readonly secret?: true;
}

const key = <Schema extends z.ZodType>(schema: Schema, doc: string, more: Omit<KeyDoc, 'doc'> = {}): Schema =>
  schema.meta({ doc, ...more });

const flag = (fallback: boolean) => z.union([z.boolean(), z.stringbool()]).default(fallback);
const count = (fallback: number) => z.coerce.number().int().min(0).default(fallback);
const text = () => z.string().default('');
/** A YAML list, or one comma-separated string from the environment. */
const list = () =>
  z.preprocess(
    (value) =>
      typeof value === 'string'
        ? value
            .split(',')
            .map((item) => item.trim())
            .filter(Boolean)
        : value,
    z.array(z.string()).default([]),
  );
const secret = (doc: string) => key(text(), doc, { secret: true });

const DAY_MS = 86_400_000;

const sections = z.strictObject({
  profile: key(z.enum(['production', 'minutes']).default('production'), 'time scale of detection: hours and days, or minutes (demos, CI)'),
  data: key(z.string().default('leakline-data'), 'directory of the embedded store and of spools'),
  listen: key(
    z
      .string()
      .regex(/^(\[.+\]|[^:]+):\d+$/, 'must be HOST:PORT')
      .default('127.0.0.1:8420'),
    'address the HTTP services listen on',
  ),
  publicUrl: key(
    z.union([z.literal(''), z.url()]).default(''),
    'address people reach the console at, for links in messages; default: the listen address',
  ),
  log: z
    .strictObject({ level: key(z.enum(['silent', 'error', 'warn', 'info', 'debug']).default('info'), 'least severity that is logged') })
    .prefault({}),
  auth: z
    .strictObject({
      ingestTokens: key(
        list(),
        'tokens that may send samples, each TOKEN, sha256:HEX or TEAM=either; no token of any kind = open (loopback only)',
        { secret: true },
      ),
      readerTokens: key(list(), 'tokens that may read the console and run SQL', { secret: true }),
      operatorTokens: key(list(), 'tokens that may also acknowledge, silence and dismiss', { secret: true }),
      trustedProxyHeader: key(text(), 'header in which a trusted proxy names the signed-in user; empty = none'),
    })
    .prefault({}),
  bus: z
    .strictObject({
      kind: key(z.enum(['memory', 'kafka']).default('memory'), 'in-process (embedded) or Kafka (fleet)'),
      brokers: key(list(), 'Kafka bootstrap brokers, HOST:PORT'),
      clientId: key(z.string().default('leakline'), 'Kafka client id'),
      partitions: key(count(12), 'partitions of samples and of what detectors share, when the topics have to be created'),
      replicationFactor: key(count(1), 'replicas of the topics when they have to be created'),
      tls: key(flag(false), 'TLS to the brokers'),
      caFile: key(text(), 'PEM file of the CA that signed the brokers’ certificates'),
      certFile: key(text(), 'PEM file of the client certificate (mTLS)'),
      keyFile: key(text(), 'PEM file of the client key (mTLS)'),
      saslMechanism: key(z.enum(['', 'plain', 'scram-sha-256', 'scram-sha-512']).default(''), 'SASL mechanism; empty = none'),
      saslUsername: key(text(), 'SASL user'),
      saslPassword: secret('SASL password'),
    })
    .prefault({}),
  store: z
    .strictObject({
      url: key(z.union([z.literal(''), z.url()]).default(''), 'ClickHouse HTTP address; empty = embedded store in `data`'),
      database: key(z.string().regex(/^\w+$/).default('leakline'), 'database'),
      username: key(z.string().default('default'), 'user that writes'),
      password: secret('password of that user'),
      readerUsername: key(text(), 'user for people’s SQL; empty = the writer under read-only settings'),
      readerPassword: secret('password of that user'),
      cluster: key(z.string().regex(/^\w*$/).default(''), 'cluster name: replicated and distributed tables; empty = single node'),
      rawRetention: key(retention('14d'), 'how long raw samples are kept', { unit: 'duration' }),
      minuteRetention: key(retention('400d'), 'how long minute rollups are kept, most of the disk of a large fleet', { unit: 'duration' }),
      rollupRetention: key(retention('400d'), 'how long hour rollups and all else but samples and minutes are kept', { unit: 'duration' }),
      sqlTimeout: key(duration('20s'), 'longest run of one query by people', { unit: 'duration' }),
      sqlMaxRows: key(count(100_000), 'most rows one query by people may return'),
      sqlMaxMemory: key(size('1GiB'), 'most memory one query by people may take', { unit: 'size' }),
    })
    .prefault({}),
  gateway: z
    .strictObject({
      maxBodySize: key(size('4MiB'), 'largest request body as sent', { unit: 'size' }),
      maxInflatedSize: key(size('32MiB'), 'largest request body after decompression', { unit: 'size' }),
      maxServicesPerToken: key(count(20_000), 'services one token may name within an hour; samples of further ones are refused'),
      maxSeriesPerToken: key(count(1_000_000), 'process lifetimes one token may name within an hour; samples of further ones are refused'),
    })
    .prefault({}),
  ingester: z
    .strictObject({
      maxBatchRows: key(count(200_000), 'rows per insert at most'),
      resolution: key(
        z.enum(['full', 'coarse']).default('full'),
        'coarse: bytes stored as whole KiB and collection pauses as whole microseconds, rounded down, for a third less disk',
      ),
      maxBatchDelay: key(duration('1s'), 'longest a sample waits for its insert', { unit: 'duration' }),
      rollupInterval: key(duration('10s'), 'how often touched minutes are rolled up', { unit: 'duration' }),
      maxFuture: key(duration('1d'), 'samples later than this after their arrival are refused', { unit: 'duration' }),
      maxAge: key(duration('7d'), 'samples older than this at their arrival are refused', { unit: 'duration' }),
      maxServicesPerAgent: key(count(1_000), 'services one agent may name within an hour; samples of further ones are refused'),
      maxSeriesPerAgent: key(
        count(50_000),
        'process lifetimes one agent may name within an hour: a machine that starts 14 watched processes a second; samples of further ones are refused',
      ),
    })
    .prefault({}),
  detector: z
    .strictObject({
      schedule: key(text(), 'cron expression (seconds allowed); default: every minute, every 5 s with profile minutes'),
      alerts: key(z.enum(['few', 'normal', 'early']).default('normal'), 'how soon people are told: fewer false alarms or more lead time'),
      defaultMemoryLimit: key(
        size('0'),
        'limit assumed where no cgroup limit is known; 0 = the host’s memory is not held against a process',
        { unit: 'size' },
      ),
    })
    .prefault({}),
  backtest: z.strictObject({ prometheusToken: secret('bearer token for `leakline backtest --prometheus`') }).prefault({}),
  notify: z
    .strictObject({
      slackToken: secret('Slack bot token (chat:write, files:write, channels:history): messages are edited in place and carry the chart'),
      slackChannel: key(text(), 'Slack channel id for the bot token'),
      slackWebhookUrl: secret('Slack incoming webhook, instead of a bot token: no edit in place, no chart'),
      slackApiUrl: key(z.url().default('https://slack.com/api/'), 'Slack Web API address'),
      smtpUrl: secret('mail server, smtp://USER:PASSWORD@HOST:PORT or smtps://…'),
      emailFrom: key(text(), 'sender of mails'),
      emailTo: key(list(), 'receivers of mails'),
      webhookUrl: secret('any HTTP endpoint that takes incident changes as JSON'),
      webhookSecret: secret('key of the HMAC-SHA256 signature on webhook bodies'),
      allowPrivateTargets: key(flag(true), 'may webhooks go to private addresses? link-local and metadata addresses never'),
    })
    .prefault({}),
  agent: z
    .strictObject({
      to: key(text(), 'gateway address samples are sent to'),
      token: secret('ingest token for the gateway'),
      match: key(
        text(),
        'regular expression on the command line: which processes to watch; empty = own cgroup or pod as a sidecar, else all it may see',
      ),
      interval: key(duration('10s'), 'time between samples', { unit: 'duration' }),
      service: key(text(), 'service name for every watched process; empty = found per process (docs/agent.md)'),
      environment: key(text(), 'environment for every watched process'),
      version: key(text(), 'version for every watched process'),
      instance: key(text(), 'instance for every watched process'),
      socket: key(text(), 'unix socket the probes write to; default: /tmp/leakline-UID/agent.sock'),
      spoolSize: key(size('64MiB'), 'disk the spool may take; the oldest is dropped and counted beyond it', { unit: 'size' }),
      smapsBudget: key(z.coerce.number().min(0).max(1).default(0.001), 'share of a core that reading PSS/USS may take; 0 = never'),
      scrape: key(list(), 'Prometheus endpoints to join to processes, each URL or PORT=URL or SERVICE=URL'),
      environmentAllow: key(list(), 'further environment variables to keep as labels'),
    })
    .prefault({}),
});

/** Rollups are made anew from what is kept, also for a sample that comes as late as may be. */
const schema = sections.superRefine(({ store, ingester }, context) => {
  const least = ingester.maxAge + DAY_MS;
  for (const name of ['rawRetention', 'minuteRetention', 'rollupRetention'] as const) {
    if (store[name] >= least) continue;
    const message = `must be at least a day more than ingester.maxAge (${ms(least)}), or a late sample spoils the rollups it falls into`;
    context.addIssue({ code: 'custom', path: ['store', name], message });
  }
});

export type Config = z.output<typeof schema>;

export interface ConfigKey extends KeyDoc {
  /** Dotted path in the YAML file. */
  readonly path: string;
  readonly env: string;
  readonly default: unknown;
}

const envName = (path: string) =>
  `LEAKLINE_${path
    .replace(/([a-z0-9])([A-Z])/g, '$1_$2')
    .replaceAll('.', '_')
    .toUpperCase()}`;

function collectKeys(): ConfigKey[] {
  const defaults = schema.parse({}) as Record<string, unknown>;
  const keys: ConfigKey[] = [];
  const visit = (shape: Record<string, z.ZodType>, values: Record<string, unknown>, prefix: string) => {
    for (const [name, field] of Object.entries(shape)) {
      const path = prefix + name;
      const meta = field.meta() as KeyDoc | undefined;
      const value = values[name];
      if (meta?.doc === undefined) visit(sectionShape(field), value as Record<string, unknown>, `${path}.`);
      else keys.push({ ...meta, path, env: envName(path), default: value });
    }
  };
  visit(schema.shape, defaults, '');
  return keys;
}

function sectionShape(field: z.ZodType): Record<string, z.ZodType> {
  const inner = field instanceof z.ZodPrefault ? field.unwrap() : field;
  return (inner as z.ZodObject).shape;
}

export const CONFIG_KEYS: readonly ConfigKey[] = collectKeys();

export interface ConfigSources {
  /** Text of the YAML file and its name for messages. */
  readonly file?: { readonly name: string; readonly text: string };
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Dotted path → value, from flags. */
  readonly flags: Readonly<Record<string, unknown>>;
  /** For `…_FILE` variables and `…File` keys of secrets. Throws when it cannot. */
  readonly readFile: (path: string) => string;
}

function setPath(target: Record<string, unknown>, path: string, value: unknown): void {
  const names = path.split('.');
  const last = names.pop() ?? '';
  let node = target;
  for (const name of names) node = (node[name] ??= {}) as Record<string, unknown>;
  node[last] = value;
}

/** Validated and frozen. Throws LKL_ERR_CONFIG with every mistake, one a line: where it stands, its value, the rule. */
export function loadConfig(sources: ConfigSources): Config {
  const problems: string[] = [];
  const origin = new Map<string, string>();
  const tree = readYaml(sources, problems);

  for (const { path, env, secret: isSecret } of CONFIG_KEYS) {
    const fromVariable = sources.env[env];
    const fileVariable = isSecret === true ? sources.env[`${env}_FILE`] : undefined;
    if (fromVariable !== undefined) {
      setPath(tree, path, fromVariable);
      origin.set(path, env);
    } else if (fileVariable !== undefined) {
      try {
        setPath(tree, path, sources.readFile(fileVariable).trim());
      } catch (error) {
        problems.push(`${env}_FILE = ${fileVariable}: cannot be read (${error instanceof Error ? error.message : String(error)})`);
      }
      origin.set(path, `${env}_FILE`);
    }
  }
  const known = new Set(CONFIG_KEYS.flatMap(({ env, secret: isSecret }) => (isSecret === true ? [env, `${env}_FILE`] : [env])));
  for (const name of Object.keys(sources.env)) {
    if (name.startsWith('LEAKLINE_') && !known.has(name) && !RESERVED_ENV.has(name))
      problems.push(`${name}: no such setting (see \`leakline config docs\`)`);
  }
  for (const [path, value] of Object.entries(sources.flags)) {
    if (value === undefined) continue;
    setPath(tree, path, value);
    origin.set(path, 'flag');
  }

  const parsed = schema.safeParse(tree);
  if (!parsed.success) {
    for (const issue of parsed.error.issues) {
      const path = issue.path.join('.');
      const where = origin.get(path) ?? sources.file?.name ?? 'defaults';
      const isSecret = CONFIG_KEYS.find((candidate) => candidate.path === path)?.secret === true;
      const value = issue.path.reduce<unknown>((node, name) => (node as Record<PropertyKey, unknown> | undefined)?.[name], tree);
      const shown = value === undefined ? '' : ` = ${isSecret ? '[redacted]' : JSON.stringify(value)}`;
      problems.push(`${where}: ${path}${shown}: ${issue.message}`);
    }
  }
  if (problems.length > 0 || !parsed.success) {
    throw new LeaklineError(
      'LKL_ERR_CONFIG',
      `configuration has ${String(problems.length)} mistake${problems.length === 1 ? '' : 's'}:\n${problems.map((problem) => `  ${problem}`).join('\n')}`,
      { details: { problems } },
    );
  }
  return deepFreeze(parsed.data);
}

/** Read elsewhere: by probes inside apps, by the agent from the environment of what it watches, or by the command line. */
const RESERVED_ENV = new Set([
  'LEAKLINE_SERVICE',
  'LEAKLINE_ENVIRONMENT',
  'LEAKLINE_VERSION',
  'LEAKLINE_INSTANCE',
  'LEAKLINE_SOCKET',
  'LEAKLINE_URL',
  'LEAKLINE_TOKEN',
  'LEAKLINE_CONFIG',
  'LEAKLINE_INTERVAL_MS',
]);

function readYaml(sources: ConfigSources, problems: string[]): Record<string, unknown> {
  if (sources.file === undefined) return {};
  const { name, text: source } = sources.file;
  const document = parseDocument(source);
  for (const error of document.errors) problems.push(`${name}: ${error.message}`);
  const tree: unknown = document.errors.length > 0 ? {} : document.toJS();
  if (tree === null || tree === undefined) return {};
  if (typeof tree !== 'object' || Array.isArray(tree)) {
    problems.push(`${name}: must be a mapping of sections`);
    return {};
  }
  return inlineSecretFiles(tree as Record<string, unknown>, sources, problems);
}

/** `slackTokenFile: /run/secrets/slack` stands for `slackToken: <content of that file>`. */
function inlineSecretFiles(tree: Record<string, unknown>, sources: ConfigSources, problems: string[]): Record<string, unknown> {
  for (const { path, secret: isSecret } of CONFIG_KEYS) {
    if (isSecret !== true) continue;
    const [section = '', name = ''] = path.split('.');
    const node = tree[section] as Record<string, unknown> | undefined;
    const file = node?.[`${name}File`];
    if (node === undefined || typeof file !== 'string') continue;
    try {
      node[name] = sources.readFile(file).trim();
    } catch (error) {
      problems.push(
        `${sources.file?.name ?? ''}: ${path}File = ${file}: cannot be read (${error instanceof Error ? error.message : String(error)})`,
      );
    }
    Reflect.deleteProperty(node, `${name}File`);
  }
  return tree;
}

function deepFreeze<Value>(value: Value): Value {
  if (typeof value === 'object' && value !== null) Object.values(Object.freeze(value)).forEach(deepFreeze);
  return value;
}

const valueAt = (config: Config, path: string): unknown =>
  path.split('.').reduce<unknown>((node, name) => (node as Record<string, unknown>)[name], config);

/** Every secret value, for redaction; of URLs also the user info alone. */
export function configSecrets(config: Config): string[] {
  const values = CONFIG_KEYS.filter((entry) => entry.secret === true).flatMap((entry) => {
    const value = valueAt(config, entry.path);
    return Array.isArray(value) ? (value as string[]) : [value as string];
  });
  const passwords = values.flatMap((value) => {
    const named = /^[A-Za-z][\w.-]*=(?=[^=])(.+)$/.exec(value)?.[1];
    if (named !== undefined) return [named];
    if (!URL.canParse(value)) return [];
    const { password } = new URL(value);
    return [password, decodeURIComponent(password)];
  });
  return [...new Set([...values, ...passwords])].filter((value) => value !== '');
}

/** The configuration as people may see it: secrets replaced. */
export function redactedConfig(config: Config): Record<string, unknown> {
  const tree: Record<string, unknown> = {};
  for (const { path, secret: isSecret } of CONFIG_KEYS) {
    const value = valueAt(config, path);
    const isSet = Array.isArray(value) ? value.length > 0 : value !== '';
    setPath(tree, path, isSecret === true && isSet ? '[set]' : value);
  }
  return tree;
}
