/**
 * Tells people, driven by the store: looks for incident events that a channel has not been told of, claims them, sends, records.
 *
 * One message, whatever happens:
 *  1. The intent is recorded before sending and the outcome after. kill -9 in between leaves an intent without an outcome.
 *  2. A younger intent than `leaseMs` may be under way elsewhere and is left alone. An older one is nobody's any more: a channel
 *     that can be asked (Slack, by the delivery id in the message's metadata) is asked before anything is sent; for one that cannot
 *     (mail, webhooks) the message counts as sent, `unconfirmed`. It is never repeated. The next change, or a reminder while the
 *     incident stays open, goes out in the same thread and says everything again, so nothing stays unsaid.
 *  3. Two notifiers: each writes its claim into the intent, waits until the other's must be visible, and reads back. The newest claim
 *     wins, the other yields. Ids are deterministic, so even a repetition would be recognisable.
 *  4. An outcome that could not be recorded (the store went away meanwhile) is kept and recorded before anything else is sent.
 */
import { randomUUID } from 'node:crypto';
import { chartSvg } from '../../shared/chart.ts';
import type { Clock } from '../../shared/clock.ts';
import { configSecrets, type Config } from '../../shared/config.ts';
import { redact, type Logger } from '../../shared/log.ts';
import type { Metrics } from '../../shared/metrics.ts';
import type { Series } from '../../shared/series.ts';
import type { CurvesQuery } from '../../shared/store/curves.ts';
import type { Delivery } from '../../shared/store/deliveries.ts';
import type { Channel, External, Outgoing, SendResult } from './channel.ts';
import { renderPng } from './chart-png.ts';
import { createIncidentMemory, type KnownIncident, type MemoryPorts } from './incident-memory.ts';
import { chartWindow, incidentChart } from './message-chart.ts';
import { buildMessage } from './message.ts';
import { decide, TIMING, type Decision, type Plan, type Timing } from './plan.ts';

export interface NotifierPorts extends MemoryPorts {
  readonly recordDelivery: (delivery: Delivery) => Promise<void>;
  readonly readCurves: (query: CurvesQuery) => Promise<Series[]>;
}

export interface NotifierOptions {
  readonly ports: NotifierPorts;
  readonly channels: readonly Channel[];
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly config: Config;
  readonly timing?: Partial<NotifierTiming>;
}

export interface NotifierTiming extends Timing {
  /** Time after which another notifier's claim must be readable. */
  readonly settleMs: number;
  /** Longest one send may take; well below the lease. */
  readonly sendTimeoutMs: number;
  /** Pause between two looks at the store. */
  readonly pollMs: number;
}

export interface DeliverySummary {
  readonly sent: number;
  readonly unconfirmed: number;
  readonly retried: number;
  readonly refused: number;
  /** Will be something at a later pass: a retry, a debounced edit, a message under way elsewhere. */
  readonly waiting: number;
}

export interface Notifier {
  /** One pass: says whatever has to be said at this moment. A call during a pass joins it. */
  deliverPending(at: number): Promise<DeliverySummary>;
  /** Passes until the signal says stop. Errors of the store are logged and outlived. */
  run(signal: AbortSignal): Promise<void>;
}

const DEFAULT_TIMING: NotifierTiming = { ...TIMING, settleMs: 1_500, sendTimeoutMs: 30_000, pollMs: 2_000 };
/** Claims are taken for so many messages at once and must be used before half of the lease is over. */
const CLAIM_BATCH = 8;
const CHART_POINTS = 240;

interface Claim {
  readonly plan: Plan;
  readonly known: KnownIncident;
  readonly attempt: number;
  readonly external: External;
  readonly claimedAt: number;
}

/** Bookkeeping of the outbox and steps of another revision are no business of the next send. */
const carried = (external: External): External =>
  Object.fromEntries(Object.entries(external).filter(([key]) => !/^(claim|refused|retry_after_ms|step_.*)$/.test(key)));

const isTold = ({ state }: Delivery) => state === 'sent' || state === 'unconfirmed';

export function createNotifier(options: NotifierOptions): Notifier {
  const { ports, channels, clock, log, config } = options;
  const timing = { ...DEFAULT_TIMING, ...options.timing };
  const owner = randomUUID();
  const startedAt = clock.now();
  const secrets = configSecrets(config);
  const publicUrl = (config.publicUrl === '' ? `http://${config.listen}` : config.publicUrl).replace(/\/+$/, '');
  const memory = createIncidentMemory(ports);
  const unrecorded: Delivery[] = [];
  const deliveriesTotal = options.metrics.counter('leakline_deliveries_total', 'messages by channel and outcome', ['channel', 'outcome']);
  const sendSeconds = options.metrics.histogram('leakline_delivery_send_seconds', 'time one send took', ['channel']);
  const waitingGauge = options.metrics.gauge(
    'leakline_deliveries_waiting',
    'messages that wait for a retry, a debounce or another notifier',
  );

  const record = async (delivery: Delivery): Promise<void> => {
    try {
      await ports.recordDelivery(delivery);
    } catch (error) {
      // What is out is out: forgetting it would say it twice.
      if (delivery.state !== 'intent') unrecorded.push(delivery);
      throw error;
    }
  };

  const flush = async (): Promise<void> => {
    for (let delivery = unrecorded[0]; delivery !== undefined; delivery = unrecorded[0]) {
      await ports.recordDelivery(delivery);
      unrecorded.shift();
    }
  };

  const decideFor = (channel: Channel, known: KnownIncident, at: number): Decision =>
    decide({
      ...known,
      deliveries: known.deliveries.filter((delivery) => delivery.channel === channel.name),
      cadence: channel.cadence,
      refreshes: channel.refreshes,
      at,
      timing,
      startedAt,
    });

  /** Nobody can tell whether a stale intent went out: it counts as sent. */
  const settleStale = async (channel: Channel, known: KnownIncident, at: number): Promise<KnownIncident> => {
    if (channel.canAsk) return known;
    const settled: Delivery[] = [];
    for (const delivery of known.deliveries) {
      const isStale = delivery.channel === channel.name && delivery.state === 'intent' && at - delivery.at >= timing.leaseMs;
      if (!isStale) {
        settled.push(delivery);
        continue;
      }
      const unconfirmed: Delivery = {
        ...delivery,
        state: 'unconfirmed',
        external: carried(delivery.external),
        at,
        error: 'stopped between sending and recording',
      };
      await record(unconfirmed);
      count(channel, 'unconfirmed');
      settled.push(unconfirmed);
    }
    return { ...known, deliveries: settled };
  };

  const count = (channel: Channel, outcome: string) => deliveriesTotal.inc({ channel: channel.name, outcome });

  const claim = async (channel: Channel, id: string, now: () => number): Promise<Claim | undefined> => {
    const fresh = await memory.reread(id);
    if (fresh === undefined) return undefined;
    const known = await settleStale(channel, fresh, now());
    const decision = decideFor(channel, known, now());
    if (!('plan' in decision)) return undefined;
    const { plan } = decision;
    const own = known.deliveries.filter((delivery) => delivery.channel === channel.name);
    const before = own.find(({ event }) => event === plan.revision);
    const newestTold = own.filter(({ external }) => Object.keys(carried(external)).length > 0).sort((a, b) => b.at - a.at)[0];
    const steps = Object.fromEntries(Object.entries(before?.external ?? {}).filter(([key]) => key.startsWith('step_')));
    const external = { ...carried(newestTold?.external ?? {}), ...carried(before?.external ?? {}), ...steps };
    const attempt = (before?.attempt ?? 0) + 1;
    const claimedAt = now();
    await record(deliveryOf(channel, id, plan, { state: 'intent', external: { ...external, claim: owner }, at: claimedAt, attempt }));
    return { plan, known, attempt, external, claimedAt };
  };

  const isMine = async (channel: Channel, { plan, known }: Claim): Promise<boolean> => {
    const fresh = await memory.reread(known.incident.id);
    const newest = fresh?.deliveries.find((delivery) => delivery.channel === channel.name && delivery.event === plan.revision);
    return newest?.state === 'intent' && newest.external['claim'] === owner;
  };

  const compose = (channel: Channel, claimed: Claim, series: readonly Series[], at: number, now: () => number): Outgoing => {
    const { plan, known, attempt, external } = claimed;
    const { incident } = known;
    const message = buildMessage({ incident, change: plan.change, series, at, publicUrl });
    const own = known.deliveries.filter((delivery) => delivery.channel === channel.name);
    const root = own.filter(isTold).sort((a, b) => a.at - b.at)[0];
    let drawn: Promise<Buffer | undefined> | undefined;
    const draw = async (): Promise<Buffer | undefined> => {
      const model = incidentChart(incident, series, message.title, at);
      return model === undefined ? undefined : renderPng(chartSvg(model));
    };
    return {
      id: `${incident.id}/${plan.revision}`,
      revision: plan.revision,
      change: plan.change,
      message,
      external,
      rootRevision: root === undefined || root.event === plan.revision ? null : root.event,
      isUncertain: own.some(({ state }) => state !== 'sent'),
      isRepeat: own.some(({ event, state }) => event === plan.revision && state === 'intent'),
      chart: () => (drawn ??= draw()),
      progress: (steps) =>
        record(deliveryOf(channel, incident.id, plan, { state: 'intent', external: { ...steps, claim: owner }, at: now(), attempt })),
    };
  };

  const seriesOf = async ({ incident }: KnownIncident, at: number): Promise<Series[]> => {
    try {
      const { service, environment } = incident;
      return await ports.readCurves({ service, environment, ...chartWindow(incident, at), points: CHART_POINTS });
    } catch (error) {
      log.warn({ incident: incident.id, error: textOf(error) }, 'no curves for the message; sent without a chart');
      return [];
    }
  };

  const textOf = (error: unknown): string => redact(error instanceof Error ? error.message : String(error), secrets).slice(0, 500);

  const send = async (channel: Channel, claimed: Claim, now: () => number): Promise<SendResult['outcome']> => {
    const { plan, known, attempt, external } = claimed;
    const stopTimer = sendSeconds.startTimer({ channel: channel.name });
    let result: SendResult;
    try {
      const outgoing = compose(channel, claimed, await seriesOf(known, now()), now(), now);
      result = await channel.send(outgoing, AbortSignal.timeout(timing.sendTimeoutMs));
    } catch (error) {
      result = { outcome: 'retry', error: textOf(error) };
    }
    stopTimer();
    count(channel, result.outcome);
    await record(deliveryOf(channel, known.incident.id, plan, { ...outcomeOf(result, external), at: now(), attempt }));
    const about = { channel: channel.name, incident: known.incident.id, revision: plan.revision, change: plan.change, attempt };
    if (result.outcome === 'sent') log.info(about, 'message sent');
    // The first failure and then ever more rarely: a channel that is away for a day is not a thousand lines.
    else if (Number.isInteger(Math.log2(attempt)))
      log.warn({ ...about, outcome: result.outcome, error: redact(result.error, secrets) }, 'message not sent');
    return result.outcome;
  };

  const outcomeOf = (result: SendResult, external: External): Pick<Delivery, 'state' | 'external' | 'error'> => {
    if (result.outcome === 'sent') return { state: 'sent', external: result.external, error: '' };
    const error = redact(result.error, secrets).slice(0, 500);
    if (result.outcome === 'unconfirmed') return { state: 'unconfirmed', external: result.external ?? external, error };
    const why: External =
      result.outcome === 'refused'
        ? { refused: 'yes' }
        : result.retryAfterMs === undefined
          ? {}
          : { retry_after_ms: String(Math.round(result.retryAfterMs)) };
    return { state: 'failed', external: { ...external, ...why }, error };
  };

  const serve = async (channel: Channel, now: () => number, tally: Tally, signal?: AbortSignal): Promise<void> => {
    const due: string[] = [];
    for (const known of memory.all()) {
      const decision = decideFor(channel, await settleStale(channel, known, now()), now());
      if ('plan' in decision) due.push(known.incident.id);
      else if ('wait' in decision) tally.waiting += 1;
    }
    for (let start = 0; start < due.length; start += CLAIM_BATCH) {
      const claims: Claim[] = [];
      for (const id of due.slice(start, start + CLAIM_BATCH)) {
        const claimed = await claim(channel, id, now);
        if (claimed !== undefined) claims.push(claimed);
      }
      if (claims.length > 0) await clock.sleep(timing.settleMs);
      for (const claimed of claims) {
        if (signal?.aborted === true) return;
        const isFresh = now() - claimed.claimedAt + timing.sendTimeoutMs < timing.leaseMs;
        if (!isFresh || !(await isMine(channel, claimed))) tally.waiting += 1;
        else tally[TALLIED[await send(channel, claimed, now)]] += 1;
        await memory.reread(claimed.known.incident.id);
      }
    }
  };

  const pass = async (at: number, signal?: AbortSignal): Promise<DeliverySummary> => {
    const began = clock.now();
    const now = () => at + (clock.now() - began);
    const tally: Tally = { sent: 0, unconfirmed: 0, retried: 0, refused: 0, waiting: 0 };
    await flush();
    await memory.refresh(at);
    // A channel that fails must not keep the others waiting; its error still rises, after they are done.
    const results = await Promise.allSettled(channels.map((channel) => serve(channel, now, tally, signal)));
    waitingGauge.set(tally.waiting);
    const failed = results.find((result) => result.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
    return tally;
  };

  let running: Promise<DeliverySummary> | undefined;
  const once = (at: number, signal?: AbortSignal): Promise<DeliverySummary> =>
    (running ??= pass(at, signal).finally(() => {
      running = undefined;
    }));

  return {
    deliverPending: (at) => once(at),
    async run(signal) {
      let failures = 0;
      while (!signal.aborted) {
        try {
          await once(clock.now(), signal);
          failures = 0;
        } catch (error) {
          failures += 1;
          if (Number.isInteger(Math.log2(failures)))
            log.warn({ error: textOf(error), failures }, 'messages wait: the delivery log cannot be read or written');
        }
        await clock.sleep(timing.pollMs, signal).catch(() => undefined);
      }
    },
  };
}

type Tally = { -readonly [Key in keyof DeliverySummary]: DeliverySummary[Key] };

const TALLIED: Record<SendResult['outcome'], keyof Tally> = {
  sent: 'sent',
  unconfirmed: 'unconfirmed',
  retry: 'retried',
  refused: 'refused',
};

function deliveryOf(
  channel: Channel,
  incident: string,
  { revision }: Plan,
  rest: Pick<Delivery, 'state' | 'external' | 'at' | 'attempt'> & { readonly error?: string },
): Delivery {
  return { incident, event: revision, channel: channel.name, error: '', ...rest };
}
