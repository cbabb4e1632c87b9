/** `leakline agent`: opens what the agent needs (sources of heap figures, the way out) and runs it until somebody says stop. */
import { mkdtempSync, rmSync } from 'node:fs';
import { hostname, setPriority, tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { LeaklineError } from '../../shared/errors.ts';
import type { Batch } from '../../shared/sample.ts';
import { lookOnce, startAgent, type Agent, type LookOptions } from '../agent/agent.ts';
import { HsperfdataSource } from '../agent/hsperfdata.ts';
import { batchTable } from '../agent/print.ts';
import { openProbeSocket } from '../agent/probe-socket.ts';
import { PrometheusSource } from '../agent/prometheus.ts';
import type { RuntimeSource } from '../agent/runtime-source.ts';
import { busTransport, httpTransport, type Transport } from '../agent/transport.ts';
import { untilStopped, type Context } from './context.ts';

export interface AgentFlags {
  readonly once: boolean;
  readonly print: boolean;
  readonly json: boolean;
}

async function openSources({ config, clock, metrics, log }: Context): Promise<RuntimeSource[]> {
  const { interval, scrape, socket } = config.agent;
  const sources: RuntimeSource[] = [new HsperfdataSource()];
  if (scrape.length > 0) sources.push(new PrometheusSource({ entries: scrape, intervalMs: interval, clock, metrics }));
  try {
    sources.unshift(await openProbeSocket({ path: socket, intervalMs: interval, clock, metrics }));
  } catch (error) {
    // Another agent of this user listens already: this one still sees everything from outside.
    log.warn(
      { err: error instanceof Error ? error.message : String(error) },
      'no socket for probes: heap figures of Node and Python stay unknown',
    );
  }
  return sources;
}

function matchOf(source: string): RegExp | undefined {
  if (source === '') return undefined;
  try {
    return new RegExp(source);
  } catch (cause) {
    throw new LeaklineError('LKL_ERR_CONFIG', `agent.match = ${JSON.stringify(source)}: is not a regular expression`, { cause });
  }
}

/** Printing leaves the spool of a real agent alone. */
function temporaryDirectory({ lifecycle }: Context): string {
  const directory = mkdtempSync(join(tmpdir(), 'leakline-agent-'));
  lifecycle.onStop('temporary directory', () => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** Printing is one more way out: what would be sent is shown instead. */
function printTransport(print: (batch: Batch) => void): Transport {
  return {
    target: 'standard output',
    send: (payload) => {
      print(JSON.parse(gunzipSync(payload).toString('utf8')) as Batch);
      return Promise.resolve();
    },
    close: () => undefined,
  };
}

async function openTransport(context: Context): Promise<Transport> {
  const { config } = context;
  if (config.bus.kind === 'kafka') {
    const { openBus } = await import('./kafka-bus.ts');
    return busTransport(openBus(context), `kafka ${config.bus.brokers.join(',')}`);
  }
  if (config.agent.to === '') {
    throw new LeaklineError(
      'LKL_ERR_CONFIG',
      'the agent has nowhere to send to: give --to URL of a gateway, or --kafka HOST:PORT, or --print to only look',
    );
  }
  return httpTransport({ url: config.agent.to, token: config.agent.token });
}

/** A command that ends does not wait for ever: what could not be sent stays in the spool for the next run. */
const DELIVER_ONCE_MS = 15_000;

async function deliverOnce({ clock, lifecycle }: Context, agent: Agent): Promise<void> {
  const inTime = await Promise.race([agent.delivered(), clock.sleep(DELIVER_ONCE_MS, lifecycle.stopping).then(() => undefined)]);
  if (inTime !== undefined) return;
  const { target, lastError } = agent.stats();
  throw new LeaklineError(
    'LKL_ERR_UNREACHABLE',
    `${target} has not taken the samples within ${DELIVER_ONCE_MS / 1000} s (${lastError?.message ?? 'no answer'}); they wait in the spool and go out with the next run`,
  );
}

export async function runAgent(context: Context, flags: AgentFlags): Promise<void> {
  const { config, lifecycle, log } = context;
  // What is watched comes first.
  setPriority(10);
  const { service, environment, version, instance } = config.agent;
  const look: LookOptions = {
    match: matchOf(config.agent.match),
    identity: { service, environment, version, instance },
    // Kubernetes' downward API: a pod's own host name is the pod's.
    host: context.nodeName === '' ? hostname() : context.nodeName,
    environmentAllow: config.agent.environmentAllow,
    smapsBudget: config.agent.smapsBudget,
    sources: await openSources(context),
  };
  const print = (batch: Batch) => {
    process.stdout.write(flags.json ? `${JSON.stringify(batch)}\n` : `${batchTable(batch)}\n`);
  };
  if (flags.print && flags.once) {
    print(await lookOnce(look, context.clock));
    return;
  }
  const agent = startAgent({
    ...look,
    transport: flags.print ? printTransport(print) : await openTransport(context),
    intervalMs: config.agent.interval,
    directory: flags.print ? temporaryDirectory(context) : `${config.data}/agent`,
    spoolBytes: config.agent.spoolSize,
    log,
    clock: context.clock,
  });
  lifecycle.onStop('agent', () => agent.stop());
  log.info({ to: agent.stats().target, interval: `${config.agent.interval} ms` }, 'agent started');
  if (flags.once) await deliverOnce(context, agent);
  else await untilStopped(context);
}
