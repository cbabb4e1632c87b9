/** Who is looking, signing in with a token, and signing out. */
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import type { Auth } from '../../shared/auth.ts';
import { LeaklineError } from '../../shared/errors.ts';
import { errorSchema, sessionSchema, type Session } from './api-schema.ts';
import { authenticateWithCookie, requireSameOrigin, sessionCookie } from './session.ts';

export const sessionRoutes =
  ({ auth, publicUrl }: { auth: Auth; publicUrl: string }): FastifyPluginAsyncZod =>
  async (scope) => {
    const authenticate = authenticateWithCookie(auth);
    const sameOrigin = requireSameOrigin(publicUrl);
    const answer = (principal: ReturnType<typeof authenticate>): Session => ({
      open: auth.open,
      user: principal?.name ?? null,
      roles: [...(principal?.roles ?? [])],
    });
    const isSecure = (protocol: string) => protocol === 'https' || publicUrl.startsWith('https:');

    scope.get('/session', { schema: { tags: ['session'], summary: 'Who is signed in', response: { 200: sessionSchema } } }, (request) =>
      Promise.resolve(answer(authenticate(request.headers))),
    );

    scope.post(
      '/session',
      {
        onRequest: sameOrigin,
        schema: {
          tags: ['session'],
          summary: 'Sign in: the token is kept in an HttpOnly cookie',
          body: z.object({ token: z.string().min(1).max(4096) }),
          response: { 200: sessionSchema, '4xx': errorSchema },
        },
      },
      async (request, reply) => {
        const { token } = request.body;
        const principal = auth.authenticateToken(token);
        if (principal === null) throw new LeaklineError('LKL_ERR_UNAUTHORIZED', 'this token is not known here');
        if (!principal.roles.has('reader')) {
          throw new LeaklineError('LKL_ERR_FORBIDDEN', 'this token may send samples but not read: sign in with a reader or operator token');
        }
        void reply.header('set-cookie', sessionCookie(token, isSecure(request.protocol)));
        return Promise.resolve(answer(principal));
      },
    );

    scope.delete(
      '/session',
      { onRequest: sameOrigin, schema: { tags: ['session'], summary: 'Sign out', response: { 200: sessionSchema, '4xx': errorSchema } } },
      (request, reply) => {
        void reply.header('set-cookie', sessionCookie('', isSecure(request.protocol)));
        return Promise.resolve(answer(auth.authenticate(request.headers)));
      },
    );
    return Promise.resolve();
  };
