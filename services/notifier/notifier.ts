/**
 * Tells people, driven by the store: looks for incident events that a channel has not been told of, claims them, sends, records.
 * Detector and console know nothing of it, and an acknowledge changes a message as an update does. outbox.ts has the promises.
 */
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
import { createOutbox, type Claim } from './outbox.ts';
import { decide, isUnderWay, TIMING, type Timing } from './plan.ts';

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
  /** No other notifier can have the store open. Default false. */
  readonly isAlone?: boolean;
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

type Tally = { -readonly [Key in keyof DeliverySummary]: DeliverySummary[Key] };

const TALLIED: Record<SendResult['outcome'], keyof Tally> = {
  sent: 'sent',
  unconfirmed: 'unconfirmed',
  retry: 'retried',
  refused: 'refused',
};

const isTold = ({ state }: Delivery) => state === 'sent' || state === 'unconfirmed';

function outcomeOf(result: SendResult, external: External): Pick<Delivery, 'state' | 'external' | 'error'> {
  switch (result.outcome) {
    case 'sent':
      return { state: 'sent', external: result.external, error: '' };
    case 'unconfirmed':
      return { state: 'unconfirmed', external: result.external ?? external, error: result.error };
    case 'refused':
      return { state: 'failed', external: { ...external, refused: 'yes' }, error: result.error };
    case 'retry': {
      const pause: External = result.retryAfterMs === undefined ? {} : { retry_after_ms: String(Math.round(result.retryAfterMs)) };
      return { state: 'failed', external: { ...external, ...pause }, error: result.error };
    }
  }
}

export function createNotifier(options: NotifierOptions): Notifier {
  const { ports, channels, clock, log, config, isAlone = false } = options;
  const timing = { ...DEFAULT_TIMING, ...options.timing };
  const startedAt = clock.now();
  const secrets = configSecrets(config);
  const publicUrl = (config.publicUrl === '' ? `http://${config.listen}` : config.publicUrl).replace(/\/+$/, '');
  const deliveriesTotal = options.metrics.counter('leakline_deliveries_total', 'messages by channel and outcome', ['channel', 'outcome']);
  const sendSeconds = options.metrics.histogram('leakline_delivery_send_seconds', 'time one send took', ['channel']);
  const waitingGauge = options.metrics.gauge(
    'leakline_deliveries_waiting',
    'messages that wait for a retry, a debounce or another notifier',
  );

  const decideFor = (channel: Channel, known: KnownIncident, at: number) =>
    decide({
      ...known,
      deliveries: known.deliveries.filter((delivery) => delivery.channel === channel.name),
      cadence: channel.cadence,
      refreshes: channel.refreshes,
      at,
      timing,
      startedAt,
      isAlone,
    });

  const memory = createIncidentMemory(ports);
  const outbox = createOutbox({
    recordDelivery: ports.recordDelivery,
    memory,
    isUnderWay: (delivery, at) => isUnderWay(delivery, { at, timing, startedAt, isAlone }),
    decide: decideFor,
    onUnconfirmed: ({ name }) => deliveriesTotal.inc({ channel: name, outcome: 'unconfirmed' }),
  });

  const textOf = (error: unknown): string => redact(error instanceof Error ? error.message : String(error), secrets).slice(0, 500);

  const seriesOf = async ({ incident }: KnownIncident, at: number): Promise<Series[]> => {
    try {
      const { service, environment } = incident;
      return await ports.readCurves({ service, environment, ...chartWindow(incident, at), points: CHART_POINTS });
    } catch (error) {
      log.warn({ incident: incident.id, error: textOf(error) }, 'no curves for the message; sent without a chart');
      return [];
    }
  };

  const compose = (channel: Channel, claim: Claim, series: readonly Series[], now: () => number): Outgoing => {
    const { plan, known, external } = claim;
    const { incident } = known;
    const at = now();
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
      progress: (steps) => outbox.progress(channel, claim, steps, now()),
    };
  };

  const send = async (channel: Channel, claim: Claim, now: () => number): Promise<SendResult['outcome']> => {
    const { plan, known, attempt } = claim;
    const stopTimer = sendSeconds.startTimer({ channel: channel.name });
    let result: SendResult;
    try {
      const outgoing = compose(channel, claim, await seriesOf(known, now()), now);
      result = await channel.send(outgoing, AbortSignal.timeout(timing.sendTimeoutMs));
    } catch (error) {
      result = { outcome: 'retry', error: textOf(error) };
    }
    stopTimer();
    if (result.outcome !== 'sent') result = { ...result, error: textOf(result.error) };
    deliveriesTotal.inc({ channel: channel.name, outcome: result.outcome });
    await outbox.finish(channel, claim, outcomeOf(result, claim.external), now());
    const about = { channel: channel.name, incident: known.incident.id, revision: plan.revision, change: plan.change, attempt };
    if (result.outcome === 'sent') log.info(about, 'message sent');
    // The first failure and then ever more rarely: a channel that is away for a day is not a thousand lines.
    else if (Number.isInteger(Math.log2(attempt))) log.warn({ ...about, outcome: result.outcome, error: result.error }, 'message not sent');
    return result.outcome;
  };

  const serve = async (channel: Channel, now: () => number, tally: Tally, signal?: AbortSignal): Promise<void> => {
    const due: string[] = [];
    for (const known of memory.all()) {
      const decision = decideFor(channel, await outbox.settleStale(channel, known, now()), now());
      if ('plan' in decision) due.push(known.incident.id);
      else if ('wait' in decision) tally.waiting += 1;
    }
    for (let start = 0; start < due.length; start += CLAIM_BATCH) {
      const claims: Claim[] = [];
      for (const id of due.slice(start, start + CLAIM_BATCH)) {
        const claim = await outbox.claim(channel, id, now());
        if (claim !== undefined) claims.push(claim);
      }
      if (claims.length > 0) await clock.sleep(timing.settleMs);
      for (const claim of claims) {
        const isInTime = now() - claim.claimedAt + timing.sendTimeoutMs < timing.leaseMs && signal?.aborted !== true;
        const isMine = await outbox.isMine(channel, claim);
        if (isMine && isInTime) tally[TALLIED[await send(channel, claim, now)]] += 1;
        else tally.waiting += 1;
        if (isMine && !isInTime) await outbox.release(channel, claim, now());
        await memory.reread(claim.known.incident.id);
      }
      if (signal?.aborted === true) return;
    }
  };

  const pass = async (at: number, signal?: AbortSignal): Promise<DeliverySummary> => {
    const began = clock.now();
    const now = () => at + (clock.now() - began);
    const tally: Tally = { sent: 0, unconfirmed: 0, retried: 0, refused: 0, waiting: 0 };
    await outbox.flush();
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
