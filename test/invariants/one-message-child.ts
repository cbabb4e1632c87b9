/** A notifier that kills itself with -9 at a given step: before or after each write to the log and each request to Slack. */
import { systemClock } from '../../shared/clock.ts';
import { openIncidentLog } from '../fakes/incident-log.ts';
import { curves } from '../services/notifier/leak.ts';
import { createChannels } from '../../services/notifier/channels.ts';
import { createNotifier } from '../../services/notifier/notifier.ts';
import { createLog } from '../../shared/log.ts';
import { Metrics } from '../../shared/metrics.ts';
import { notifyConfig } from '../services/notifier/stage.ts';

interface Order {
  readonly path: string;
  readonly notify: Record<string, unknown>;
  readonly at: number;
  /** −1 = never. */
  readonly killAt: number;
}

const { path, notify, at, killAt } = JSON.parse(process.argv[2] ?? '{}') as Order;
let step = 0;
const passStep = () => {
  if (step++ === killAt) process.kill(process.pid, 'SIGKILL');
};

const realFetch = globalThis.fetch;
globalThis.fetch = async (...request) => {
  passStep();
  const answer = await realFetch(...request);
  passStep();
  return answer;
};

const log = openIncidentLog(path, curves());
const config = notifyConfig(notify);
const logger = createLog({ level: 'silent', secrets: [] });
const clock = { now: () => systemClock.now(), sleep: () => Promise.resolve() };
const notifier = createNotifier({
  ports: {
    ...log,
    recordDelivery: async (delivery) => {
      passStep();
      await log.recordDelivery(delivery);
      passStep();
    },
  },
  channels: createChannels(config, { clock, log: logger }),
  clock,
  log: logger,
  metrics: new Metrics(),
  config,
  timing: { settleMs: 0 },
});
await notifier.deliverPending(at);
process.stdout.write(String(step));
