/** A copy of the store for operators, as `leakline backup` asks for it. */
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import type { Store } from '../../shared/store/store.ts';
import { errorSchema } from './api-schema.ts';

export const backupRoute =
  (store: Store): FastifyPluginAsyncZod =>
  async (scope) => {
    scope.post(
      '/backup',
      {
        // What it holds is compressed already.
        compress: false,
        schema: {
          tags: ['status'],
          summary: 'A copy of the embedded store as of one moment: a tar for `leakline restore`, its manifest last',
          response: { 200: z.unknown(), '4xx': errorSchema },
        },
      },
      async (_request, reply) => reply.type('application/x-tar').send(await store.backup()),
    );
    return Promise.resolve();
  };
