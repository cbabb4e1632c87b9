/**
 * What a message says, before any channel gives it a form: title, status, facts, reason, next steps, links, SQL. Pure.
 * Moments stay moments (`{ at }`), so a channel that knows the reader's time zone can use it.
 */
import { stateAt, type Incident, type IncidentEvent } from '../../shared/incident.ts';
import type { Judgement } from '../../shared/judgement.ts';
import type { Series } from '../../shared/series.ts';
import { nextSteps, whereItGrows } from './message-advice.ts';
import { gatherEvidence, valuesOf, type Evidence } from './message-evidence.ts';
import {
  DAY,
  formatBytes,
  formatDuration,
  formatDurations,
  formatPercent,
  formatSlope,
  formatSlopeInterval,
  HOUR,
  oneLine,
} from './message-format.ts';
import { sparkline } from './message-sparkline.ts';

/** What happened that makes the message stand, change or come again. */
export type Change = IncidentEvent['type'] | 'silence-ended' | 'reminder' | 'last-call' | 'refreshed';

/** A piece of text: plain, a moment in milliseconds UTC, or a name to be set in code style. */
export type Span = string | { readonly at: number } | { readonly code: string };
export type RichText = readonly Span[];

export interface Fact {
  readonly label: string;
  readonly text: RichText;
}

export type Tone = 'urgent' | 'leak' | 'handled' | 'resolved';

export interface Message {
  readonly incident: string;
  readonly service: string;
  readonly environment: string;
  readonly state: Incident['state'];
  readonly change: Change;
  readonly tone: Tone;
  /** "checkout leaks 18 MB/h, runs out of memory in 7 h" */
  readonly title: string;
  /** Who did what, or why it is over; empty while nobody did anything. */
  readonly status: RichText;
  readonly facts: readonly Fact[];
  /** How sure and why. */
  readonly reason: string;
  readonly nextSteps: readonly string[];
  readonly links: { readonly page: string; readonly acknowledge: string; readonly silence: string; readonly dismiss: string };
  readonly sql: string;
  /** The curve in one line of text, for where no picture can be. */
  readonly sparkline: string;
  /** The chart in words. */
  readonly chartAlt: string;
  readonly openedAt: number;
  readonly at: number;
}

export interface MessageInput {
  readonly incident: Incident;
  readonly change: Change;
  readonly series: readonly Series[];
  readonly at: number;
  /** Address of the console, no slash at the end. */
  readonly publicUrl: string;
}

const URGENT_MS = 2 * HOUR;
const MOST_INSTANCES = 6;

export function buildMessage({ incident, change, series, at, publicUrl }: MessageInput): Message {
  const evidence = gatherEvidence(incident.judgement, series);
  const page = `${publicUrl}/incidents/${encodeURIComponent(incident.id)}`;
  const title = titleOf(incident, at);
  const over = isOver(incident);
  return {
    incident: incident.id,
    service: oneLine(incident.service),
    environment: oneLine(incident.environment),
    state: stateAt(incident, at),
    change,
    tone: toneOf(incident, at),
    title,
    status: statusOf(incident, change, at),
    facts: over ? factsOfTheEnd(incident, evidence) : facts(incident, evidence, at),
    reason: over ? '' : `${formatPercent(incident.judgement.confidence)} sure: ${oneLine(incident.judgement.explanation, 600)}`,
    nextSteps: over ? [] : [...firstAid(incident.judgement, evidence), ...nextSteps(evidence.runtime, incident.judgement.kind)],
    links: { page, acknowledge: `${page}?action=acknowledge`, silence: `${page}?action=silence`, dismiss: `${page}?action=dismiss` },
    sql: sqlOf(incident.judgement, at),
    sparkline: sparklineOf(incident.judgement, series),
    chartAlt: `Memory of ${oneLine(incident.service)} over time: ${title}.`,
    openedAt: incident.openedAt,
    at,
  };
}

const isOver = ({ state }: Incident) => state === 'resolved' || state === 'dismissed';

/** Production goes without saying. */
function nameOf({ service, environment }: Incident): string {
  const name = oneLine(service, 80);
  return environment === '' || /^prod(uction)?$/i.test(environment) ? name : `${name} (${oneLine(environment, 40)})`;
}

export function titleOf(incident: Incident, at: number): string {
  const name = nameOf(incident);
  if (incident.state === 'resolved') return `${name} no longer leaks`;
  if (incident.state === 'dismissed') return `${name}: not a leak`;
  const { slopeBytesPerHour, exhaustsAt } = incident.judgement;
  const leaks = `${name} leaks ${formatSlope(slopeBytesPerHour)}`;
  if (exhaustsAt === null) return leaks;
  return exhaustsAt <= at ? `${leaks}, is at its memory limit` : `${leaks}, runs out of memory in ${formatDuration(exhaustsAt - at)}`;
}

function toneOf(incident: Incident, at: number): Tone {
  const { judgement } = incident;
  if (incident.state === 'resolved') return 'resolved';
  if (stateAt(incident, at) !== 'open') return 'handled';
  return judgement.exhaustsAt !== null && judgement.exhaustsAt - at < URGENT_MS ? 'urgent' : 'leak';
}

function statusOf(incident: Incident, change: Change, at: number): RichText {
  const { state, note, updatedAt } = incident;
  const said = note === '' ? '' : `: ${oneLine(note, 300)}`;
  const actor = { code: oneLine(incident.actor, 60) };
  const byPerson = incident.actor !== 'detector';
  if (stateAt(incident, at) !== state) return ['The silence has ended and it still leaks.'];
  switch (state) {
    case 'resolved':
      return [`Resolved ${whenDone(incident.resolvedAt ?? updatedAt, at)}${said}`];
    case 'dismissed':
      return ['Called not a leak by ', actor, `${said}. Growth of the same shape will not be reported again.`];
    case 'silenced':
      return byPerson
        ? ['Silenced by ', actor, ' until ', { at: incident.silencedUntil ?? at }, said]
        : ['Silenced until ', { at: incident.silencedUntil ?? at }];
    case 'acknowledged':
      return byPerson ? ['Acknowledged by ', actor, ' ', { at: updatedAt }, said] : ['Acknowledged; figures looked at again since.'];
    case 'open':
      return openStatus(incident, change);
  }
}

function openStatus({ openedAt, actor }: Incident, change: Change): RichText {
  switch (change) {
    case 'reopened':
      return ['It is back: the leak had been resolved and grows again.'];
    case 'unacknowledged':
      return ['Given back by ', { code: oneLine(actor, 60) }, ': nobody looks after it now.'];
    case 'reminder':
      return ['Still open since ', { at: openedAt }, '. An earlier message may not have arrived.'];
    case 'last-call':
      return ['Time is running out and nobody has acknowledged it since ', { at: openedAt }, '.'];
    default:
      return [];
  }
}

const whenDone = (done: number, at: number) => (at - done < 60_000 ? 'just now' : `${formatDuration(at - done)} ago`);

function growth({ slopeBytesPerHour, slopeLow, slopeHigh, limitBytes }: Judgement): string {
  const share = limitBytes > 0 ? `, ${formatPercent(slopeBytesPerHour / limitBytes)} of the limit per hour` : '';
  const interval = Number.isFinite(slopeLow) && Number.isFinite(slopeHigh) ? ` (${formatSlopeInterval(slopeLow, slopeHigh)})` : '';
  return `${formatSlope(slopeBytesPerHour)}${interval}${share}`;
}

function timeLeft({ exhaustsAt, exhaustsEarliest, exhaustsLatest, limitBytes }: Judgement, at: number): RichText {
  if (limitBytes === 0) return ['no memory limit is known'];
  if (exhaustsAt === null) return ['the limit is not in sight'];
  if (exhaustsAt <= at) return ['none: the limit is reached since ', { at: exhaustsAt }];
  const interval =
    exhaustsEarliest === null
      ? ''
      : exhaustsLatest === null
        ? `, ${formatDuration(exhaustsEarliest - at)} at the earliest`
        : ` (${formatDurations(Math.max(0, exhaustsEarliest - at), Math.max(0, exhaustsLatest - at))})`;
  return [`${formatDuration(exhaustsAt - at)}${interval}, full at `, { at: exhaustsAt }];
}

function since(judgement: Judgement, { deployedAt }: Evidence, at: number): RichText {
  const version: Span[] = judgement.version === '' ? [] : [', version ', { code: oneLine(judgement.version, 60) }];
  const deployed: Span[] = deployedAt === null ? [] : [' deployed ', { at: deployedAt }];
  if (judgement.onsetAt === null) return version.length === 0 ? ['not known'] : [...version.slice(1), ...deployed];
  return [{ at: judgement.onsetAt }, ` (${formatDuration(at - judgement.onsetAt)})`, ...version, ...deployed];
}

function instancesText({ instances }: Judgement, { instanceCount }: Evidence): RichText {
  const shown = instances.slice(0, MOST_INSTANCES).flatMap((instance): Span[] => [' ', { code: oneLine(instance, 60) }]);
  const more = instances.length > MOST_INSTANCES ? ` and ${instances.length - MOST_INSTANCES} more` : '';
  return [`${instances.length} of ${Math.max(instanceCount, instances.length)}:`, ...shown, more].filter((span) => span !== '');
}

function facts(incident: Incident, evidence: Evidence, at: number): Fact[] {
  const { judgement } = incident;
  const level = formatBytes(judgement.levelBytes);
  const share =
    judgement.limitBytes > 0
      ? ` of ${formatBytes(judgement.limitBytes)} (${formatPercent(judgement.levelBytes / judgement.limitBytes)})`
      : '';
  return [
    { label: 'Grows by', text: [growth(judgement)] },
    { label: 'Time left', text: timeLeft(judgement, at) },
    { label: 'Since', text: since(judgement, evidence, at) },
    { label: 'Now', text: [`${level}${share}`] },
    { label: 'Where', text: [whereItGrows(evidence.runtime, judgement.kind)] },
    ...(judgement.instances.length === 0 ? [] : [{ label: 'Instances', text: instancesText(judgement, evidence) }]),
  ];
}

function factsOfTheEnd({ openedWith, openedAt, judgement }: Incident, evidence: Evidence): Fact[] {
  return [
    { label: 'Grew by', text: [formatSlope(openedWith.slopeBytesPerHour)] },
    { label: 'Reported', text: [{ at: openedAt }] },
    {
      label: 'Now',
      text: [formatBytes(judgement.levelBytes), ...(judgement.version === '' ? [] : [' with ', { code: oneLine(judgement.version, 60) }])],
    },
    { label: 'It grew', text: [whereItGrows(evidence.runtime, openedWith.kind)] },
  ];
}

/** What helps before the cause is found. */
function firstAid({ slopeBytesPerHour, version }: Judgement, { freedByRestart, deployedAt }: Evidence): string[] {
  const buys = slopeBytesPerHour > 0 && freedByRestart > slopeBytesPerHour / 60 ? (freedByRestart / slopeBytesPerHour) * HOUR : 0;
  const restart = buys === 0 ? [] : [`A restart frees about ${formatBytes(freedByRestart)} and buys about ${formatDuration(buys)}.`];
  const rollback =
    deployedAt === null ? [] : [`It came with ${oneLine(version, 60)}: rolling back stops it, and what changed there is where to look.`];
  return [...restart, ...rollback];
}

const quoted = (text: string): string => `'${oneLine(text).replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;

const STEPS_MINUTES = [1, 2, 5, 10, 15, 30, 60];

/** Shows the growth a reader is told of: by the hour, or finer where hours would hide it. */
function sqlOf({ service, environment, onsetAt, at: judgedAt }: Judgement, at: number): string {
  const span = Math.max(at - (onsetAt ?? judgedAt - HOUR), HOUR / 4) * 1.5;
  const where = `WHERE service = ${quoted(service)} AND environment = ${quoted(environment)}`;
  if (span > 2 * DAY) {
    return [
      'SELECT hour, instance, version, anon_min, heap_live_last, memory_limit',
      'FROM memory_hourly',
      `${where} AND hour > now() - INTERVAL ${Math.ceil(span / DAY)} DAY`,
      'ORDER BY instance, hour',
    ].join('\n');
  }
  const minutes = Math.ceil(span / 60_000);
  const step = STEPS_MINUTES.find((candidate) => minutes / candidate <= 90) ?? 60;
  return [
    `SELECT toStartOfInterval(time, INTERVAL ${step} MINUTE) AS t, instance, min(anon) AS floor, max(heap_live) AS heap`,
    'FROM samples',
    `${where} AND time > now() - INTERVAL ${minutes > 120 ? `${Math.ceil(minutes / 60)} HOUR` : `${minutes} MINUTE`}`,
    'GROUP BY t, instance',
    'ORDER BY instance, t',
  ].join('\n');
}

/** Of the growing instance with the longest curve. */
function sparklineOf({ signal, instances }: Judgement, series: readonly Series[]): string {
  const candidates = series.filter(({ instance }) => instances.length === 0 || instances.includes(instance));
  const longest = [...candidates].sort((a, b) => b.time.length - a.time.length)[0];
  return longest === undefined ? '' : sparkline(valuesOf(longest, signal));
}
