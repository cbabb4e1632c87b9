/** How the pipeline itself is doing: what `leakline status` prints and the head of the page shows. */
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import type { Clock } from '../../shared/clock.ts';
import { errorSchema, statusSchema, type Status } from './api-schema.ts';
import type { ConsoleReads } from './console-reads.ts';
import { diskProblems, ingestionProblems, ingestionStatus } from './ingestion-status.ts';

/** Longer than any sane sampling interval and evaluation schedule. */
const SILENT_AGENT_MS = 5 * 60_000;
const STALE_EVALUATION_MS = 30 * 60_000;
/** Twice what the first verdict on a service takes. */
const FIRST_VERDICT_MS = 10 * 60_000;

const minutes = (ms: number): string => `${Math.round(ms / 60_000)} min`;

const isSilent = (at: number, { lastReceivedAt }: Status['agents'][number]) => at - lastReceivedAt > SILENT_AGENT_MS;

interface Evaluated {
  readonly at: number;
  readonly agents: Status['agents'];
  /** First arrival within the window that is looked at; Infinity: none. */
  readonly firstReceivedAt: number;
  readonly lastEvaluationAt: number | null;
  readonly services: number;
}

function problemsOf({ at, agents, firstReceivedAt, lastEvaluationAt, services }: Evaluated): string[] {
  const silent = agents.filter((agent) => isSilent(at, agent));
  const problems = silent.map(({ agent, lastReceivedAt }) => `agent ${agent} has been silent for ${minutes(at - lastReceivedAt)}`);
  if (agents.length === 0) problems.push('no agent has sent anything lately');
  if (services > 0 && lastEvaluationAt === null && at - firstReceivedAt > FIRST_VERDICT_MS) {
    problems.push('the detector has not judged anything yet');
  }
  if (lastEvaluationAt !== null && at - lastEvaluationAt > STALE_EVALUATION_MS) {
    problems.push(`the detector has not judged anything for ${minutes(at - lastEvaluationAt)}`);
  }
  return problems;
}

const maxOrNull = (values: readonly number[]): number | null =>
  values.length === 0 ? null : values.reduce((highest, value) => Math.max(highest, value));

export const statusRoutes =
  ({ reads, clock }: { reads: ConsoleReads; clock: Clock }): FastifyPluginAsyncZod =>
  async (scope) => {
    scope.get(
      '/status',
      {
        schema: {
          tags: ['status'],
          summary: 'Agents, lag, ingestion within the last hour, last evaluation, open incidents',
          response: { 200: statusSchema, '4xx': errorSchema },
        },
      },
      async () => {
        const at = clock.now();
        const [fleet, seen, judgements, incidents, figures, disk] = await Promise.all([
          reads.fleet(),
          reads.agents(),
          reads.judgements(),
          reads.incidents(),
          reads.ingestion(),
          reads.disk(),
        ]);
        const agents = seen.map(({ agent, hosts, processes, samplesPerSecond, lagMs, lastReceivedAt }) => ({
          agent,
          hosts: [...hosts],
          processes,
          samplesPerSecond,
          lagSeconds: lagMs / 1000,
          lastReceivedAt,
        }));
        const lastSampleAt = maxOrNull(fleet.rows.map((row) => row.lastSeen));
        const lastEvaluationAt = maxOrNull(judgements.map((judgement) => judgement.at));
        const openIncidents = incidents
          .filter(({ state }) => state === 'open' || state === 'acknowledged' || state === 'silenced')
          .map(({ id, service, environment, state, openedAt, judgement: { slopeBytesPerHour, exhaustsAt } }) => ({
            id,
            service,
            environment,
            state,
            openedAt,
            slopeBytesPerHour,
            exhaustsAt,
          }));
        const ingestion = ingestionStatus(figures);
        const problems = [
          ...problemsOf({
            at,
            agents,
            firstReceivedAt: seen.reduce((first, { firstReceivedAt }) => Math.min(first, firstReceivedAt), Infinity),
            lastEvaluationAt,
            services: fleet.rows.length,
          }),
          ...ingestionProblems(at, ingestion),
          ...diskProblems(disk),
        ];
        return {
          healthy: problems.length === 0,
          at,
          problems,
          lastSampleAt,
          lagSeconds: lastSampleAt === null ? null : Math.max(0, (at - lastSampleAt) / 1000),
          lastEvaluationAt,
          services: fleet.rows.length,
          ...ingestion,
          agents,
          silentAgents: agents.filter((agent) => isSilent(at, agent)).map(({ agent, lastReceivedAt }) => ({ agent, lastReceivedAt })),
          openIncidents,
        };
      },
    );
    return Promise.resolve();
  };
