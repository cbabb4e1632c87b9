/** POST /v1/samples: one encoded batch of an agent → one message on the bus. */
import type { FastifyInstance } from 'fastify';
import { LeaklineError } from '../../shared/errors.ts';
import { decodeBatch, encodeBatch, type Arrival } from '../../shared/wire.ts';
import type { Intake } from './intake.ts';
import type { Publish } from './publisher.ts';

export interface SamplesRouteDeps {
  readonly publish: Publish;
  readonly intake: Intake;
  /** What times a batch that arrives now may carry. */
  readonly arrival: () => Arrival;
}

const counts = (map: ReadonlyMap<string, number>, name: string) => [...map].map(([key, count]) => ({ [name]: key, count }));

export function registerSamples(scope: FastifyInstance, { publish, intake, arrival }: SamplesRouteDeps): void {
  scope.post('/v1/samples', async (request) => {
    if (!Buffer.isBuffer(request.body)) throw new LeaklineError('LKL_ERR_BATCH_MALFORMED', 'request has no body: send one batch as JSON');
    const { batch, problems } = decodeBatch(request.body, arrival());
    const isClean = problems.refused.size + problems.cleared.size + problems.normalised.size === 0;
    // What was refused here must not be met and counted again behind the bus.
    const value = isClean ? request.body : encodeBatch(batch);
    await publish([{ key: batch.agent, value }]);
    intake.accepted('agent', request.principal?.name ?? '', batch.samples.time.length);
    intake.problems('agent', problems);
    return {
      accepted: batch.samples.time.length,
      refused: counts(problems.refused, 'reason'),
      cleared: counts(problems.cleared, 'field'),
      normalised: counts(problems.normalised, 'field'),
    };
  });
}
