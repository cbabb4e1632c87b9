/** Every error the project throws on purpose has a code from this table; docs/errors.md explains each (a test compares). */

/** Code → may the same call succeed later without anybody changing anything? */
const RETRY = {
  LKL_ERR_CONFIG: false,
  LKL_ERR_USAGE: false,
  LKL_ERR_BATCH_MALFORMED: false,
  LKL_ERR_BATCH_VERSION: false,
  LKL_ERR_BATCH_TOO_LARGE: false,
  LKL_ERR_BUS_UNAVAILABLE: true,
  LKL_ERR_BUS_FULL: true,
  LKL_ERR_STORE_UNAVAILABLE: true,
  LKL_ERR_STORE_REFUSED: false,
  LKL_ERR_ROWS_REFUSED: false,
  LKL_ERR_MIGRATION: false,
  LKL_ERR_BACKUP: false,
  LKL_ERR_SQL_REFUSED: false,
  LKL_ERR_UNAUTHORIZED: false,
  LKL_ERR_DELIVERY_FAILED: true,
  LKL_ERR_HISTORY_FILE: false,
  LKL_ERR_TARGET_FORBIDDEN: false,
  LKL_ERR_UNREACHABLE: true,
  LKL_ERR_REQUEST_MALFORMED: false,
  LKL_ERR_REQUEST_TOO_LARGE: false,
  LKL_ERR_MEDIA_TYPE: false,
  LKL_ERR_FORBIDDEN: false,
  LKL_ERR_NOT_FOUND: false,
  LKL_ERR_BUSY: true,
  LKL_ERR_INTERNAL: false,
} as const satisfies Record<string, boolean>;

export type ErrorCode = keyof typeof RETRY;

export const ERROR_CODES = Object.keys(RETRY) as ErrorCode[];

/** `message` names the offending value, the rule and the mend; `details` holds the same for machines, never a secret. */
export class LeaklineError extends Error {
  override readonly name = 'LeaklineError';
  readonly code: ErrorCode;
  readonly retry: boolean;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(code: ErrorCode, message: string, options: { cause?: unknown; details?: Record<string, unknown> } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.retry = RETRY[code];
    this.details = options.details ?? {};
  }
}
