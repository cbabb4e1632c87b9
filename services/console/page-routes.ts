/** The page itself: one HTML shell for every address of the page, and the files esbuild made beside it. */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import fastifyStatic from '@fastify/static';
import type { FastifyInstance } from 'fastify';

const PAGE_ROUTES = ['/', '/services/*', '/incidents', '/incidents/*', '/sql'];

const NOT_BUILT = `<!doctype html><meta charset="utf-8"><title>Leakline</title>
<p>The API answers, but the page is not built: run <code>npm run build</code> and reload.</p>`;

/** Beside the compiled code, or in dist/ when the sources run. */
export function findAssets(): string {
  const candidates = [join(import.meta.dirname, 'assets'), join(import.meta.dirname, '../../dist/services/console/assets')];
  return candidates.find((folder) => existsSync(join(folder, 'index.html'))) ?? candidates[0]!;
}

export async function registerPage(scope: FastifyInstance, assetsDir: string): Promise<void> {
  // Names carry no hash: browsers ask each time and get a 304.
  await scope.register(fastifyStatic, { root: assetsDir, prefix: '/assets/', index: false, maxAge: 0 });
  for (const url of PAGE_ROUTES) {
    scope.get(url, { schema: { hide: true } }, async (_request, reply) => {
      const shell = await readFile(join(assetsDir, 'index.html'), 'utf8').catch(() => NOT_BUILT);
      return reply.type('text/html; charset=utf-8').header('cache-control', 'no-cache').send(shell);
    });
  }
}
