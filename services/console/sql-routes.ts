/** Read-only SQL for people, in the format they ask for. What a statement may do is decided in shared/store/user-sql.ts. */
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import type { Store } from '../../shared/store/store.ts';
import { runUserSql } from '../../shared/store/user-sql.ts';
import { errorSchema } from './api-schema.ts';

/** Tables come with their header: a column without a name helps nobody. Any other name is one of ClickHouse's formats. */
const SHORT_NAMES: Readonly<Record<string, string>> = {
  json: 'JSON',
  csv: 'CSVWithNames',
  tsv: 'TabSeparatedWithNames',
  pretty: 'PrettyCompact',
};

/** Whatever the format, so that no answer ends early without a word. */
const CUT_HEADER = 'x-leakline-cut-at-rows';

const sqlSchema = z
  .object({
    query: z.string().min(1).max(100_000).meta({ description: 'one SELECT statement; docs/sql.md lists the views' }),
    format: z
      .string()
      .regex(/^\w{1,50}$/)
      .default('JSON')
      .meta({ description: 'JSON, CSV, TSV, pretty, or any output format of ClickHouse; a FORMAT clause in the statement wins' }),
  })
  .meta({ id: 'Sql' });

export const sqlRoutes =
  (store: Store): FastifyPluginAsyncZod =>
  async (scope) => {
    scope.post(
      '/sql',
      {
        schema: {
          tags: ['sql'],
          summary: 'Ask the history in SQL, read-only',
          body: sqlSchema,
          response: {
            200: z.string().meta({
              description: `the result in the format asked for; header ${CUT_HEADER} names the cap on rows where the answer reached it`,
            }),
            '4xx': errorSchema,
          },
        },
      },
      async (request, reply) => {
        const { query, format } = request.body;
        const gone = new AbortController();
        reply.raw.once('close', () => gone.abort(new Error('the caller is gone')));
        const answer = await runUserSql(store, query, { format: SHORT_NAMES[format.toLowerCase()] ?? format, signal: gone.signal });
        if (answer.cutAtRows !== undefined) void reply.header(CUT_HEADER, answer.cutAtRows);
        return reply.type(answer.contentType).send(answer.body as unknown as string);
      },
    );
    return Promise.resolve();
  };
