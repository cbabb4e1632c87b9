/** What a channel is to the notifier, and how it answers. Senders never retry: they say whether a retry makes sense. */
import type { Change, Message } from './message.ts';

/**
 * What a channel is told.
 * `every-change`: it edits what stands (or is a machine). `milestones`: a new message costs attention, so only beginning, return,
 * end and a last call. `endpoints`: beginning, return and end.
 */
export type Cadence = 'every-change' | 'milestones' | 'endpoints';

/** What the other side calls things (timestamps, message ids): needed to edit and to thread. Never a secret. */
export type External = Readonly<Record<string, string>>;

export type SendResult =
  | { readonly outcome: 'sent'; readonly external: External }
  /** Not out, for certain, or to be asked before the next try. */
  | { readonly outcome: 'retry'; readonly error: string; readonly retryAfterMs?: number }
  /** It may be out, and nobody can tell. */
  | { readonly outcome: 'unconfirmed'; readonly error: string; readonly external?: External }
  /** Will not go out until somebody mends the setting the error names. */
  | { readonly outcome: 'refused'; readonly error: string };

export interface Outgoing {
  /** Deterministic: the same incident and revision is the same message, whoever sends it and however often. */
  readonly id: string;
  readonly revision: string;
  readonly change: Change;
  readonly message: Message;
  /** What is known of this delivery and, before it, of the newest of the incident on this channel. */
  readonly external: External;
  /** Revision whose message began the thread; null when this one begins it. */
  readonly rootRevision: string | null;
  /** An earlier try left no certain result: look whether the message is there before sending it. */
  readonly isUncertain: boolean;
  /** This very revision was tried before and the result is not known. */
  readonly isRepeat: boolean;
  /** PNG; undefined when there is nothing to draw. */
  readonly chart: () => Promise<Buffer | undefined>;
  /** Records a step that must not be taken twice. */
  readonly progress: (external: External) => Promise<void>;
}

export interface Channel {
  /** Key in the delivery log. */
  readonly name: string;
  readonly cadence: Cadence;
  /** Shows figures that age (time left), so it is worth refreshing. */
  readonly refreshes: boolean;
  /** Can the other side be asked whether a message is there? If not, an unknown result counts as sent. */
  readonly canAsk: boolean;
  send(outgoing: Outgoing, signal: AbortSignal): Promise<SendResult>;
}
