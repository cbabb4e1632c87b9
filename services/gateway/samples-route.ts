/** POST /v1/samples: one encoded batch of an agent → one message on the bus. */
import type { FastifyInstance } from 'fastify';
import { LeaklineError } from '../../shared/errors.ts';
import { decodeBatch, encodeBatch, type Admit, type Arrival } from '../../shared/wire.ts';
import type { Intake } from './intake.ts';
import type { Publish } from './publisher.ts';

export interface SamplesRouteDeps {
  readonly publish: Publish;
  readonly intake: Intake;
  /** What times a batch that arrives now may carry. */
  readonly arrival: () => Arrival;
  /** Which processes whoever has the token of a team may name now. */
  readonly admitting: (team: string) => Admit;
}

const counts = (map: ReadonlyMap<string, number>, name: string) => [...map].map(([key, count]) => ({ [name]: key, count }));

export function registerSamples(scope: FastifyInstance, { publish, intake, arrival, admitting }: SamplesRouteDeps): void {
  scope.post('/v1/samples', async (request) => {
    if (!Buffer.isBuffer(request.body)) throw new LeaklineError('LKL_ERR_BATCH_MALFORMED', 'request has no body: send one batch as JSON');
    const team = request.principal?.name ?? '';
    const { batch, problems } = decodeBatch(request.body, arrival(), () => admitting(team));
    const isClean = problems.refused.size + problems.cleared.size + problems.normalised.size === 0;
    // What was refused here must not be met and counted again behind the bus.
    const value = isClean ? request.body : encodeBatch(batch);
    await publish([{ key: batch.agent, value }]);
    intake.accepted('agent', team, batch.samples.time.length);
    intake.problems('agent', problems);
    return {
      accepted: batch.samples.time.length,
      refused: counts(problems.refused, 'reason'),
      cleared: counts(problems.cleared, 'field'),
      normalised: counts(problems.normalised, 'field'),
    };
  });
}
