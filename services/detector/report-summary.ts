/** What a table and a report say of one service: one verdict, the figures behind it, and the order of urgency. Pure. */
import type { Judgement } from '../../shared/judgement.ts';
import type { ServiceAccount } from './backtest-service.ts';
import { bytesText as bytes } from '../../shared/bytes-text.ts';
import { duration } from './explain.ts';
import type { RuleAlarms, RuleInUse } from './rules-in-use.ts';

/** `was-leak`: found, and over before the history ends. `unread`: no row had a memory reading. */
type Outcome = 'leak' | 'was-leak' | 'undecided' | 'growing' | 'steady' | 'unread';

export const OUTCOME_WORDS: Readonly<Record<Outcome, string>> = {
  leak: 'leak',
  'was-leak': 'leak, over',
  undecided: 'undecided',
  growing: 'growing',
  steady: 'steady',
  unread: 'not read',
};

export interface Summary {
  readonly account: ServiceAccount;
  readonly name: string;
  readonly outcome: Outcome;
  /** Of the first incident when it opened; else what was thought at the end. */
  readonly judgement: Judgement | undefined;
  readonly growth: string;
  /** "in 13.7 days", counted from when it was found. */
  readonly limit: string;
  readonly reason: string;
}

export const RULE_NAMES: Readonly<Record<RuleInUse, string>> = {
  plus15: '+15 % in 30 min',
  predictLinear: 'predict_linear 6h to 24h',
};

const ORDER: readonly Outcome[] = ['leak', 'was-leak', 'undecided', 'growing', 'unread', 'steady'];

/** Text of files is shown to people: no control characters, no endless names. */
export function plain(text: string, most: number): string {
  // eslint-disable-next-line no-control-regex -- control characters are what it looks for
  const clean = text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g, '·');
  return clean.length > most ? `${clean.slice(0, most - 1)}…` : clean;
}

export function summaryOf(account: ServiceAccount): Summary {
  const outcome = outcomeOf(account);
  const judgement = account.opened[0] ?? account.last;
  const name = plain(account.environment === '' ? account.service : `${account.service} (${account.environment})`, 60);
  if (outcome === 'unread' || judgement === undefined) {
    return { account, name, outcome: 'unread', judgement: undefined, growth: '', limit: '', reason: 'no row has a memory reading' };
  }
  const isMoving = outcome !== 'steady' && judgement.slopeBytesPerHour > 0;
  return {
    account,
    name,
    outcome,
    judgement,
    growth: isMoving ? `${bytes(judgement.slopeBytesPerHour)}/h` : '',
    limit: limitOf(judgement, outcome),
    reason: plain(judgement.explanation + waiting(judgement), 400),
  };
}

function outcomeOf({ opened, last, rows, rowsWithoutMemory }: ServiceAccount): Outcome {
  if (rows === 0 || rowsWithoutMemory === rows || last === undefined) return 'unread';
  if (last.verdict === 'leak' && opened.length > 0) return 'leak';
  if (opened.length > 0) return 'was-leak';
  return last.verdict === 'leak' ? 'undecided' : last.verdict;
}

function limitOf({ exhaustsAt, at, limitBytes }: Judgement, outcome: Outcome): string {
  if (exhaustsAt !== null) return exhaustsAt <= at ? 'reached' : `in ${duration(exhaustsAt - at)}`;
  return limitBytes > 0 || outcome === 'steady' || outcome === 'growing' ? '' : 'none known';
}

function waiting({ verdict, waitingFor }: Judgement): string {
  return verdict === 'undecided' && waitingFor !== '' ? `; waiting for ${waitingFor}` : '';
}

/** Most urgent first: what runs out soonest, then what grows fastest, then where the rules in use alarmed most. */
export function byUrgency(a: Summary, b: Summary): number {
  return (
    ORDER.indexOf(a.outcome) - ORDER.indexOf(b.outcome) ||
    timeLeft(a) - timeLeft(b) ||
    pace(b) - pace(a) ||
    alarmsOf(b.account) - alarmsOf(a.account) ||
    (a.name < b.name ? -1 : 1)
  );
}

function timeLeft({ account, outcome }: Summary): number {
  const { last } = account;
  if (outcome !== 'leak' || last?.exhaustsAt === null || last === undefined) return Number.MAX_VALUE;
  return last.exhaustsAt - last.at;
}

const pace = ({ outcome, judgement }: Summary): number => (outcome === 'steady' ? 0 : (judgement?.slopeBytesPerHour ?? 0));

export const alarmsOf = ({ rules }: ServiceAccount): number => rules.plus15.count + rules.predictLinear.count;

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

/** `15 Oct 16:00`, UTC; the year stands once, at the head. */
export function moment(at: number): string {
  const date = new Date(at);
  return `${String(date.getUTCDate())} ${MONTHS[date.getUTCMonth()] ?? ''} ${date.toISOString().slice(11, 16)}`;
}

/** `2026-10-15 16:00 to 2026-10-17 08:00 UTC`; '' where there is nothing. */
export function rangeOf(services: readonly ServiceAccount[]): string {
  const from = Math.min(...services.map((one) => one.from));
  const to = Math.max(...services.map((one) => one.to));
  return from <= to ? `${isoMinute(from)} to ${isoMinute(to)} UTC` : '';
}

const isoMinute = (at: number): string => new Date(at).toISOString().slice(0, 16).replace('T', ' ');

export const countOf = (count: number, one: string): string => `${count.toLocaleString('en')} ${one}${count === 1 ? '' : 's'}`;

/** What each rule would have done over the whole history, beside what Leakline did. */
export function comparison(services: readonly ServiceAccount[]): string[] {
  const found = services.filter(({ opened }) => opened.length > 0);
  const incidents = found.reduce((sum, { opened }) => sum + opened.length, 0);
  const head = `Leakline: ${countOf(incidents, 'incident')} on ${countOf(found.length, 'service')}`;
  const rule = (name: RuleInUse): string => {
    const alarmed = services.filter(({ rules }) => rules[name].count > 0);
    const alarms = alarmed.reduce((sum, { rules }) => sum + rules[name].count, 0);
    const shared =
      found.length === 0
        ? ''
        : `, among them ${String(alarmed.filter(({ opened }) => opened.length > 0).length)} of the ${String(found.length)} that leak`;
    return `${RULE_NAMES[name]}: ${countOf(alarms, 'alarm')} on ${countOf(alarmed.length, 'service')}${shared}`;
  };
  return [head, rule('plus15'), rule('predictLinear')];
}

export const firstAlarm = ({ times }: RuleAlarms): string => (times[0] === undefined ? '' : `first ${moment(times[0])}`);
