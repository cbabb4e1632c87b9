import { describe, expect, it } from 'vitest';
import { CONFIG_KEYS, configSecrets, loadConfig, redactedConfig, type Config, type ConfigSources } from '../../shared/config.ts';
import { LeaklineError } from '../../shared/errors.ts';

const load = (sources: Partial<ConfigSources> & { yaml?: string }): Config =>
  loadConfig({
    env: {},
    flags: {},
    readFile: (path) => {
      throw new Error(`no such file ${path}`);
    },
    ...sources,
    ...(sources.yaml === undefined ? {} : { file: { name: 'leakline.yaml', text: sources.yaml } }),
  });

function mistakes(sources: Parameters<typeof load>[0]): string[] {
  try {
    load(sources);
  } catch (error) {
    if (error instanceof LeaklineError && error.code === 'LKL_ERR_CONFIG') return error.details['problems'] as string[];
    throw error;
  }
  return [];
}

describe('loadConfig', () => {
  it('has a default for every key', () => {
    const config = load({});
    expect(config.profile).toBe('production');
    expect(config.agent.interval).toBe(10_000);
    expect(config.store.rawRetention).toBe(14 * 86_400_000);
    expect(config.agent.spoolSize).toBe(64 * 1024 * 1024);
  });

  it('lets environment win over the file and flags over both', () => {
    const yaml = 'agent:\n  interval: 1m\n  match: from-file\nlisten: 127.0.0.1:1\n';
    const config = load({
      yaml,
      env: { LEAKLINE_AGENT_INTERVAL: '5s', LEAKLINE_LISTEN: '127.0.0.1:2' },
      flags: { listen: '127.0.0.1:3', 'agent.to': undefined },
    });
    expect(config.agent.match).toBe('from-file');
    expect(config.agent.interval).toBe(5_000);
    expect(config.listen).toBe('127.0.0.1:3');
  });

  it.each([
    ['rawRetention', '100y'],
    ['minuteRetention', 'forever'],
    ['rollupRetention', '51y'],
    ['rollupRetention', '-1d'],
  ])('refuses a %s of %s', (name, value) => {
    expect(mistakes({ yaml: `store:\n  ${name}: ${value}\n` })).toEqual([
      `leakline.yaml: store.${name} = "${value}": must be a duration such as 10s, 5m or 14d, 50y at most`,
    ]);
  });

  it('reports every mistake at once, each with its place, value and rule', () => {
    const found = mistakes({
      yaml: 'profile: hourly\nagent:\n  intervall: 5s\n  interval: soon\nstore:\n  rawRetention: -1d\n',
      env: { LEAKLINE_LISTEN: 'here', LEAKLINE_TYPO: '1' },
      flags: { 'detector.alerts': 'never' },
    });
    expect(found).toHaveLength(7);
    expect(found.join('\n')).toMatch(/leakline\.yaml: profile = "hourly": .*"production"\|"minutes"/);
    expect(found.join('\n')).toMatch(/leakline\.yaml: agent.*intervall/);
    expect(found.join('\n')).toMatch(/leakline\.yaml: agent\.interval = "soon": must be a duration such as 10s, 5m or 14d/);
    expect(found.join('\n')).toMatch(/store\.rawRetention = "-1d"/);
    expect(found.join('\n')).toMatch(/LEAKLINE_LISTEN: listen = "here": must be HOST:PORT/);
    expect(found.join('\n')).toMatch(/LEAKLINE_TYPO: no such setting/);
    expect(found.join('\n')).toMatch(/flag: detector\.alerts = "never"/);
  });

  it('refuses to keep less than a late sample may need', () => {
    expect(mistakes({ yaml: 'store:\n  minuteRetention: 7d\n' }).join('\n')).toMatch(
      /leakline\.yaml: store\.minuteRetention = "7d": must be at least a day more than ingester\.maxAge \(8d\)/,
    );
    expect(load({ yaml: 'store:\n  minuteRetention: 3d\ningester:\n  maxAge: 2d\n' }).store.minuteRetention).toBe(3 * 86_400_000);
  });

  it('names the line of broken YAML', () => {
    expect(mistakes({ yaml: 'agent:\n  interval: [1\n' }).join('\n')).toMatch(/leakline\.yaml: .*line \d/);
    expect(mistakes({ yaml: '- a\n- b\n' })).toEqual(['leakline.yaml: must be a mapping of sections']);
  });

  it('takes secrets from files, by variable and by key', () => {
    const readFile = (path: string) =>
      ({ '/run/secrets/slack': 'xoxb-from-file\n', '/run/secrets/smtp': 'smtp://u:p4ssword@mail:25\n' })[path] ?? '';
    const config = load({
      yaml: 'notify:\n  slackTokenFile: /run/secrets/slack\n',
      env: { LEAKLINE_NOTIFY_SMTP_URL_FILE: '/run/secrets/smtp' },
      readFile,
    });
    expect(config.notify.slackToken).toBe('xoxb-from-file');
    expect(config.notify.smtpUrl).toBe('smtp://u:p4ssword@mail:25');
    expect(mistakes({ env: { LEAKLINE_NOTIFY_SLACK_TOKEN_FILE: '/nowhere' } })[0]).toMatch(
      /LEAKLINE_NOTIFY_SLACK_TOKEN_FILE = \/nowhere: cannot be read/,
    );
  });

  it('never shows a secret: not in a mistake, not when printed', () => {
    const secret = 'not-a-url-but-secret';
    expect(
      mistakes({ env: { LEAKLINE_NOTIFY_SLACK_API_URL: 'nope', LEAKLINE_STORE_PASSWORD: secret, LEAKLINE_LISTEN: 'x' } }).join(),
    ).not.toContain(secret);
    const config = load({
      env: {
        LEAKLINE_STORE_PASSWORD: secret,
        LEAKLINE_NOTIFY_SMTP_URL: 'smtp://u:p%40ss@h:25',
        LEAKLINE_AUTH_INGEST_TOKENS: 'tok-1,tok-2',
      },
    });
    expect(configSecrets(config)).toEqual(expect.arrayContaining([secret, 'p@ss', 'p%40ss', 'tok-1', 'tok-2']));
    const printed = JSON.stringify(redactedConfig(config));
    for (const value of configSecrets(config)) expect(printed).not.toContain(value);
  });

  it('is frozen, and every key is documented', () => {
    const config = load({});
    expect(() => ((config.agent as { match: string }).match = 'x')).toThrow(TypeError);
    expect(CONFIG_KEYS.filter(({ doc }) => doc.length < 8)).toEqual([]);
    expect(new Set(CONFIG_KEYS.map(({ env }) => env)).size).toBe(CONFIG_KEYS.length);
  });
});
