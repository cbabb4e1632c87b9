/** A history that cannot mean anything is refused with the place and the mend. */
import { LeaklineError } from '../../shared/errors.ts';

/** `line` and `column` count from 1; a header's column is the number of the field. */
export function historyFileError(file: string, line: number, column: number, what: string, mend: string): LeaklineError {
  return new LeaklineError('LKL_ERR_HISTORY_FILE', `${file}:${String(line)}:${String(column)}: ${what}; expected ${mend}`, {
    details: { file, line, column },
  });
}
