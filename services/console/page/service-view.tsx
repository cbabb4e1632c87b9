/** One service: what the detector thinks and why, the curves it rests on, and what happened to its processes. */
import { useState } from 'preact/hooks';
import type { ApiJudgement as Judgement } from '../api-schema.ts';
import type { Curves, ServiceDetail } from '../api-schema.ts';
import { SIGNALS, type Signal } from '../signals.ts';
import { usePolled } from './api-client.ts';
import { CurveChart } from './curve-chart.tsx';
import { Failure, Loading, Stale } from './feedback.tsx';
import { DAY, formatAgo, formatMoment, HOUR } from './format.ts';
import { InstanceTable, LifetimeTable } from './service-tables.tsx';
import { IncidentActions } from './incident-actions.tsx';
import { JudgementFacts } from './judgement-facts.tsx';
import { incidentPath, servicePath } from './router.ts';
import { SqlSnippet } from './sql-snippet.tsx';
import { StateBadge, VerdictBadge } from './verdict-badge.tsx';
import { Thoughts } from './thoughts.tsx';

const RANGES = [
  ['1 h', HOUR],
  ['6 h', 6 * HOUR],
  ['24 h', DAY],
  ['7 days', 7 * DAY],
  ['30 days', 30 * DAY],
] as const;

const SIGNAL_WORDS: Record<Signal, string> = {
  anon: 'Anonymous',
  rss: 'RSS',
  working_set: 'Working set',
  heap_live: 'Heap after GC',
  heap_used: 'Heap used',
};

const SIGNAL_TITLES: Record<Signal, string> = {
  anon: 'resident anonymous memory: what cannot be dropped',
  rss: 'resident set size, shared and file-backed pages included',
  working_set: 'what the kernel holds against the limit of the cgroup',
  heap_live: 'heap in use right after the last full collection',
  heap_used: 'heap in use, garbage included',
};

/** Moves on in whole steps, so that a poll asks for the same range until something new can be in it. */
const STEP_SHARE = 1 / 240;

function rangeQuery(now: number, length: number): string {
  const step = Math.max(10_000, length * STEP_SHARE);
  const to = Math.ceil(now / step) * step;
  return `from=${to - length}&to=${to}`;
}

interface ChooserProps {
  readonly signal: Signal;
  readonly rangeMs: number;
  readonly available: readonly Signal[];
  readonly chooseSignal: (signal: Signal) => void;
  readonly chooseRange: (rangeMs: number) => void;
}

function Chooser({ signal, rangeMs, available, chooseSignal, chooseRange }: ChooserProps) {
  return (
    <div class="chooser">
      <div class="segments" role="group" aria-label="Signal">
        {SIGNALS.filter((candidate) => candidate === signal || available.includes(candidate)).map((candidate) => (
          <button
            key={candidate}
            type="button"
            aria-pressed={candidate === signal}
            title={SIGNAL_TITLES[candidate]}
            onClick={() => chooseSignal(candidate)}
          >
            {SIGNAL_WORDS[candidate]}
          </button>
        ))}
      </div>
      <div class="segments" role="group" aria-label="Range">
        {RANGES.map(([word, length]) => (
          <button key={word} type="button" aria-pressed={length === rangeMs} onClick={() => chooseRange(length)}>
            {word}
          </button>
        ))}
      </div>
    </div>
  );
}

function Heading({ detail }: { detail: ServiceDetail }) {
  const { summary, at } = detail;
  const parts = [
    summary.environment,
    summary.runtime,
    summary.versions[0] ?? '',
    `${summary.instances} instance${summary.instances === 1 ? '' : 's'}`,
    `last sample ${formatAgo(summary.lastSampleAt, at)}`,
  ];
  return (
    <header class="page-head">
      <p class="crumbs">
        <a href="/">Fleet</a>
      </p>
      <h1>
        {summary.service} <VerdictBadge verdict={summary.judgement?.verdict ?? null} />
      </h1>
      <p class="muted">{parts.filter((part) => part !== '').join(' · ')}</p>
    </header>
  );
}

function IncidentBox({ detail, canAct }: { detail: ServiceDetail; canAct: boolean }) {
  const current = detail.incidents.find(({ id }) => id === detail.summary.incident?.id);
  const past = detail.incidents.filter((incident) => incident !== current);
  if (detail.incidents.length === 0) return null;
  return (
    <section class="card incident-box" aria-label="Incidents">
      {current !== undefined && (
        <>
          <div class="incident-line">
            <StateBadge state={current.state} />
            <a href={incidentPath(current.id)}>Incident {current.id}</a>
            <span class="muted">opened {formatAgo(current.openedAt, detail.at)}</span>
          </div>
          <IncidentActions incident={current} now={detail.at} canAct={canAct} />
        </>
      )}
      {past.length > 0 && (
        <ul class="past">
          {past.slice(0, 5).map((incident) => (
            <li key={incident.id}>
              <StateBadge state={incident.state} /> <a href={incidentPath(incident.id)}>{formatMoment(incident.openedAt, detail.at)}</a>{' '}
              <span class="muted">{incident.note}</span>
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}

/** The shortest range that holds all there is, a day at most: a young service fills its chart. */
function fittingRange({ at, lifetimes }: ServiceDetail): number {
  const age = at - Math.min(at, ...lifetimes.map(({ startedAt }) => startedAt));
  return RANGES.map(([, length]) => length).find((length) => length >= age && length <= DAY) ?? DAY;
}

const preferred = (judgement: Judgement | null): Signal => judgement?.signal ?? 'anon';

export function ServiceView({ environment, service, canAct }: { environment: string; service: string; canAct: boolean }) {
  const path = servicePath(environment, service);
  const [range, setRange] = useState<number | null>(null);
  const rangeMs = range ?? DAY;
  const [chosen, setChosen] = useState<Signal | null>(null);
  const [now, setNow] = useState<number | null>(null);
  const query = now === null ? null : rangeQuery(now, rangeMs);
  const detail = usePolled<ServiceDetail>(query === null ? path : `${path}?${query}`);
  const [kept, keep] = useState<ServiceDetail | null>(null);
  const shown = detail.data ?? kept;
  if (detail.data !== null && detail.data !== kept) {
    keep(detail.data);
    setNow(detail.data.at);
    if (range === null) setRange(fittingRange(detail.data));
  }
  const signal = chosen ?? preferred(shown?.summary.judgement ?? null);
  const curves = usePolled<Curves>(query === null ? null : `${path}/curves?signal=${signal}&${query}`);
  const [keptCurves, keepCurves] = useState<Curves | null>(null);
  if (curves.data !== null && curves.data !== keptCurves) keepCurves(curves.data);
  const drawn = curves.data ?? keptCurves;

  if (shown === null) return detail.error === null ? <Loading /> : <Failure error={detail.error} retry={detail.refresh} />;
  const { judgement } = shown.summary;
  return (
    <>
      <Stale error={detail.error ?? curves.error} />
      <Heading detail={shown} />
      <JudgementFacts judgement={judgement} now={shown.at} />
      <IncidentBox detail={shown} canAct={canAct} />
      <section class="card chart-card" aria-label="Memory">
        <Chooser signal={signal} rangeMs={rangeMs} available={drawn?.available ?? []} chooseSignal={setChosen} chooseRange={setRange} />
        {drawn === null ? <Loading /> : <CurveChart curves={drawn} detail={shown} />}
        <Thoughts history={shown.history} now={shown.at} />
      </section>
      <InstanceTable judgements={shown.judgements} now={shown.at} />
      <LifetimeTable lifetimes={shown.lifetimes} now={shown.at} />
      <SqlSnippet sql={shown.sql} />
    </>
  );
}
