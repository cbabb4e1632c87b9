/** A notifier on a stage: a log file, a clock that can be moved, and short patience. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createChannels } from '../../../services/notifier/channels.ts';
import type { Channel } from '../../../services/notifier/channel.ts';
import { createNotifier, type Notifier, type NotifierPorts, type NotifierTiming } from '../../../services/notifier/notifier.ts';
import { systemClock, type Clock } from '../../../shared/clock.ts';
import { configSecrets, loadConfig, type Config } from '../../../shared/config.ts';
import { createLog, type Logger } from '../../../shared/log.ts';
import { Metrics } from '../../../shared/metrics.ts';
import { openIncidentLog, type IncidentLog } from '../../fakes/incident-log.ts';
import { curves } from './leak.ts';

/** Waits take no time. */
export const hurriedClock: Clock = { now: () => systemClock.now(), sleep: () => Promise.resolve() };

export const QUICK: Partial<NotifierTiming> = { settleMs: 0, pollMs: 20 };

export const notifyConfig = (notify: Record<string, unknown>, more: Record<string, unknown> = {}): Config =>
  loadConfig({
    env: {},
    flags: {
      publicUrl: 'https://leakline.example.org',
      ...Object.fromEntries(Object.entries(notify).map(([key, value]) => [`notify.${key}`, value])),
      ...more,
    },
    readFile: () => '',
  });

export interface Stage {
  readonly log: IncidentLog;
  readonly path: string;
  readonly lines: string[];
  notifier(
    channels: readonly Channel[],
    options?: { clock?: Clock; timing?: Partial<NotifierTiming>; ports?: NotifierPorts; config?: Config; isAlone?: boolean },
  ): Notifier;
  channels(config: Config, clock?: Clock): Channel[];
  close(): void;
}

export function openStage(): Stage {
  const directory = mkdtempSync(join(tmpdir(), 'leakline-notifier-'));
  const path = join(directory, 'log.ndjson');
  const log = openIncidentLog(path, curves());
  const lines: string[] = [];
  const logger = (config: Config): Logger =>
    createLog({ level: 'debug', secrets: configSecrets(config), destination: { write: (line) => lines.push(line) } });
  return {
    log,
    path,
    lines,
    channels: (config, clock = systemClock) => createChannels(config, { clock, log: logger(config) }),
    notifier: (channels, { clock = hurriedClock, timing = {}, ports = log, config = notifyConfig({}), isAlone = false } = {}) =>
      createNotifier({
        ports,
        channels,
        clock,
        log: logger(config),
        metrics: new Metrics(),
        config,
        isAlone,
        timing: { ...QUICK, ...timing },
      }),
    close: () => rmSync(directory, { recursive: true, force: true }),
  };
}
