/**
 * One look at everything watched: finds new processes, notices ended ones, reads the rest, and writes samples into a BatchBuilder.
 * It only ever reads, and nothing a watched process does makes it throw.
 */
import { METRICS, type ExitReason, type MetricName, type ProcessIdentity } from '../../shared/sample.ts';
import type { BatchBuilder } from './batch-builder.ts';
import { CgroupTable } from './cgroup.ts';
import { Discovery, type Candidate, type Scope } from './discover.ts';
import { READ_VARIABLES } from './environ.ts';
import { identify, type Identity, type IdentityOverrides } from './identity.ts';
import { inspect, readCommandLine, type Inspection } from './inspect.ts';
import { Instances } from './instances.ts';
import { hasSwap, hostOomKills, readKernel, type Kernel } from './kernel.ts';
import { ProcessFiles } from './proc.ts';
import { readText } from './proc-file.ts';
import { redactValue } from './redaction.ts';
import type { RuntimeReading, RuntimeSource } from './runtime-source.ts';
import { newSmapsState, SmapsRation, type SmapsStats } from './smaps.ts';
import { describeItself, runtimeTarget, type Watched } from './watched.ts';

export interface SamplerOptions {
  readonly procRoot: string;
  readonly match: RegExp | undefined;
  readonly identity: IdentityOverrides;
  readonly host: string;
  readonly environmentAllow: readonly string[];
  /** Share of one core that PSS and USS may take; 0 = never read. */
  readonly smapsBudget: number;
  readonly sources: readonly RuntimeSource[];
  /** Keeps names of instances over restarts of the agent; undefined = in memory. */
  readonly instancesFile: string | undefined;
  /** Monotonic milliseconds. */
  readonly monotonicMs: () => number;
}

/** Counted once per process lifetime, whatever is refused how often. */
export interface Unreadable {
  processes: number;
  environments: number;
}

const SLOW_EVERY_MS = 60_000;
const SCAN_EVERY_MS = 2_000;
const SETTLED_AGE_MS = 60_000;
const SOURCE_TIMEOUT_MS = 1_000;
const FDS_PER_PROCESS = 3;
/** After so many processes the event loop gets a turn: probes and the sender live in it too. */
const YIELD_EVERY = 1_000;

const yieldTurn = () => new Promise<void>((resolve) => setImmediate(resolve));

export class Sampler {
  readonly scope: Scope;
  readonly unreadable: Unreadable = { processes: 0, environments: 0 };
  sourceErrors = 0;
  readonly #options: SamplerOptions;
  readonly #kernel: Kernel;
  readonly #discovery: Discovery;
  readonly #cgroups: CgroupTable;
  readonly #smaps: SmapsRation;
  readonly #instances: Instances;
  readonly #watched = new Map<number, Watched>();
  readonly #builder: BatchBuilder;
  #tick = 0;
  #scannedAtMs = -Infinity;
  #slowAtMs = -Infinity;
  #swap = false;
  #hostOomKills = NaN;

  constructor(options: SamplerOptions, builder: BatchBuilder) {
    this.#options = options;
    this.#builder = builder;
    this.#kernel = readKernel(options.procRoot);
    this.#discovery = new Discovery(options.procRoot, this.#kernel, options.match);
    this.scope = this.#discovery.scope;
    this.#cgroups = new CgroupTable(options.procRoot);
    this.#smaps = new SmapsRation(options.procRoot, options.smapsBudget, this.#kernel.pageBytes, options.monotonicMs);
    this.#instances = new Instances(options.instancesFile);
  }

  get watched(): ReadonlyMap<number, Watched> {
    return this.#watched;
  }

  get smapsStats(): Readonly<SmapsStats> {
    return this.#smaps.stats;
  }

  get beyondLimit(): number {
    return this.#discovery.beyondLimit;
  }

  /** `at`: the wall clock, which samples carry. */
  async tick(at: number): Promise<void> {
    this.#tick++;
    const nowMs = this.#options.monotonicMs();
    const slow = nowMs - this.#slowAtMs >= SLOW_EVERY_MS;
    if (slow) {
      this.#slowAtMs = nowMs;
      this.#swap = hasSwap(this.#options.procRoot);
    }
    const ended = await this.#readAll(slow);
    const appeared = this.#scan(nowMs, at, ended);
    this.#readCgroups(slow);
    this.#end(ended, at, slow);
    await this.#settle(at);
    await this.#begin(appeared, at);
    this.#readCgroups(false);
    const withSmaps = new Set<unknown>(this.#smaps.spend(this.#watched.values()));
    await this.#askSources();
    for (const watched of this.#watched.values()) this.#sample(watched, at, withSmaps.has(watched));
    this.#instances.save();
  }

  close(): void {
    for (const watched of this.#watched.values()) watched.files.close();
    this.#watched.clear();
    this.#cgroups.close();
    this.#instances.save();
  }

  async #readAll(slow: boolean): Promise<Watched[]> {
    const ended: Watched[] = [];
    let sinceYield = 0;
    for (const watched of this.#watched.values()) {
      if (this.#read(watched, slow) === 'ended') ended.push(watched);
      if (++sinceYield % YIELD_EVERY === 0) await yieldTurn();
    }
    return ended;
  }

  #read(watched: Watched, slow: boolean): 'ok' | 'ended' | 'unreadable' {
    const outcome = watched.files.read(this.#swap, slow);
    if (outcome === 'ok') watched.rssBytes = watched.files.reading.rssBytes;
    if (outcome === 'unreadable' && !watched.unreadable) this.unreadable.processes++;
    watched.unreadable = outcome === 'unreadable';
    return outcome;
  }

  #scan(nowMs: number, at: number, ended: Watched[]): Candidate[] {
    if (nowMs - this.#scannedAtMs < SCAN_EVERY_MS) return [];
    const isFirst = this.#scannedAtMs === -Infinity;
    this.#scannedAtMs = nowMs;
    for (const { pid } of ended) this.#watched.delete(pid);
    const { appeared, listed } = this.#discovery.scan(this.#watched);
    for (const watched of this.#watched.values()) if (!listed.has(watched.pid)) ended.push(watched);
    if (isFirst) this.#instances.releaseAllBut(new Set(appeared.map(({ lifetime }) => lifetime)), at);
    return appeared;
  }

  #readCgroups(withLimits: boolean): void {
    for (const cgroup of this.#cgroups.all()) if (cgroup.lastTick !== this.#tick) cgroup.read(this.#tick, withLimits);
  }

  /** The kernel kills the largest first, so of several that vanished at once the largest claims the counted kill. */
  #end(ended: Watched[], at: number, slow: boolean): void {
    const hostKills = hostOomKillsSince(this.#options.procRoot, this.#hostOomKills, slow || ended.length > 0);
    this.#hostOomKills = hostKills.total;
    for (const watched of ended.sort((a, b) => b.rssBytes - a.rssBytes)) {
      let reason: ExitReason = watched.cgroup?.claimEnd() ?? 'unknown';
      if (reason === 'unknown' && hostKills.risen === 0) reason = 'exit';
      this.#builder.exit(watched.identity, at, reason);
      this.#release(watched, at);
    }
  }

  #release(watched: Watched, at: number): void {
    watched.files.close();
    if (watched.cgroup !== undefined) this.#cgroups.leave(watched.cgroup);
    this.#instances.release(watched.identity.service, watched.instanceBase, watched.lifetime, at);
    if (this.#watched.get(watched.pid) === watched) this.#watched.delete(watched.pid);
  }

  async #begin(appeared: readonly Candidate[], at: number): Promise<void> {
    for (const candidate of appeared) {
      const facts = await this.#inspect(candidate.pid);
      if (!facts.environReadable) this.unreadable.environments++;
      const kept = (this.#watched.size + 1) * FDS_PER_PROCESS < this.#kernel.keptFds;
      const files = new ProcessFiles(this.#options.procRoot, candidate.pid, candidate.startTicks, this.#kernel, kept);
      const identity = this.#identify(candidate, facts);
      const watched: Watched = {
        ...candidate,
        files,
        nsPid: facts.nsPid,
        smaps: newSmapsState(),
        found: identity.process,
        identity: identity.process,
        instanceBase: identity.base,
        cgroup: this.#cgroups.join(facts.cgroupFile),
        basis: basisOf(facts.argv, facts.cgroupFile),
        confirmed: false,
        rssBytes: 0,
        unreadable: false,
        readings: [],
        selfDescription: '',
      };
      this.#watched.set(candidate.pid, watched);
      // It may have ended, and its pid been reused, while it was inspected: then nothing of it was kept but its slot.
      if (this.#read(watched, true) === 'ended') this.#release(watched, at);
    }
  }

  #inspect(pid: number): Promise<Inspection> {
    return inspect(this.#options.procRoot, pid, [...READ_VARIABLES, ...this.#options.environmentAllow]);
  }

  #identify(candidate: Candidate, facts: Inspection): { process: ProcessIdentity; base: string } {
    const { identity: overrides, host, environmentAllow } = this.#options;
    const identity: Identity = identify(facts, overrides, host, environmentAllow);
    const { instanceBase, ...named } = identity;
    const { pid, lifetime, startedAt } = candidate;
    const instance = this.#instances.assign(named.service, instanceBase, lifetime);
    return { process: { ...named, instance, lifetime, host, pid, process_started_at: startedAt }, base: instanceBase };
  }

  /** While young a process may still exec another program or be moved to another cgroup; later titles change without meaning. */
  async #settle(at: number): Promise<void> {
    for (const watched of this.#watched.values()) {
      const isYoung = at - watched.startedAt < SETTLED_AGE_MS;
      if (watched.basis === '' || (watched.confirmed && isYoung)) continue;
      const directory = `${this.#options.procRoot}/${String(watched.pid)}`;
      const basis = basisOf(readCommandLine(this.#options.procRoot, watched.pid), readText(`${directory}/cgroup`) ?? '');
      watched.confirmed = basis === watched.basis;
      if (!watched.confirmed) await this.#reidentify(watched, at);
      watched.basis = isYoung ? basis : '';
    }
  }

  async #reidentify(watched: Watched, at: number): Promise<void> {
    const facts = await this.#inspect(watched.pid);
    // Ending empties the command line; that is no new identity.
    if (facts.argv.length === 0) return;
    this.#instances.release(watched.identity.service, watched.instanceBase, watched.lifetime, at);
    const { process, base } = this.#identify(watched, facts);
    watched.found = process;
    watched.identity = process;
    watched.instanceBase = base;
    watched.selfDescription = '';
    const cgroup = this.#cgroups.join(facts.cgroupFile);
    if (watched.cgroup !== undefined) this.#cgroups.leave(watched.cgroup);
    watched.cgroup = cgroup;
  }

  async #askSources(): Promise<void> {
    const { sources } = this.#options;
    if (sources.length === 0) return;
    const pending: Promise<void>[] = [];
    for (const watched of this.#watched.values()) {
      const readings: RuntimeReading[] = [];
      watched.readings = readings;
      const target = runtimeTarget(watched);
      for (const source of sources) {
        try {
          const answer = source.read(target);
          if (answer instanceof Promise) pending.push(this.#collect(answer, readings));
          else if (answer !== undefined) readings.push(answer);
        } catch {
          this.sourceErrors++;
        }
      }
    }
    if (pending.length === 0) return;
    let timer: NodeJS.Timeout | undefined;
    const timeout = new Promise<void>((resolve) => (timer = setTimeout(resolve, SOURCE_TIMEOUT_MS)));
    await Promise.race([Promise.all(pending), timeout]);
    clearTimeout(timer);
  }

  async #collect(answer: Promise<RuntimeReading | undefined>, readings: RuntimeReading[]): Promise<void> {
    try {
      const reading = await answer;
      if (reading !== undefined) readings.push(reading);
    } catch {
      this.sourceErrors++;
    }
  }

  #sample(watched: Watched, at: number, withSmaps: boolean): void {
    if (watched.unreadable) return;
    if (watched.readings.length > 0) this.#adoptSelfDescription(watched, at);
    const builder = this.#builder;
    const { reading } = watched.files;
    builder.add(watched.identity, at);
    builder.set('rss', reading.rssBytes);
    builder.set('anon', reading.anonBytes);
    builder.set('swap', reading.swapBytes);
    builder.set('cpu_seconds', reading.cpuSeconds);
    builder.set('threads', reading.threads);
    builder.set('open_fds', reading.openFds);
    if (withSmaps) {
      builder.set('pss', watched.smaps.pssBytes);
      builder.set('uss', watched.smaps.ussBytes);
    }
    const cgroup = watched.cgroup?.reading;
    if (cgroup !== undefined) {
      builder.set('working_set', cgroup.workingSetBytes);
      builder.set('cgroup_anon', cgroup.anonBytes);
      builder.set('memory_limit', cgroup.limitBytes);
      builder.set('oom_kills', cgroup.oomKills);
    }
    for (const runtimeReading of watched.readings) setRuntimeMetrics(builder, runtimeReading);
  }

  /** What the process says of itself goes before what was guessed from outside, and behind what the configuration says. */
  #adoptSelfDescription(watched: Watched, at: number): void {
    const said = describeItself(watched.readings);
    const description = JSON.stringify(said);
    if (description === watched.selfDescription) return;
    watched.selfDescription = description;
    const { identity: overrides } = this.#options;
    const choose = (override: string, own: string | undefined, found: string) =>
      override === '' && own !== undefined ? redactValue(own) || found : found;
    const { found } = watched;
    const service = choose(overrides.service, said.service, found.service);
    const base = choose(overrides.instance, said.instance, watched.instanceBase);
    if (service !== watched.identity.service || base !== watched.instanceBase) {
      this.#instances.release(watched.identity.service, watched.instanceBase, watched.lifetime, at);
      watched.instanceBase = base;
    }
    const labels = Object.fromEntries(Object.entries(said.labels).map(([name, value]) => [name.slice(0, 64), redactValue(value)]));
    watched.identity = {
      ...found,
      service,
      environment: choose(overrides.environment, said.environment, found.environment),
      version: choose(overrides.version, said.version, found.version),
      instance: this.#instances.assign(service, base, watched.lifetime),
      runtime: said.runtime ?? found.runtime,
      labels: { ...found.labels, ...labels },
    };
  }
}

const basisOf = (argv: readonly string[], cgroupFile: string): string => `${argv.join('\0')}\n${cgroupFile}`;

function hostOomKillsSince(procRoot: string, before: number, look: boolean): { total: number; risen: number } {
  const total = look ? hostOomKills(procRoot) : before;
  return { total, risen: total - before };
}

/** What the kernel says of a process is better known than what the process says: sources give runtime metrics and requests. */
const FROM_SOURCES = new Set<string>(Object.entries(METRICS).flatMap(([name, { scope }]) => (scope === 'runtime' ? [name] : [])));
FROM_SOURCES.add('requests');

function setRuntimeMetrics(builder: BatchBuilder, reading: RuntimeReading): void {
  for (const name in reading) {
    const value = reading[name as MetricName];
    if (typeof value === 'number' && FROM_SOURCES.has(name)) builder.set(name as MetricName, value);
  }
}
