/**
 * SQL by people: one reading statement over the history, on the read-only connection. `readonly = 1` alone does not hold
 * in chDB 26.7: it still writes INTO OUTFILE, reads files by the scalar function file(), kills queries, changes database.
 * So the text is checked for what the parser would act on, and the engine's own parse tree for functions and tables.
 */
import { LeaklineError } from '../errors.ts';
import { scanSql, type SqlToken } from './sql-scan.ts';
import { engineCode } from './store-error.ts';
import type { Store } from './store.ts';

export interface UserSqlOptions {
  /** Any output format of ClickHouse; a FORMAT clause in the statement wins. Default: JSONCompact. */
  readonly format?: string;
  readonly signal?: AbortSignal;
}

export interface UserSqlResult {
  readonly format: string;
  readonly contentType: string;
  readonly body: Buffer;
  /** The cap on rows where the answer reached it: there may be more. */
  readonly cutAtRows: number | undefined;
}

const CONTENT_TYPES: readonly (readonly [RegExp, string])[] = [
  [/^JSON.*EachRow|^NDJSON/i, 'application/x-ndjson; charset=utf-8'],
  [/^JSON/i, 'application/json; charset=utf-8'],
  [/^CSV/i, 'text/csv; charset=utf-8'],
  [/^(TSV|TabSeparated)/i, 'text/tab-separated-values; charset=utf-8'],
  [/^(Pretty|Vertical|Markdown|Values|XML|SQLInsert)/i, 'text/plain; charset=utf-8'],
];

/** Words on which the engine would write, read a file, or run a second statement. As names of columns they can be quoted. */
const REFUSED_WORDS = new Set(['outfile', 'infile', 'parallel', 'into', 'settings']);

/** Functions that read files, dictionaries or the host, call out, or just wait. */
const REFUSED_FUNCTIONS =
  /^(file|ai.*|dict.*|joinGet.*|catboost.*|naiveBayes.*|addressTo.*|getServer.*|getMacro|getMergeTreeSetting|getClientHTTPHeader|showCertificate|filesystem.*|sleep.*|hostName|fullHostName|FQDN|serverUUID|executable.*|region.*|icebergBucket|fuzzQuery|obfuscateQuery.*|throwIf|buildId|getOSKernelVersion|currentProfiles|enabledProfiles|defaultProfiles|tcpPort|globalVariable|zookeeper.*|transaction.*)$/i;

const ALLOWED_TABLE_FUNCTIONS = new Set(['numbers', 'numbers_mt', 'zeros', 'zeros_mt', 'values', 'generateseries', 'generate_series']);

/** What drivers and editors ask to list names. */
const ALLOWED_SYSTEM_TABLES = new Set([
  'system.one',
  'system.numbers',
  'system.databases',
  'system.tables',
  'system.columns',
  'system.functions',
  'system.formats',
  'system.data_type_families',
]);

const refuse = (message: string, cause?: unknown) => new LeaklineError('LKL_ERR_SQL_REFUSED', message, { cause });

interface Statement {
  /** The statement without its FORMAT clause. */
  readonly text: string;
  readonly format: string | undefined;
  /** The SELECT whose parse tree has to be checked; undefined where the statement names one table and nothing else. */
  readonly select: string | undefined;
}

const NAMES_ONE_TABLE =
  /^(show (full )?tables( (from|in) \w+)?( (not )?i?like '[^'\\]*')?|(show create (table |view )?|describe (table )?|desc (table )?|exists (table |view )?)(\w+\.)?\w+)$/i;

const EXPLAIN = /^explain(\s+(ast|syntax|query\s+tree|plan|pipeline|estimate))?(\s+\w+\s*=\s*\w+\s*,?)*\s*(?=\(|select|with)/i;

function parse(sql: string): Statement {
  const tokens = scanSql(sql);
  const words = tokens.filter((token) => token.kind === 'word');
  const separator = tokens.findIndex((token) => token.text === ';');
  if (separator !== -1 && tokens.slice(separator).some((token) => token.text !== ';'))
    throw refuse('one statement at a time: take out the `;`');
  const refused = words.find((word) => REFUSED_WORDS.has(word.text.toLowerCase()));
  if (refused !== undefined)
    throw refuse(`\`${refused.text}\` is not allowed: people's SQL only reads (a column of that name can be quoted)`);
  const body = separator === -1 ? tokens : tokens.slice(0, separator);
  const last = body.at(-1);
  if (last === undefined) throw refuse('the statement is empty');
  const hasFormat = last.kind === 'word' && isWord(body.at(-2), 'format');
  const end = hasFormat ? body.at(-2)!.start : last.end;
  const text = sql.slice(body[0]!.start, end).trim();
  const format = hasFormat ? last.text : undefined;
  const plain = body.slice(0, hasFormat ? -2 : undefined).map((token) => token.text);
  if (NAMES_ONE_TABLE.test(plain.join(' ').replaceAll(' . ', '.'))) return { text, format, select: undefined };
  const select = text.replace(EXPLAIN, '');
  if (!/^[(\s]*(select|with)\b/i.test(select)) {
    throw refuse(`\`${plain.slice(0, 2).join(' ')} …\` is not allowed: start with SELECT, WITH, EXPLAIN SELECT, SHOW TABLES or DESCRIBE`);
  }
  return { text, format, select };
}

const isWord = (token: SqlToken | undefined, word: string): boolean => token?.kind === 'word' && token.text.toLowerCase() === word;

function checkTree(tree: string, database: string): void {
  if (!/^(QUERY|UNION) id:/.test(tree)) throw refuse('the statement cannot be checked: write it as a plain SELECT');
  for (const [, name = ''] of tree.matchAll(/\bfunction_name: ([^\s,]+)/g)) {
    if (REFUSED_FUNCTIONS.test(name)) throw refuse(`function ${name}() is not allowed in people's SQL`);
  }
  for (const [, name = ''] of tree.matchAll(/\btable_function_name: ([^\s,]+)/g)) {
    if (!ALLOWED_TABLE_FUNCTIONS.has(name.toLowerCase())) throw refuse(`table function ${name}() is not allowed in people's SQL`);
  }
  for (const [, name = ''] of tree.matchAll(/\btable_name: ([^\s,]+)/g)) {
    const known = name.startsWith(`${database}.`) || ALLOWED_SYSTEM_TABLES.has(name);
    if (!known) throw refuse(`table ${name} is not open to people's SQL: SHOW TABLES lists what is`);
  }
}

export interface GuardedSql {
  /** The statement without its FORMAT clause. */
  readonly text: string;
  readonly format: string | undefined;
}

/**
 * Throws LKL_ERR_SQL_REFUSED unless the statement only reads what is open to people. `explain` runs a statement on the
 * read-only connection: first without analysis, which evaluates nothing, for the functions; then analysed, for the tables.
 */
export async function guardUserSql(sql: string, database: string, explain: (sql: string) => Promise<string>): Promise<GuardedSql> {
  const { text, format, select } = parse(sql);
  if (format !== undefined && !/^\w+$/.test(format)) throw refuse(`format ${JSON.stringify(format)} is not a name`);
  if (select === undefined) return { text, format };
  const tree = await explain(`EXPLAIN QUERY TREE run_passes = 0 ${select}`);
  checkTree(tree, database);
  checkTree(await explain(`EXPLAIN QUERY TREE ${select}`), database);
  // The engine caps each member of a UNION, INTERSECT or EXCEPT by itself: too many rows, or a wrong difference.
  const isCapped = select !== text || !tree.startsWith('UNION');
  return { text: isCapped ? text : `SELECT * FROM (${text})`, format };
}

/** What went wrong with a statement by people is theirs to mend, the engine's words help. */
function toRefusal(error: unknown): unknown {
  if (!(error instanceof LeaklineError) || error.code === 'LKL_ERR_SQL_REFUSED') return error;
  const code = engineCode(error.cause);
  if (code === undefined) return error;
  const mend =
    code === 159
      ? 'it took too long: narrow the time range or the services'
      : code === 241
        ? 'it took too much memory: aggregate or narrow it'
        : '';
  const text = error.message.replace(/^query: the store (refused|cannot do it now): /, '');
  return refuse(mend === '' ? text : `${mend} (${text})`, error);
}

export const contentTypeOf = (format: string): string =>
  CONTENT_TYPES.find(([pattern]) => pattern.test(format))?.[1] ?? 'application/octet-stream';

export async function runUserSql(store: Store, sql: string, options: UserSqlOptions = {}): Promise<UserSqlResult> {
  const { signal } = options;
  const explain = async (text: string) => (await store.userQuery(text, 'TSVRaw', { signal })).body.toString('utf8');
  try {
    const guarded = await guardUserSql(sql, store.database, explain);
    const format = guarded.format ?? options.format ?? 'JSONCompact';
    const { body, rows } = await store.userQuery(guarded.text, format, { signal });
    const { maxRows } = store.userLimits;
    return { format, contentType: contentTypeOf(format), body, cutAtRows: rows >= maxRows ? maxRows : undefined };
  } catch (error) {
    throw toRefusal(error);
  }
}

export interface UserRows {
  readonly columns: readonly { readonly name: string; readonly type: string }[];
  readonly rows: readonly (readonly unknown[])[];
}

/** The same, decoded. A FORMAT clause in the statement has no say here. */
export async function queryUserRows(store: Store, sql: string, signal?: AbortSignal): Promise<UserRows> {
  const { text } = parse(sql);
  const { body } = await runUserSql(store, text, { format: 'JSONCompact', ...(signal === undefined ? {} : { signal }) });
  const answer = JSON.parse(body.toString('utf8')) as { meta: UserRows['columns']; data: UserRows['rows'] };
  return { columns: answer.meta, rows: answer.data };
}
