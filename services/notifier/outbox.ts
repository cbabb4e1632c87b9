/**
 * The delivery log as an outbox: intent before sending, outcome after, claims between notifiers.
 *
 * One message, whatever happens:
 *  1. kill -9 between sending and recording leaves an intent without an outcome. One younger than `leaseMs` may be under way elsewhere
 *     and is left alone, unless no other notifier can be there. An older one is nobody's any more: a channel that can be asked (Slack, by the delivery id in the message's
 *     metadata) is asked before anything is sent; for one that cannot (mail, webhooks) the message counts as sent, `unconfirmed`.
 *     It is never repeated. The next change, or a reminder while the incident stays open, goes out in the same thread and says
 *     everything again, so nothing stays unsaid.
 *  2. Two notifiers: each writes its claim into the intent, waits until the other's must be visible, and reads back. The newest claim
 *     wins, the other yields. Ids are deterministic, so even a repetition would be recognisable.
 *  3. An outcome that could not be recorded (the store went away meanwhile) is kept and recorded before anything else is sent.
 */
import { randomUUID } from 'node:crypto';
import type { Delivery } from '../../shared/store/deliveries.ts';
import type { Channel, External } from './channel.ts';
import type { IncidentMemory, KnownIncident } from './incident-memory.ts';
import type { Decision, Plan } from './plan.ts';

export interface Claim {
  readonly plan: Plan;
  readonly known: KnownIncident;
  readonly attempt: number;
  /** What is known of the message on the other side. */
  readonly external: External;
  readonly claimedAt: number;
}

export interface OutboxOptions {
  readonly recordDelivery: (delivery: Delivery) => Promise<void>;
  readonly memory: IncidentMemory;
  readonly isUnderWay: (delivery: Delivery, at: number) => boolean;
  readonly decide: (channel: Channel, known: KnownIncident, at: number) => Decision;
  readonly onUnconfirmed: (channel: Channel) => void;
}

export interface Outbox {
  /** Records outcomes the store did not take at the time. */
  flush(): Promise<void>;
  /** Turns intents that are nobody's any more into `unconfirmed`, where the channel cannot be asked. */
  settleStale(channel: Channel, known: KnownIncident, at: number): Promise<KnownIncident>;
  /** Decides on what the store says now, and records the intent. undefined: nothing to say any more. */
  claim(channel: Channel, incident: string, at: number): Promise<Claim | undefined>;
  /** Is the newest intent still this one? */
  isMine(channel: Channel, claim: Claim): Promise<boolean>;
  /** Gives a claim back that was never used. */
  release(channel: Channel, claim: Claim, at: number): Promise<void>;
  /** A step that must not be taken twice. */
  progress(channel: Channel, claim: Claim, external: External, at: number): Promise<void>;
  finish(channel: Channel, claim: Claim, outcome: Pick<Delivery, 'state' | 'external' | 'error'>, at: number): Promise<void>;
}

/** Bookkeeping of the outbox and steps of another revision are no business of the next send. */
const carried = (external: External): External =>
  Object.fromEntries(Object.entries(external).filter(([key]) => !/^(claim|refused|retry_after_ms|step_.*)$/.test(key)));

const stepsOf = (external: External): External => Object.fromEntries(Object.entries(external).filter(([key]) => key.startsWith('step_')));

export function createOutbox({ recordDelivery, memory, isUnderWay, decide, onUnconfirmed }: OutboxOptions): Outbox {
  const owner = randomUUID();
  const unrecorded: Delivery[] = [];

  const record = async (delivery: Delivery): Promise<void> => {
    try {
      await recordDelivery(delivery);
    } catch (error) {
      // What is out is out: forgetting it would say it twice.
      if (delivery.state !== 'intent') unrecorded.push(delivery);
      throw error;
    }
  };

  const recordOf = (
    channel: Channel,
    { plan, known, attempt }: Pick<Claim, 'plan' | 'known' | 'attempt'>,
    rest: Pick<Delivery, 'state' | 'external' | 'at' | 'error'>,
  ) => record({ incident: known.incident.id, event: plan.revision, channel: channel.name, attempt, ...rest });

  const settleStale: Outbox['settleStale'] = async (channel, known, at) => {
    const staleOf = ({ deliveries }: KnownIncident) =>
      deliveries.filter((one) => one.channel === channel.name && one.state === 'intent' && !isUnderWay(one, at));
    if (channel.canAsk || staleOf(known).length === 0) return known;
    // What is remembered may be older than what another notifier has recorded meanwhile.
    const stale = staleOf((await memory.reread(known.incident.id)) ?? known);
    for (const delivery of stale) {
      const error = 'stopped between sending and recording';
      await record({ ...delivery, state: 'unconfirmed', external: carried(delivery.external), at, error });
      onUnconfirmed(channel);
    }
    return (await memory.reread(known.incident.id)) ?? known;
  };

  return {
    settleStale,
    async flush() {
      for (let delivery = unrecorded[0]; delivery !== undefined; delivery = unrecorded[0]) {
        await recordDelivery(delivery);
        unrecorded.shift();
      }
    },
    async claim(channel, id, at) {
      const fresh = await memory.reread(id);
      if (fresh === undefined) return undefined;
      const known = await settleStale(channel, fresh, at);
      const decision = decide(channel, known, at);
      if (!('plan' in decision)) return undefined;
      const { plan } = decision;
      const own = known.deliveries.filter((delivery) => delivery.channel === channel.name);
      const before = own.find(({ event }) => event === plan.revision);
      const newest = own.filter(({ external }) => Object.keys(carried(external)).length > 0).sort((a, b) => b.at - a.at)[0];
      const external = { ...carried(newest?.external ?? {}), ...carried(before?.external ?? {}), ...stepsOf(before?.external ?? {}) };
      const claim: Claim = { plan, known, attempt: (before?.attempt ?? 0) + 1, external, claimedAt: at };
      await recordOf(channel, claim, { state: 'intent', external: { ...external, claim: owner }, at, error: '' });
      return claim;
    },
    async isMine(channel, { plan, known }) {
      const fresh = await memory.reread(known.incident.id);
      const newest = fresh?.deliveries.find((delivery) => delivery.channel === channel.name && delivery.event === plan.revision);
      return newest?.state === 'intent' && newest.external['claim'] === owner;
    },
    release: (channel, claim, at) =>
      recordOf(channel, claim, { state: 'failed', external: claim.external, at, error: 'not sent in time: too many before it' }),
    progress: (channel, claim, external, at) =>
      recordOf(channel, claim, { state: 'intent', external: { ...external, claim: owner }, at, error: '' }),
    finish: (channel, claim, outcome, at) => recordOf(channel, claim, { ...outcome, at }),
  };
}
