/** `leakline up`: every room in one process, the bus in-process, the store embedded; agents come from outside. */
import { spawn } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { TOPICS } from '../../shared/bus/bus.ts';
import { createMemoryBus } from '../../shared/bus/memory.ts';
import type { Ingester } from '../ingester/ingester.ts';
import { createServer, migrateStore, openConfiguredStore } from './backing.ts';
import { untilStopped, type Context } from './context.ts';
import { DEMO_MATCH, narrateDemo, startDemoPrograms, stopChild } from './demo.ts';
import { startDetecting } from './detecting.ts';
import { addConsole, addGateway, addIngester, ingesterCheck } from './fleet.ts';
import { configuredChannels, startNotifying } from './notifying.ts';
import { welcome } from './welcome.ts';

export interface UpFlags {
  /** Also watch this machine. */
  readonly agent: boolean;
  readonly demo: boolean;
  /** The data directory was made for this run and goes with it. */
  readonly ephemeral: boolean;
}

export async function runUp(context: Context, flags: UpFlags): Promise<void> {
  const { config, clock, lifecycle } = context;
  const channels = configuredChannels(context);
  if (flags.ephemeral) lifecycle.onStop('data', () => rmSync(config.data, { recursive: true, force: true }));
  const store = await openConfiguredStore(context);
  await migrateStore(context, store);
  const bus = createMemoryBus({ clock, topics: [TOPICS.samples] });
  lifecycle.onStop('bus', () => bus.close());
  const ingester: Ingester = await addIngester(context, bus, store);
  const detecting = startDetecting(context, store);

  const served = createServer(context, { store: () => store.ping(), ingester: ingesterCheck(() => ingester) });
  await addGateway(context, served, bus);
  await addConsole(context, served, store, bus);
  const url = await served.server.listen(config.listen);
  startNotifying(config.publicUrl === '' ? { ...context, config: { ...config, publicUrl: url } } : context, store, channels);

  const socket = flags.demo ? join(config.data, 'agent.sock') : config.agent.socket;
  if (flags.agent || flags.demo) startLocalAgent(context, url, flags.demo ? DEMO_MATCH : config.agent.match, socket);
  if (flags.demo) {
    await narrateDemo(context, store, detecting, url, startDemoPrograms(context, socket));
    return;
  }
  process.stdout.write(welcome({ url, data: config.data, isWatching: flags.agent, isOpen: served.auth.open }));
  await untilStopped(context);
}

/** The agent is a process of its own, as everywhere: a busy pipeline does not disturb its beat. */
function startLocalAgent({ config, lifecycle, log }: Context, url: string, match: string, socket: string): void {
  const [program = ''] = process.argv.slice(1);
  const child = spawn(process.execPath, [...process.execArgv, program, 'agent', '--to', url, '--data', config.data, '--match', match], {
    env: {
      ...process.env,
      LEAKLINE_AGENT_INTERVAL: String(config.agent.interval / 1000) + 's',
      LEAKLINE_AGENT_SOCKET: socket,
      LEAKLINE_LOG_LEVEL: config.log.level,
    },
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  lifecycle.onStop('agent', () => stopChild(child));
  child.on('exit', (code) => {
    if (!lifecycle.stopping.aborted) log.error({ code }, 'the agent has ended; start one with: leakline agent --to URL');
  });
}
