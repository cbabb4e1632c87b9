/** The console: the page, the JSON API behind it and read-only SQL. It reads the store; all it writes are incident events by people, and that a dead letter was sent again. */
import compress from '@fastify/compress';
import swagger from '@fastify/swagger';
import type { FastifyInstance } from 'fastify';
import { jsonSchemaTransform, jsonSchemaTransformObject, validatorCompiler } from 'fastify-type-provider-zod';
import { requireRole, type Auth } from '../../shared/auth.ts';
import type { Clock } from '../../shared/clock.ts';
import type { Store } from '../../shared/store/store.ts';
import { backupRoute } from './backup-route.ts';
import { findAssets, registerPage } from './page-routes.ts';
import { createReads } from './console-reads.ts';
import { deadLetterRoutes, replayRoutes, type Replay } from './dead-letter-routes.ts';
import { incidentActionRoutes, incidentRoutes } from './incident-routes.ts';
import { authenticateWithCookie, requireSameOrigin } from './session.ts';
import { sessionRoutes } from './session-routes.ts';
import { serviceRoutes } from './service-routes.ts';
import { sqlRoutes } from './sql-routes.ts';
import { statusRoutes } from './status-routes.ts';

export interface ConsoleDeps {
  readonly store: Store;
  readonly auth: Auth;
  readonly clock: Clock;
  /** Address people reach it at; empty = whatever the browser says. */
  readonly publicUrl: string;
  readonly version: string;
  /** Puts dead letters back on the bus, where the console was given one. */
  readonly replay?: Replay;
  /** Folder of the built page; default: where the build puts it. */
  readonly assetsDir?: string;
}

const PREFIX = '/api/v1';

const SECURITY_HEADERS = {
  'content-security-policy': [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self' data:",
    "font-src 'self'",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'self'",
    "frame-ancestors 'none'",
  ].join('; '),
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
} as const;

/** Registers everything in a scope of its own, so that a gateway on the same server keeps its own rules. */
export async function registerConsole(app: FastifyInstance, deps: ConsoleDeps): Promise<void> {
  const authenticate = authenticateWithCookie(deps.auth);
  const sameOrigin = requireSameOrigin(deps.publicUrl);
  const routeDeps = { store: deps.store, reads: createReads(deps.store, deps.clock), clock: deps.clock, replay: deps.replay };

  await app.register(async (scope) => {
    scope.setValidatorCompiler(validatorCompiler);
    scope.setSerializerCompiler(() => JSON.stringify);
    scope.addHook('onRequest', (_request, reply, done) => {
      void reply.headers(SECURITY_HEADERS);
      done();
    });
    await scope.register(compress, { global: true, threshold: 1024 });
    await scope.register(swagger, {
      openapi: {
        openapi: '3.1.0',
        info: {
          title: 'Leakline console',
          version: deps.version,
          description: 'What the page shows, for programs. Times are milliseconds UTC.',
        },
        components: { securitySchemes: { token: { type: 'http', scheme: 'bearer' } } },
        security: [{ token: [] }],
      },
      transform: jsonSchemaTransform,
      transformObject: jsonSchemaTransformObject,
    });

    await scope.register(sessionRoutes(deps), { prefix: PREFIX });
    await scope.register(
      async (reading) => {
        reading.addHook('onRequest', requireRole('reader', authenticate));
        reading.addHook('onRequest', (_request, reply, done) => {
          void reply.header('cache-control', 'no-store');
          done();
        });
        await reading.register(statusRoutes(routeDeps));
        await reading.register(serviceRoutes(routeDeps));
        await reading.register(incidentRoutes(routeDeps));
        await reading.register(deadLetterRoutes(routeDeps));
        await reading.register(async (asking) => {
          asking.addHook('onRequest', sameOrigin);
          await asking.register(sqlRoutes(deps.store));
        });
      },
      { prefix: PREFIX },
    );
    await scope.register(
      async (acting) => {
        acting.addHook('onRequest', requireRole('operator', authenticate));
        acting.addHook('onRequest', sameOrigin);
        await acting.register(incidentActionRoutes(routeDeps));
        await acting.register(replayRoutes(routeDeps));
        await acting.register(backupRoute(deps.store));
      },
      { prefix: PREFIX },
    );
    scope.get('/api/openapi.json', { schema: { hide: true } }, () => scope.swagger());
    await registerPage(scope, deps.assetsDir ?? findAssets());
  });
}
