/**
 * Cuts SQL into words, quoted text and signs, as far as safety needs it. What could be read in two ways is refused:
 * here-documents, characters beyond ASCII outside quotes (the engine takes some for quotes), comments within comments.
 */
import { LeaklineError } from '../errors.ts';

export interface SqlToken {
  readonly kind: 'word' | 'quoted' | 'sign';
  /** As written. */
  readonly text: string;
  readonly start: number;
  readonly end: number;
}

const PIECE =
  /(?<space>\s+|--[^\n]*|#[! ][^\n]*)|(?<comment>\/\*[^]*?\*\/)|(?<quoted>'(?:[^'\\]|\\[^]|'')*'|"(?:[^"\\]|\\[^]|"")*"|`(?:[^`\\]|\\[^]|``)*`)|(?<word>[A-Za-z_]\w*|\d[\w.]*)|(?<sign>[!%&()*+,\-./:;<=>?@[\]^{|}~])/y;

export function scanSql(sql: string): SqlToken[] {
  const tokens: SqlToken[] = [];
  PIECE.lastIndex = 0;
  while (PIECE.lastIndex < sql.length) {
    const start = PIECE.lastIndex;
    const groups = PIECE.exec(sql)?.groups;
    if (groups === undefined) {
      const shown = JSON.stringify(sql.slice(start, start + 12));
      throw new LeaklineError('LKL_ERR_SQL_REFUSED', `cannot read the statement at ${shown}: quote it, or close what is open`);
    }
    const { comment, quoted, word, sign } = groups;
    if (comment?.includes('/*', 2) === true) throw new LeaklineError('LKL_ERR_SQL_REFUSED', 'a comment within a comment is not allowed');
    const text = quoted ?? word ?? sign;
    if (text === undefined) continue;
    tokens.push({ kind: quoted !== undefined ? 'quoted' : word !== undefined ? 'word' : 'sign', text, start, end: start + text.length });
  }
  return tokens;
}
