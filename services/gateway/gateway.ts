/** The way in over HTTP: agents' batches and OTLP metrics → the bus. It answers 2xx only once the bus has them for good. */
import type { FastifyInstance } from 'fastify';
import { requireRole, type Auth } from '../../shared/auth.ts';
import type { Bus } from '../../shared/bus/bus.ts';
import type { Clock } from '../../shared/clock.ts';
import type { Logger } from '../../shared/log.ts';
import type { Metrics } from '../../shared/metrics.ts';
import { SeriesLimit, type SeriesLimits } from '../../shared/series-limit.ts';
import { createIntake } from './intake.ts';
import { PROTOBUF, registerOtlp } from './otlp/otlp-route.ts';
import { createPublisher } from './publisher.ts';
import { registerSamples } from './samples-route.ts';

export interface GatewayDeps {
  readonly bus: Pick<Bus, 'publish'>;
  readonly auth: Auth;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly clock: Clock;
  /** Samples later or older than this on arrival are refused. */
  readonly maxFutureMs: number;
  readonly maxAgeMs: number;
  /** Of one token. */
  readonly limits: SeriesLimits;
  readonly publishTimeoutMs?: number;
}

/** Registers its routes in a scope of their own: other routes of the same server keep their body parsers and hooks. */
export async function registerGateway(app: FastifyInstance, deps: GatewayDeps): Promise<void> {
  const { bus, log, metrics, clock, maxFutureMs, maxAgeMs, publishTimeoutMs = 15_000 } = deps;
  const limit = new SeriesLimit(deps.limits);
  const routes = {
    publish: createPublisher({ bus, log, metrics, timeoutMs: publishTimeoutMs }),
    intake: createIntake(metrics),
    arrival: () => ({ at: clock.now(), maxFutureMs, maxAgeMs }),
    admitting: (team: string) => limit.admitting(team, clock.now()),
  };
  await app.register((scope, _options, done) => {
    scope.addHook('onRequest', requireRole('ingest', deps.auth.authenticate));
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser('application/json', { parseAs: 'buffer' }, (_request, body, parsed) => parsed(null, body));
    registerSamples(scope, routes);
    void scope.register((otlp, _otlpOptions, otlpDone) => {
      otlp.addContentTypeParser(PROTOBUF, { parseAs: 'buffer' }, (_request, body, parsed) => parsed(null, body));
      registerOtlp(otlp, routes);
      otlpDone();
    });
    done();
  });
}
