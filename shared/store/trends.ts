/** Judgements: the newest of each service, version and instance (view `trends`), and their history. */
import type { Judgement } from '../judgement.ts';
import { toSqlTime, toSqlTimeOrNull } from './sql-time.ts';
import type { Store } from './store.ts';

/** JSON has no infinities, judgements may (a bound that is not known). */
const encodeNumber = (_: string, value: unknown): unknown =>
  typeof value === 'number' && !Number.isFinite(value) ? { number: String(value) } : value;

const decodeNumber = (_: string, value: unknown): unknown =>
  typeof value === 'object' && value !== null && 'number' in value && Object.keys(value).length === 1 ? Number(value.number) : value;

export const encodeJudgement = (judgement: Judgement): string => JSON.stringify(judgement, encodeNumber);

export const decodeJudgement = (text: string): Judgement => JSON.parse(text, decodeNumber) as Judgement;

/** The typed columns hold what SQL can compare; infinities become the largest number there is. */
const finite = (value: number): number => (Number.isNaN(value) ? 0 : Math.max(-Number.MAX_VALUE, Math.min(Number.MAX_VALUE, value)));

const toRow = (judgement: Judgement) => ({
  service: judgement.service,
  environment: judgement.environment,
  version: judgement.version,
  instance: judgement.instance,
  lifetime: judgement.lifetime,
  at: toSqlTime(judgement.at),
  verdict: judgement.verdict,
  reason: judgement.reason,
  explanation: judgement.explanation,
  kind: judgement.kind,
  signal: judgement.signal,
  slope_bytes_per_hour: finite(judgement.slopeBytesPerHour),
  slope_low: finite(judgement.slopeLow),
  slope_high: finite(judgement.slopeHigh),
  level_bytes: finite(judgement.levelBytes),
  limit_bytes: finite(judgement.limitBytes),
  exhausts_at: toSqlTimeOrNull(judgement.exhaustsAt),
  exhausts_earliest: toSqlTimeOrNull(judgement.exhaustsEarliest),
  exhausts_latest: toSqlTimeOrNull(judgement.exhaustsLatest),
  onset_at: toSqlTimeOrNull(judgement.onsetAt),
  confidence: finite(judgement.confidence),
  instances: judgement.instances,
  waiting_for: judgement.waitingFor,
  decides_by: toSqlTimeOrNull(judgement.decidesBy),
  judgement: encodeJudgement(judgement),
});

/** Saving the same judgements again changes nothing. */
export async function saveJudgements(store: Store, judgements: readonly Judgement[]): Promise<void> {
  const rows = judgements.map(toRow);
  await store.insertRows('judgements', rows);
  await store.insertRows('current_judgements', rows);
}

export interface JudgementFilter {
  readonly service?: string;
  readonly environment?: string;
}

const WHERE = `({service:String} = '' OR service = {service:String}) AND ({anyEnvironment:Bool} OR environment = {environment:String})`;

const filterParams = ({ service = '', environment }: JudgementFilter) => ({
  service,
  anyEnvironment: environment === undefined,
  environment: environment ?? '',
});

/** The newest judgement of each (service, environment, version, instance). */
export async function readLatestJudgements(store: Store, filter: JudgementFilter = {}): Promise<Judgement[]> {
  const rows = await store.query<{ judgement: string }>(
    `SELECT judgement FROM current_judgements FINAL WHERE ${WHERE} ORDER BY service, environment, version, instance`,
    filterParams(filter),
  );
  return rows.map((row) => decodeJudgement(row.judgement));
}

export interface HistoryFilter extends JudgementFilter {
  readonly service: string;
  /** '' = pooled judgements; left out = all. */
  readonly instance?: string;
  readonly from: number;
  readonly to: number;
}

/** Ascending in time; judgements made in [from, to). */
export async function readJudgementHistory(store: Store, filter: HistoryFilter): Promise<Judgement[]> {
  const rows = await store.query<{ judgement: string }>(
    `SELECT judgement FROM judgements FINAL
    WHERE ${WHERE} AND ({anyInstance:Bool} OR instance = {instance:String})
      AND at >= fromUnixTimestamp64Milli({from:Int64}) AND at < fromUnixTimestamp64Milli({to:Int64})
    ORDER BY at, version, instance`,
    {
      ...filterParams(filter),
      anyInstance: filter.instance === undefined,
      instance: filter.instance ?? '',
      from: filter.from,
      to: filter.to,
    },
  );
  return rows.map((row) => decodeJudgement(row.judgement));
}
