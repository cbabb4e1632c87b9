/** What the demo tells: one line a program while it looks, and the findings once it is sure. Pure. */
import { bytesText } from '../../shared/bytes-text.ts';
import type { Judgement } from '../../shared/judgement.ts';
import { duration } from '../detector/explain.ts';

export interface DemoState {
  readonly elapsedMs: number;
  readonly url: string;
  readonly samples: number;
  readonly programs: readonly { readonly service: string; readonly title: string; readonly running: boolean }[];
  /** Newest pooled judgement of each service. */
  readonly judgements: ReadonlyMap<string, Judgement>;
}

const MARK = { leak: '✗', growing: '~', steady: '✓', undecided: '…' } as const;

function growth({ slopeBytesPerHour, exhaustsAt, at }: Judgement): string {
  const left = exhaustsAt === null ? '' : `, out of memory in ${duration(exhaustsAt - at)}`;
  return `${slopeBytesPerHour < 0 ? '-' : '+'}${bytesText(Math.abs(slopeBytesPerHour) / 60)}/min${left}`;
}

function line(service: string, title: string, running: boolean, judgement: Judgement | undefined): string {
  const name = service.padEnd(12);
  if (!running) return `  ! ${name} has ended (${title})`;
  if (judgement === undefined) return `  … ${name} waiting for its first samples (${title})`;
  const { verdict, levelBytes, explanation, waitingFor } = judgement;
  const level = bytesText(levelBytes).padStart(9);
  const said =
    verdict === 'leak'
      ? `${growth(judgement)} — ${explanation}`
      : verdict === 'undecided' && waitingFor !== ''
        ? `${explanation}; waiting for ${waitingFor}`
        : explanation;
  return `  ${MARK[verdict]} ${name} ${level}  ${verdict.padEnd(9)} ${said}`;
}

/** The running picture, a few lines. */
export function demoProgress({ elapsedMs, url, samples, programs, judgements }: DemoState): string {
  const head = `leakline · ${url} · ${Math.round(elapsedMs / 1000)} s · watching ${programs.filter(({ running }) => running).length} programs · ${samples.toLocaleString('en')} samples`;
  return [head, ...programs.map(({ service, title, running }) => line(service, title, running, judgements.get(service)))].join('\n');
}

/** Told once, when every program is decided. */
export function demoFindings({ elapsedMs, url, programs, judgements }: DemoState): string {
  const of = (isLeak: boolean) =>
    programs.flatMap(({ service }) => judgements.get(service) ?? []).filter(({ verdict }) => (verdict === 'leak') === isLeak);
  const leaks = of(true);
  return [
    '',
    `${leaks.length} leak${leaks.length === 1 ? '' : 's'} found after ${Math.round(elapsedMs / 1000)} s${leaks.length === 0 ? '' : ':'}`,
    ...leaks.map(
      (leak) =>
        `  ${leak.service}: ${growth(leak)}; grows in ${leak.kind === 'unknown' ? 'an unknown place' : `the ${leak.kind === 'native' ? 'native memory' : leak.kind}`}; ${Math.round(leak.confidence * 100)} % sure — ${leak.explanation}`,
    ),
    ...of(false).map(({ service, verdict, reason, explanation }) =>
      verdict === 'undecided'
        ? `not decided: ${service} — ${explanation}`
        : `healthy: ${service} is ${verdict} (${reason}) — ${explanation}`,
    ),
    '',
    `the page:  ${url}`,
    `in SQL:    npx leakline sql "SELECT service, verdict, reason, slope_bytes_per_hour, exhausts_at FROM trends WHERE instance = ''"${url.endsWith(':8420') ? '' : ` --url ${url}`}`,
    'in Slack:  export LEAKLINE_NOTIFY_SLACK_TOKEN=xoxb-… LEAKLINE_NOTIFY_SLACK_CHANNEL=C…   (docs/alerts.md)',
    'by mail:   export LEAKLINE_NOTIFY_SMTP_URL=smtp://… LEAKLINE_NOTIFY_EMAIL_FROM=… LEAKLINE_NOTIFY_EMAIL_TO=…',
    'for real:  npm start -- --no-demo',
    '',
    'still watching; Ctrl-C ends everything',
    '',
  ].join('\n');
}
