/**
 * What the store needs of a ClickHouse engine. Two implementations: a server over HTTP, and chDB inside this process.
 * Answers are whole when they are given, but for blocks: every query of ours is bounded, and an error after the first byte cannot be
 * told from data.
 */
import type { Readable } from 'node:stream';

export interface EngineQuery {
  readonly sql: string;
  readonly format: string;
  readonly signal?: AbortSignal | undefined;
}

export interface UserAnswer {
  readonly body: Buffer;
  /** Rows of the answer, as far as the engine says; 0 where it does not. */
  readonly rows: number;
}

export interface Engine {
  /** A read by one of our own services. */
  query(request: EngineQuery): Promise<Buffer>;
  /**
   * The same in `Native`, given to `take` in pieces of whole blocks as they come: a long answer is nowhere put together. A piece is gone
   * once `take` returns, and all of them are an answer only if the promise resolves.
   */
  queryBlocks(request: Omit<EngineQuery, 'format'>, take: (piece: Buffer) => void): Promise<void>;
  /** A read by people: own connection, read-only from the start, with time, row and memory caps the query cannot lift. */
  userQuery(request: EngineQuery): Promise<UserAnswer>;
  /** A statement that changes something and answers nothing. */
  command(sql: string): Promise<void>;
  /** `prefix` is `INSERT INTO … FORMAT …`. */
  insert(prefix: string, body: Buffer): Promise<void>;
  createDatabase(): Promise<void>;
  /** A tar of everything as of one moment, for restore.ts. */
  backup(): Promise<Readable>;
  close(): Promise<void>;
}

/** Caps of one query by people. */
export interface UserLimits {
  readonly timeoutMs: number;
  readonly maxRows: number;
  readonly maxMemoryBytes: number;
}

export const DEFAULT_USER_LIMITS: UserLimits = { timeoutMs: 20_000, maxRows: 100_000, maxMemoryBytes: 1024 ** 3 };

/** Longest run of a query of ours; above it something is wrong, and the connection is needed. */
export const QUERY_TIMEOUT_MS = 60_000;

/** An insert that has no answer by then counts as failed. Rollups look back further than this. */
export const INSERT_TIMEOUT_MS = 60_000;

/**
 * Settings of every write. Rows of one key within one insert are left to merges and FINAL as all others are:
 * folding them on insert took 540 ms of CPU for 50,000 samples, 105 ms without.
 * On a cluster an insert has its answer once the shard has it, and what a roll-up compares lies on the shard of its service.
 */
export const WRITE_SETTINGS: readonly (readonly [string, string])[] = [
  ['optimize_on_insert', '0'],
  ['distributed_foreground_insert', '1'],
  ['distributed_product_mode', 'local'],
];

/** Settings of a connection for people. `readonly` comes last: nothing can be set after it. */
export function userSettings(limits: UserLimits): readonly (readonly [string, string])[] {
  return [
    ['max_execution_time', String(Math.max(1, Math.ceil(limits.timeoutMs / 1000)))],
    ['timeout_overflow_mode', 'throw'],
    ['limit', String(limits.maxRows)],
    ['max_memory_usage', String(limits.maxMemoryBytes)],
    ['max_threads', '2'],
    ['max_ast_elements', '20000'],
    ['max_query_size', '262144'],
    ['output_format_json_quote_64bit_integers', '0'],
    ['allow_introspection_functions', '0'],
    ['allow_ddl', '0'],
    ['readonly', '1'],
  ];
}
