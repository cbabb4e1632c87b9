/** Faults in the words of ClickHouse's HTTP interface: a status, a code in a header, and one line of text. */
import { LeaklineError } from '../../shared/errors.ts';
import { engineCode, NOT_ENOUGH_SPACE } from '../../shared/store/store-error.ts';

/** Codes of ClickHouse this server itself answers with. */
export const AUTHENTICATION_FAILED = 516;
export const NOT_IMPLEMENTED = 48;
export const READONLY = 164;
export const SYNTAX_ERROR = 62;
export const TOO_LARGE = 307;
export const UNKNOWN_SETTING = 115;
export const UNKNOWN_DATABASE = 81;
export const UNEXPECTED_END = 33;
export const CHECKSUM_DOESNT_MATCH = 40;
export const CANNOT_DECOMPRESS = 271;

const NAMES: Readonly<Record<number, string>> = {
  [AUTHENTICATION_FAILED]: 'AUTHENTICATION_FAILED',
  [NOT_IMPLEMENTED]: 'NOT_IMPLEMENTED',
  [READONLY]: 'READONLY',
  [SYNTAX_ERROR]: 'SYNTAX_ERROR',
  [TOO_LARGE]: 'TOO_MANY_BYTES',
  [UNKNOWN_SETTING]: 'UNKNOWN_SETTING',
  [UNKNOWN_DATABASE]: 'UNKNOWN_DATABASE',
  [UNEXPECTED_END]: 'CANNOT_READ_ALL_DATA',
  [CHECKSUM_DOESNT_MATCH]: 'CHECKSUM_DOESNT_MATCH',
  [CANNOT_DECOMPRESS]: 'CANNOT_DECOMPRESS',
  [NOT_ENOUGH_SPACE]: 'NOT_ENOUGH_SPACE',
};

/** As ClickHouse's own server maps them; whatever is not here is 500. */
const STATUS: Readonly<Record<number, number>> = {
  6: 400, // CANNOT_PARSE_TEXT
  16: 404, // NO_SUCH_COLUMN_IN_TABLE
  26: 400, // CANNOT_PARSE_QUOTED_STRING
  27: 400, // CANNOT_PARSE_INPUT_ASSERTION_FAILED
  [UNEXPECTED_END]: 400,
  [CHECKSUM_DOESNT_MATCH]: 400,
  41: 400, // CANNOT_PARSE_DATETIME
  46: 404, // UNKNOWN_FUNCTION
  47: 404, // UNKNOWN_IDENTIFIER
  [NOT_IMPLEMENTED]: 501,
  60: 404, // UNKNOWN_TABLE
  [SYNTAX_ERROR]: 400,
  72: 400, // CANNOT_PARSE_NUMBER
  73: 404, // UNKNOWN_FORMAT
  [UNKNOWN_DATABASE]: 404,
  [UNKNOWN_SETTING]: 404,
  117: 400, // INCORRECT_DATA
  159: 408, // TIMEOUT_EXCEEDED
  [READONLY]: 403,
  [CANNOT_DECOMPRESS]: 400,
  [TOO_LARGE]: 413,
  [AUTHENTICATION_FAILED]: 403,
};

export class ProtocolError extends Error {
  readonly code: number;
  readonly status: number;

  constructor(code: number, message: string) {
    super(message);
    this.code = code;
    this.status = STATUS[code] ?? 500;
  }
}

export interface ExceptionAnswer {
  readonly status: number;
  readonly code: number;
  readonly text: string;
}

export function toException(error: unknown, version: string): ExceptionAnswer {
  const message = error instanceof Error ? error.message : String(error);
  // A refusal of ours carries the engine's error behind it, or is about something people's SQL may not do.
  const cause = error instanceof LeaklineError ? error.cause : undefined;
  const code =
    error instanceof ProtocolError
      ? error.code
      : (engineCode(error) ?? engineCode(cause) ?? (error instanceof LeaklineError ? READONLY : 1001));
  const plain = message
    .replace(/^Code: \d+\. /, '')
    .replace(/^DB::Exception: /, '')
    .trim();
  const name = /\([A-Z_]+\)$/.test(plain) ? '' : ` (${NAMES[code] ?? 'STD_EXCEPTION'})`;
  return { status: STATUS[code] ?? 500, code, text: `Code: ${code}. DB::Exception: ${plain}${name} (version ${version})\n` };
}
