/**
 * The agent: looks at processes on a steady beat, spools what it saw, sends the spool. The parts know nothing of each other;
 * here they are put together, bounded and stopped.
 */
import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { systemClock, type Clock } from '../../shared/clock.ts';
import type { Logger } from '../../shared/log.ts';
import type { Batch, Runtime } from '../../shared/sample.ts';
import { encodeBatch } from '../../shared/wire.ts';
import { BatchBuilder } from './batch-builder.ts';
import { MAX_WATCHED, type Scope } from './discover.ts';
import type { IdentityOverrides } from './identity.ts';
import type { RuntimeSource } from './runtime-source.ts';
import { LookTimes } from './look-times.ts';
import { Sampler, type SamplerOptions } from './sampler.ts';
import { Sender } from './sender.ts';
import type { SmapsStats } from './smaps.ts';
import { Spool, type SpoolStats } from './spool.ts';
import { openStateDirectory } from './state-directory.ts';
import type { Transport } from './transport.ts';

export interface LookOptions {
  /** On the command line; undefined = own pod or container as a sidecar, else everything that may be seen. */
  readonly match?: RegExp | undefined;
  /** For every watched process; '' = found per process. */
  readonly identity: IdentityOverrides;
  /** Name of the machine (in a cluster: of the node). */
  readonly host: string;
  readonly environmentAllow?: readonly string[];
  readonly smapsBudget?: number;
  readonly sources?: readonly RuntimeSource[];
  /** Where the kernel's files are; tests put a tree of their own here. */
  readonly procRoot?: string;
}

export interface AgentOptions extends LookOptions {
  readonly transport: Transport;
  readonly intervalMs: number;
  /** State of this agent alone: id, spool, instance names. */
  readonly directory: string;
  readonly spoolBytes: number;
  readonly log: Pick<Logger, 'debug' | 'info' | 'warn'>;
  readonly clock?: Clock;
  /** Called with each batch as it goes into the spool (`--print`). */
  readonly onBatch?: (batch: Batch) => void;
}

export interface WatchedProcess {
  readonly pid: number;
  readonly service: string;
  readonly instance: string;
  readonly version: string;
  readonly runtime: Runtime;
  readonly rssBytes: number;
  readonly startedAt: number;
}

export interface AgentStats {
  readonly agent: string;
  readonly boot: string;
  readonly scope: Scope;
  readonly target: string;
  readonly watched: readonly WatchedProcess[];
  /** Processes left out because MAX_WATCHED are watched already. */
  readonly beyondLimit: number;
  readonly samples: number;
  readonly ticks: number;
  readonly sentBatches: number;
  readonly sentSamples: number;
  readonly refusedBatches: number;
  readonly spool: Readonly<SpoolStats>;
  readonly lastSentAt: number | undefined;
  readonly lastError: { readonly at: number; readonly message: string } | undefined;
  readonly unreadable: { readonly processes: number; readonly environments: number; readonly smaps: number };
  readonly smaps: Readonly<SmapsStats>;
  readonly sourceErrors: number;
}

export interface Agent {
  stats(): AgentStats;
  /** true once at least one look was taken and everything seen so far is acknowledged; false when the agent stops before. */
  delivered(): Promise<boolean>;
  /** Sends what it can within a few seconds; the rest stays in the spool for the next run. */
  stop(): Promise<void>;
}

/** Less often than this a batch is not worth its framing; more often than the interval there is nothing to send. */
const MIN_FLUSH_MS = 2_000;
const MAX_BATCH_SAMPLES = 2 * MAX_WATCHED;
const SUMMARY_EVERY_MS = 60_000;
const FINAL_SEND_MS = 3_000;
const POLL_MS = 20;

const monotonicMs = () => performance.now();

function samplerOptions(options: LookOptions, instancesFile: string | undefined): SamplerOptions {
  return {
    procRoot: options.procRoot ?? '/proc',
    match: options.match,
    identity: options.identity,
    host: options.host,
    environmentAllow: options.environmentAllow ?? [],
    smapsBudget: options.smapsBudget ?? 0.001,
    sources: options.sources ?? [],
    instancesFile,
    monotonicMs,
  };
}

/** One look, sent nowhere and kept nowhere: for `--once --print`. Closes the sources. */
export async function lookOnce(options: LookOptions, clock: Clock = systemClock): Promise<Batch> {
  const builder = new BatchBuilder();
  const sampler = new Sampler(samplerOptions(options, undefined), builder);
  try {
    const at = clock.now();
    await sampler.tick(at);
    return builder.take({ agent: 'look', boot: 'look', seq: 0, sent_at: at });
  } finally {
    sampler.close();
    for (const source of options.sources ?? []) await source.close();
  }
}

/** Throws LKL_ERR_CONFIG when `directory` cannot be used. After that nothing stops it but stop(). */
export function startAgent(options: AgentOptions): Agent {
  const state = openStateDirectory(options.directory);
  const running = new RunningAgent(options, state.agentId, new Spool(state.spool, options.spoolBytes), state.instances);
  return {
    stats: () => running.stats(),
    delivered: () => running.delivered(),
    stop: async () => {
      try {
        await running.stop();
      } finally {
        state.release();
      }
    },
  };
}

class RunningAgent {
  readonly #options: AgentOptions;
  readonly #agentId: string;
  readonly #boot = randomBytes(8).toString('hex');
  readonly #clock: Clock;
  readonly #spool: Spool;
  readonly #builder = new BatchBuilder();
  readonly #sampler: Sampler;
  readonly #sender: Sender;
  readonly #times = new LookTimes();
  readonly #looking = new AbortController();
  readonly #sending = new AbortController();
  readonly #loop: Promise<void>;
  readonly #sendLoop: Promise<void>;
  #stopped: Promise<void> | undefined;
  #seq = 0;
  #samples = 0;
  #ticks = 0;
  #flushedAtMs = -Infinity;

  constructor(options: AgentOptions, agentId: string, spool: Spool, instancesFile: string) {
    this.#options = options;
    this.#agentId = agentId;
    this.#spool = spool;
    this.#clock = options.clock ?? systemClock;
    this.#sampler = new Sampler(samplerOptions(options, instancesFile), this.#builder);
    this.#sender = new Sender({
      spool,
      transport: options.transport,
      agentId,
      clock: this.#clock,
      signal: this.#sending.signal,
      onChange: (failing, message) => {
        if (failing) options.log.warn({ target: options.transport.target, error: message }, 'sending fails; samples are spooled');
        else options.log.info({ target: options.transport.target }, 'sending works again');
      },
    });
    this.#loop = this.#look();
    this.#sendLoop = this.#sender.run();
  }

  /** On the beat of a monotonic clock: a tick that took long or a suspended machine skips beats, it never catches them up. */
  async #look(): Promise<void> {
    const { intervalMs } = this.#options;
    const { signal } = this.#looking;
    const isStopping = () => signal.aborted;
    const startMs = monotonicMs();
    let beat = 0;
    let summary = { atMs: startMs, cpu: process.cpuUsage() };
    while (!isStopping()) {
      try {
        await this.#sampler.tick(this.#times.next(this.#clock.now()));
        this.#ticks++;
        this.#flush(false);
      } catch (error) {
        // Nothing known leads here; a bug in one look must not end all looking.
        this.#options.log.warn({ error: error instanceof Error ? error.message : String(error) }, 'a look at processes failed');
      }
      if (monotonicMs() - summary.atMs >= SUMMARY_EVERY_MS) summary = this.#summarise(summary);
      // A timer may fire a fraction of a millisecond early: the beat it was set for must not come again.
      beat = Math.max(beat, Math.floor((monotonicMs() - startMs) / intervalMs)) + 1;
      await this.#clock.sleep(startMs + beat * intervalMs - monotonicMs(), signal).catch(() => undefined);
    }
  }

  #flush(isLast: boolean): void {
    const nowMs = monotonicMs();
    const isDue = nowMs - this.#flushedAtMs >= MIN_FLUSH_MS || this.#builder.samples >= MAX_BATCH_SAMPLES;
    if (this.#builder.isEmpty || !(isDue || isLast)) return;
    this.#flushedAtMs = nowMs;
    const batch = this.#builder.take({ agent: this.#agentId, boot: this.#boot, seq: this.#seq, sent_at: this.#clock.now() });
    this.#seq++;
    this.#samples += batch.samples.time.length;
    this.#spool.append(gzipSync(encodeBatch(batch), { level: 5 }), batch.samples.time.length);
    this.#options.onBatch?.(batch);
  }

  #summarise(since: { atMs: number; cpu: NodeJS.CpuUsage }): { atMs: number; cpu: NodeJS.CpuUsage } {
    const atMs = monotonicMs();
    const { user, system } = process.cpuUsage(since.cpu);
    const { batches, bytes, droppedBatches } = this.#spool.stats;
    this.#options.log.debug(
      {
        cpuShare: Number(((user + system) / 1000 / (atMs - since.atMs)).toFixed(5)),
        rssBytes: process.memoryUsage.rss(),
        watched: this.#sampler.watched.size,
        samples: this.#samples,
        spool: { batches, bytes, droppedBatches },
        smaps: this.#sampler.smapsStats,
      },
      'agent',
    );
    return { atMs, cpu: process.cpuUsage() };
  }

  async delivered(): Promise<boolean> {
    while (this.#ticks === 0 || this.#spool.stats.batches > 0) {
      if (this.#stopped !== undefined) return false;
      await delay(POLL_MS);
    }
    return true;
  }

  stop(): Promise<void> {
    return (this.#stopped ??= this.#stop());
  }

  async #stop(): Promise<void> {
    this.#looking.abort(new Error('stopping'));
    await this.#loop;
    this.#flush(true);
    const deadlineMs = monotonicMs() + FINAL_SEND_MS;
    while (this.#spool.stats.batches > 0 && !this.#sender.stats.failing && monotonicMs() < deadlineMs) await delay(POLL_MS);
    this.#sending.abort(new Error('stopping'));
    await this.#sendLoop;
    this.#options.transport.close();
    this.#sampler.close();
    this.#spool.close();
    for (const source of this.#options.sources ?? []) await source.close();
  }

  stats(): AgentStats {
    const { sentBatches, sentSamples, refusedBatches, lastSentAt, lastError } = this.#sender.stats;
    const sampler = this.#sampler;
    return {
      agent: this.#agentId,
      boot: this.#boot,
      scope: sampler.scope,
      target: this.#options.transport.target,
      watched: [...sampler.watched.values()].map(({ pid, startedAt, rssBytes, identity: { service, instance, version, runtime } }) => ({
        pid,
        service,
        instance,
        version,
        runtime,
        rssBytes,
        startedAt,
      })),
      beyondLimit: sampler.beyondLimit,
      samples: this.#samples,
      ticks: this.#ticks,
      sentBatches,
      sentSamples,
      refusedBatches,
      spool: { ...this.#spool.stats },
      lastSentAt,
      lastError,
      unreadable: { ...sampler.unreadable, smaps: sampler.smapsStats.denied },
      smaps: { ...sampler.smapsStats },
      sourceErrors: sampler.sourceErrors,
    };
  }
}
