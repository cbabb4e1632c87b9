/** Dead letters: what could not be taken, why, and to send it again once that is mended. */
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import type { Clock } from '../../shared/clock.ts';
import { LeaklineError } from '../../shared/errors.ts';
import {
  listDeadLetters,
  readDeadLetters,
  recordReplays,
  type DeadLetterHead,
  type StoredDeadLetter,
} from '../../shared/store/dead-letters.ts';
import type { Store } from '../../shared/store/store.ts';
import { deadLetterListSchema, errorSchema, replaySchema, replayResultSchema } from './api-schema.ts';

/** Puts letters back on the bus; resolves once it has them for good. Of those that cannot be taken now either: why. */
export type Replay = (letters: readonly StoredDeadLetter[]) => Promise<ReadonlyMap<string, string>>;

/** Held and published at once. */
const GROUP_BYTES = 8 * 1024 * 1024;

function groupsOf(letters: readonly DeadLetterHead[]): string[][] {
  const groups: string[][] = [];
  let bytes = Infinity;
  for (const { id, payloadBytes } of letters) {
    bytes += payloadBytes;
    if (bytes > GROUP_BYTES) {
      groups.push([]);
      bytes = payloadBytes;
    }
    groups.at(-1)?.push(id);
  }
  return groups;
}

export interface DeadLetterRouteDeps {
  readonly store: Store;
  readonly clock: Clock;
  /** undefined: this console has no bus. */
  readonly replay: Replay | undefined;
}

export const deadLetterRoutes =
  ({ store, clock }: DeadLetterRouteDeps): FastifyPluginAsyncZod =>
  async (scope) => {
    scope.get(
      '/dead-letters',
      {
        schema: {
          tags: ['dead letters'],
          summary: 'Messages that could not be taken, newest first; what they hold is in the table dead_letters',
          querystring: z.object({
            reason: z.string().max(100).default('').meta({ description: 'code or named reason; empty = all' }),
            since: z.coerce.number().int().min(0).default(0).meta({ description: 'milliseconds UTC' }),
            waiting: z.stringbool().default(false).meta({ description: 'only those never sent again' }),
            limit: z.coerce.number().int().min(1).max(10_000).default(100),
          }),
          response: { 200: deadLetterListSchema, '4xx': errorSchema },
        },
      },
      async ({ query: { reason, since, waiting, limit } }) => ({
        at: clock.now(),
        deadLetters: await listDeadLetters(store, { code: reason, since, isWaiting: waiting, limit }),
      }),
    );
    return Promise.resolve();
  };

/** Kept apart: it needs the role `operator` and a request from our own page. */
export const replayRoutes =
  ({ store, clock, replay }: DeadLetterRouteDeps): FastifyPluginAsyncZod =>
  async (scope) => {
    scope.post(
      '/dead-letters/replay',
      {
        schema: {
          tags: ['dead letters'],
          summary: 'Send dead letters again; rows that are there already do not change',
          body: replaySchema,
          response: { 200: replayResultSchema, '4xx': errorSchema },
        },
      },
      async (request) => {
        const { ids } = request.body;
        if (replay === undefined) {
          throw new LeaklineError(
            'LKL_ERR_REQUEST_MALFORMED',
            'this console has no bus to put dead letters on: start it with --kafka HOST:PORT, or ask one that has',
          );
        }
        const refusals = new Map<string, string>(ids.map((id) => [id, 'no such dead letter']));
        const heads = await listDeadLetters(store, { ids, limit: ids.length });
        for (const { id, isCut } of heads) if (isCut) refusals.set(id, 'only the beginning of the message was kept');
        for (const group of groupsOf(heads.filter(({ isCut }) => !isCut))) {
          const refused = await replay(await readDeadLetters(store, { ids: group, limit: group.length }));
          const sent = group.filter((id) => !refused.has(id));
          await recordReplays(store, sent, clock.now(), request.principal?.name ?? 'anonymous');
          for (const id of sent) refusals.delete(id);
          for (const [id, refusal] of refused) refusals.set(id, refusal);
        }
        return { results: ids.map((id) => ({ id, refusal: refusals.get(id) ?? null })) };
      },
    );
    return Promise.resolve();
  };
