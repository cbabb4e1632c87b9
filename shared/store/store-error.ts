/** Faults of the engine or of the way to it, as the three errors the rest of the project knows. */
import { LeaklineError } from '../errors.ts';

export const NOT_ENOUGH_SPACE = 243;

/**
 * Codes of ClickHouse after which the same call may succeed later: timeouts, overload, lost replicas, full disk, shutdown.
 * https://github.com/ClickHouse/ClickHouse/blob/master/src/Common/ErrorCodes.cpp
 */
const TRANSIENT_CODES = new Set([
  3, // UNEXPECTED_END_OF_FILE
  159, // TIMEOUT_EXCEEDED
  160, // TOO_SLOW
  198, // DNS_ERROR
  202, // TOO_MANY_SIMULTANEOUS_QUERIES
  203, // NO_FREE_CONNECTION
  209, // SOCKET_TIMEOUT
  210, // NETWORK_ERROR
  225, // NO_ZOOKEEPER
  236, // ABORTED
  241, // MEMORY_LIMIT_EXCEEDED
  242, // TABLE_IS_READ_ONLY
  NOT_ENOUGH_SPACE,
  252, // TOO_MANY_PARTS
  279, // ALL_CONNECTION_TRIES_FAILED
  285, // TOO_FEW_LIVE_REPLICAS
  286, // UNSATISFIED_QUORUM_FOR_PREVIOUS_WRITE
  319, // UNKNOWN_STATUS_OF_INSERT
  394, // QUERY_WAS_CANCELLED
  425, // SYSTEM_ERROR
  439, // CANNOT_SCHEDULE_TASK
  999, // KEEPER_EXCEPTION
]);

/**
 * Codes that blame what was inserted: the same rows will be refused again, and other rows may be taken. Everything else that is
 * final (no such table, no right to it) has to be mended in the store, and rows have to wait for that.
 */
const ROWS_CODES = new Set([
  6, // CANNOT_PARSE_TEXT
  26, // CANNOT_PARSE_QUOTED_STRING
  27, // CANNOT_PARSE_INPUT_ASSERTION_FAILED
  32, // ATTEMPT_TO_READ_AFTER_EOF
  33, // CANNOT_READ_ALL_DATA
  38, // CANNOT_PARSE_DATE
  41, // CANNOT_PARSE_DATETIME
  53, // TYPE_MISMATCH
  69, // ARGUMENT_OUT_OF_BOUND
  70, // CANNOT_CONVERT_TYPE
  72, // CANNOT_PARSE_NUMBER
  117, // INCORRECT_DATA
  128, // TOO_LARGE_ARRAY_SIZE
  131, // TOO_LARGE_STRING_SIZE
  190, // SIZES_OF_ARRAYS_DONT_MATCH
  321, // VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE
  349, // CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN
  395, // FUNCTION_THROW_IF_VALUE_IS_NON_ZERO, of a materialized view
  407, // DECIMAL_OVERFLOW
  469, // VIOLATED_CONSTRAINT
  691, // UNKNOWN_ELEMENT_OF_ENUM
]);

/** However it was met: the engine has a code for each way to meet a full disk. */
const FULL_DISK = /\berrno: 28\b|no space left on device/i;

/** Number of ClickHouse's exception, or undefined where the fault is not the engine's. */
export function engineCode(error: unknown): number | undefined {
  if (!(error instanceof Error)) return undefined;
  if (error instanceof LeaklineError && typeof error.details['engineCode'] === 'number') return error.details['engineCode'];
  if (FULL_DISK.test(error.message)) return NOT_ENOUGH_SPACE;
  const { code } = error as { code?: unknown };
  if (typeof code === 'string' && /^\d+$/.test(code)) return Number(code);
  const match = /Code: (\d+)\b/.exec(error.message);
  return match === null ? undefined : Number(match[1]);
}

/** First line of the engine's text, without its own decoration. */
function engineText(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.replace(/^(Code: \d+\. )?(DB::Exception: )?/, '').slice(0, 600);
}

export function toStoreError(error: unknown, what: string): LeaklineError {
  if (error instanceof LeaklineError) return error;
  const code = engineCode(error);
  const text = engineText(error);
  if (code === undefined || TRANSIENT_CODES.has(code)) {
    return new LeaklineError('LKL_ERR_STORE_UNAVAILABLE', `${what}: the store cannot do it now: ${text}`, {
      cause: error,
      details: { engineCode: code },
    });
  }
  const refusal = ROWS_CODES.has(code) ? 'LKL_ERR_ROWS_REFUSED' : 'LKL_ERR_STORE_REFUSED';
  return new LeaklineError(refusal, `${what}: the store refused: ${text}`, { cause: error, details: { engineCode: code } });
}
