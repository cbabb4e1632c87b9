/**
 * What the pipeline needs of a message bus. Two implementations: Kafka (fleet) and in-process (embedded).
 * Both promise the same: publish resolves only once the bus has the messages for good, messages of one key
 * stay in order, and what was not committed is delivered again.
 */

export const TOPICS = {
  samples: 'leakline.samples',
  deadLetters: 'leakline.dead-letters',
  /** Holds nothing: its partitions are what detectors share the work by. */
  detectorShards: 'leakline.detector-shards',
} as const;

export interface OutgoingMessage {
  readonly key: string;
  readonly value: Buffer;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface BusMessage extends OutgoingMessage {
  readonly partition: number;
  readonly offset: bigint;
  /** When the bus took it, milliseconds UTC. */
  readonly timestamp: number;
}

export interface SubscribeOptions {
  readonly topic: string;
  readonly group: string;
  /**
   * Takes messages in order per partition. More come only after it resolves (that is the backpressure);
   * while it is pending the bus keeps the membership alive. A rejection redelivers from the last commit.
   */
  readonly onMessages: (messages: readonly BusMessage[]) => Promise<void>;
  /** Partitions went elsewhere: drop what is buffered of them, their messages will be delivered again. */
  readonly onRevoked: (partitions: readonly number[]) => void;
}

export interface Subscription {
  /** Partitions now owned. */
  partitions(): readonly number[];
  /** Everything below the given offset of each partition is stored for good. Throws when the partition is no longer owned. */
  commit(nextOffsets: ReadonlyMap<number, bigint>): Promise<void>;
  /** Messages not yet committed, per owned partition. */
  lag(): Promise<ReadonlyMap<number, number>>;
  stop(): Promise<void>;
}

export interface Bus {
  /** Throws LKL_ERR_BUS_UNAVAILABLE or LKL_ERR_BUS_FULL (both may be retried). */
  publish(topic: string, messages: readonly OutgoingMessage[]): Promise<void>;
  subscribe(options: SubscribeOptions): Promise<Subscription>;
  /** How many partitions a topic has. Throws LKL_ERR_BUS_UNAVAILABLE. */
  partitionsOf(topic: string): Promise<number>;
  /** Throws LKL_ERR_BUS_UNAVAILABLE when it cannot be reached. */
  ping(): Promise<void>;
  close(): Promise<void>;
}
