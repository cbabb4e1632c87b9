/** docs/config.md and `leakline config …`: the configuration as people read it, made from the one schema. */
import { stringify } from 'yaml';
import { CONFIG_KEYS, redactedConfig, type Config } from '../../shared/config.ts';

/** The configuration in force as YAML (or JSON), secrets replaced. */
export function printConfig(config: Config, json: boolean): string {
  const tree = redactedConfig(config);
  return json ? `${JSON.stringify(tree, null, 2)}\n` : stringify(tree);
}

const shown = (value: unknown): string => {
  if (Array.isArray(value)) return value.length === 0 ? 'none' : `\`${value.join(',')}\``;
  return value === '' ? 'none' : `\`${String(value)}\``;
};

/** Durations and sizes are shown as people write them. */
function shownDefault(value: unknown, unit: string | undefined): string {
  if (unit === 'duration' && typeof value === 'number') {
    const units = [
      ['d', 86_400_000],
      ['h', 3_600_000],
      ['m', 60_000],
      ['s', 1000],
    ] as const;
    const [name, width] = units.find(([, size]) => value >= size && value % size === 0) ?? ['ms', 1];
    return `\`${value / width}${name}\``;
  }
  if (unit === 'size' && typeof value === 'number') {
    const units = [
      ['GiB', 1024 ** 3],
      ['MiB', 1024 ** 2],
      ['KiB', 1024],
    ] as const;
    const [name, width] = units.find(([, size]) => value >= size && value % size === 0) ?? ['', 1];
    return `\`${value / width}${name}\``;
  }
  return shown(value);
}

/** The whole of docs/config.md. */
export function configDocs(): string {
  const lines = [
    '# Configuration',
    '',
    'Read in this order, later wins: defaults, `leakline.yaml` (or `--config FILE`), environment `LEAKLINE_…`, flags.',
    'Dots in a key are sections in the file: `notify.slackChannel` is `slackChannel:` under `notify:`.',
    'Durations are written `10s`, `5m`, `14d`; sizes `512KiB`, `64MiB`. Lists in the environment are comma-separated.',
    'A secret may stand in a file: `slackTokenFile: /run/secrets/slack` in YAML, or `LEAKLINE_NOTIFY_SLACK_TOKEN_FILE` in the environment.',
    'Secrets are never printed: not by `leakline config print`, not in a log, a message or an error.',
    'Every mistake is reported at once with its place, and nothing starts until all are mended. `leakline config check` does only that.',
    '',
    '| key | default | environment | meaning |',
    '|---|---|---|---|',
  ];
  for (const { path, env, unit, doc, secret, default: value } of CONFIG_KEYS) {
    lines.push(`| \`${path}\` | ${shownDefault(value, unit)} | \`${env}\` | ${doc}${secret === true ? ' (secret)' : ''} |`);
  }
  return `${lines.join('\n')}\n`;
}
