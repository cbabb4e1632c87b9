/**
 * The HTTP frame both gateway and console register their routes on: probes, metrics, bounded bodies, timeouts,
 * JSON errors, and a close that ends in time. One server carries both in embedded mode.
 */
import Fastify, {
  LogController,
  type FastifyBaseLogger,
  type FastifyError,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
} from 'fastify';
import type { Auth } from './auth.ts';
import { LeaklineError, type ErrorCode } from './errors.ts';
import { BodyBudget, inflateBody } from './http-body.ts';
import type { Logger } from './log.ts';
import type { Metrics } from './metrics.ts';
import type { Readiness } from './readiness.ts';

export interface HttpServerOptions {
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly auth: Auth;
  readonly maxBodyBytes: number;
  readonly maxInflatedBytes: number;
  readonly ready: () => Promise<Readiness> | Readiness;
  /** A request, body included, has to be here within this time. */
  readonly requestTimeoutMs?: number;
  /** A connection that says nothing for this long is closed. */
  readonly idleTimeoutMs?: number;
  /** Requests still running this long after close() are cut off. */
  readonly closeTimeoutMs?: number;
}

export interface HttpServer {
  readonly app: FastifyInstance;
  /** HOST:PORT → the URL it listens on. Throws LKL_ERR_CONFIG off loopback without tokens, or when the address cannot be had. */
  readonly listen: (address: string) => Promise<string>;
  readonly close: () => Promise<void>;
}

/** Bodies held in memory by all requests together, in multiples of the largest one. */
const BODY_BUDGET_FACTOR = 4;
const RETRY_AFTER_SECONDS = '2';

const STATUS: Partial<Record<ErrorCode, number>> = {
  LKL_ERR_USAGE: 400,
  LKL_ERR_BATCH_MALFORMED: 400,
  LKL_ERR_BATCH_VERSION: 400,
  LKL_ERR_BATCH_TOO_LARGE: 413,
  LKL_ERR_BACKUP: 400,
  LKL_ERR_SQL_REFUSED: 400,
  LKL_ERR_UNAUTHORIZED: 401,
  LKL_ERR_HISTORY_FILE: 400,
  LKL_ERR_TARGET_FORBIDDEN: 400,
  LKL_ERR_REQUEST_MALFORMED: 400,
  LKL_ERR_REQUEST_TOO_LARGE: 413,
  LKL_ERR_MEDIA_TYPE: 415,
  LKL_ERR_FORBIDDEN: 403,
  LKL_ERR_NOT_FOUND: 404,
};

const CODE_OF_STATUS: Readonly<Record<number, ErrorCode>> = {
  404: 'LKL_ERR_NOT_FOUND',
  413: 'LKL_ERR_REQUEST_TOO_LARGE',
  415: 'LKL_ERR_MEDIA_TYPE',
};

const httpStatus = (error: LeaklineError): number => STATUS[error.code] ?? (error.retry ? 503 : 500);

/** What fastify itself refuses (no route, bad JSON, a schema) in our codes; anything unforeseen tells the outside nothing. */
function asLeaklineError(error: FastifyError | LeaklineError): LeaklineError {
  if (error instanceof LeaklineError) return error;
  const status = error.statusCode ?? 500;
  if (status >= 400 && status < 500) {
    return new LeaklineError(CODE_OF_STATUS[status] ?? 'LKL_ERR_REQUEST_MALFORMED', error.message, { cause: error });
  }
  if (status === 503) return new LeaklineError('LKL_ERR_BUSY', 'the server is stopping: send again later', { cause: error });
  return new LeaklineError('LKL_ERR_INTERNAL', 'internal error: the log says more', { cause: error });
}

export interface ExplainedError {
  readonly status: number;
  readonly code: ErrorCode;
  readonly message: string;
}

/** What to answer on a failure. Sets the headers that belong to it and logs what is our fault. */
export function explainError(failure: FastifyError | LeaklineError, request: FastifyRequest, reply: FastifyReply): ExplainedError {
  const error = asLeaklineError(failure);
  const status = httpStatus(error);
  // The pattern, not the URL: a query may hold what no log should.
  if (status === 500) request.log.error({ err: failure, method: request.method, route: request.routeOptions.url }, 'request failed');
  if (error.retry) void reply.header('retry-after', RETRY_AFTER_SECONDS);
  if (status === 401) void reply.header('www-authenticate', 'Bearer realm="leakline"');
  // The rest of a body nobody wants is not worth reading.
  if (!request.raw.complete) void reply.header('connection', 'close');
  void reply.code(status);
  return { status, code: error.code, message: error.message };
}

function answerError(failure: FastifyError | LeaklineError, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const { code, message } = explainError(failure, request, reply);
  return reply.send({ error: { code, message } });
}

function boundBodies(app: FastifyInstance, options: HttpServerOptions): void {
  const budget = new BodyBudget(BODY_BUDGET_FACTOR * options.maxInflatedBytes);
  const held = options.metrics.gauge('leakline_http_body_bytes', 'bytes of request bodies held in memory');
  app.addHook('preParsing', async (request, reply, payload) => {
    const { headers } = request;
    if (headers['content-length'] === undefined && headers['transfer-encoding'] === undefined) return payload;
    const reservation = budget.open();
    reply.raw.once('close', () => {
      reservation.release();
      held.set(budget.heldBytes);
    });
    return Promise.resolve(
      inflateBody(payload, headers['content-encoding'] ?? 'identity', options, (bytes) => {
        const fits = reservation.take(bytes);
        held.set(budget.heldBytes);
        return fits;
      }),
    );
  });
}

/**
 * Without tokens the loopback address is the only wall, and a browser on this machine stands inside it:
 * a page from elsewhere must reach us neither under a name of its own (DNS rebinding) nor by a cross-site request.
 */
function guardOpenServer(app: FastifyInstance): void {
  app.addHook('onRequest', (request, _reply, done) => {
    const site = request.headers['sec-fetch-site'];
    // Following a link from a message is a cross-site GET; only what changes something is refused.
    const changes = request.method !== 'GET' && request.method !== 'HEAD';
    if (!isLoopback(request.hostname)) {
      done(
        new LeaklineError(
          'LKL_ERR_FORBIDDEN',
          `without tokens only loopback names are served, not ${JSON.stringify(request.hostname.slice(0, 100))}: configure auth.*Tokens or auth.trustedProxyHeader`,
        ),
      );
    } else if (changes && (site === 'cross-site' || site === 'same-site')) {
      done(
        new LeaklineError('LKL_ERR_FORBIDDEN', 'requests from pages of other sites are refused: configure auth.*Tokens to allow callers'),
      );
    } else done();
  });
}

function countRequests(app: FastifyInstance, metrics: Metrics): void {
  const total = metrics.counter('leakline_http_requests_total', 'HTTP requests answered', ['method', 'route', 'status']);
  const seconds = metrics.histogram('leakline_http_request_seconds', 'time from the head of a request to the end of its answer', ['route']);
  app.addHook('onResponse', (request, reply, done) => {
    const route = request.routeOptions.url ?? 'none';
    total.inc({ method: request.method, route, status: reply.statusCode });
    seconds.observe({ route }, reply.elapsedTime / 1000);
    done();
  });
}

function addProbes(app: FastifyInstance, options: HttpServerOptions): void {
  app.get('/healthz', () => ({ ok: true }));
  app.get('/readyz', async (_request, reply) => {
    const readiness = await options.ready();
    return reply.code(readiness.ok ? 200 : 503).send(readiness);
  });
  app.get('/metrics', async (_request, reply) => {
    const text = await options.metrics.registry.metrics();
    return reply.type(options.metrics.registry.contentType).send(text);
  });
}

const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|\[?::1\]?)$/i;

const isLoopback = (host: string): boolean => LOOPBACK.test(host);

function parseAddress(address: string): { host: string; port: number } {
  const separator = address.lastIndexOf(':');
  const port = Number(address.slice(separator + 1));
  const host = address.slice(0, separator).replace(/^\[(.*)\]$/, '$1');
  if (separator < 1 || host === '' || !Number.isInteger(port) || port < 0 || port > 65_535) {
    throw new LeaklineError('LKL_ERR_CONFIG', `listen = ${JSON.stringify(address)}: must be HOST:PORT with a port up to 65535`);
  }
  return { host, port };
}

async function listenOn(app: FastifyInstance, address: string, auth: Auth): Promise<string> {
  const { host, port } = parseAddress(address);
  if (auth.open && !isLoopback(host)) {
    throw new LeaklineError(
      'LKL_ERR_CONFIG',
      `listen = ${address} can be reached from other machines, and no token is configured: set auth.ingestTokens and auth.readerTokens, or listen on 127.0.0.1`,
    );
  }
  try {
    return await app.listen({ host, port });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (!['EADDRINUSE', 'EACCES', 'EADDRNOTAVAIL', 'ENOTFOUND', 'EAI_AGAIN'].includes(code ?? '')) throw error;
    throw new LeaklineError('LKL_ERR_CONFIG', `listen = ${address}: ${code ?? ''} (in use, not of this machine, or not allowed)`, {
      cause: error,
    });
  }
}

export function createHttpServer(options: HttpServerOptions): HttpServer {
  const { requestTimeoutMs = 30_000, idleTimeoutMs = 75_000, closeTimeoutMs = 5_000 } = options;
  const log: FastifyBaseLogger = options.log;
  const app: FastifyInstance = Fastify({
    loggerInstance: log,
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: options.maxInflatedBytes,
    requestTimeout: requestTimeoutMs,
    connectionTimeout: idleTimeoutMs,
    keepAliveTimeout: idleTimeoutMs,
    forceCloseConnections: 'idle',
    routerOptions: { maxParamLength: 500 },
    // Node looks for overdue requests this often; its default of 30 s would double our timeout.
    http: { headersTimeout: requestTimeoutMs, connectionsCheckingInterval: Math.max(100, requestTimeoutMs / 10) },
  });
  app.decorateRequest('principal', null);
  app.setErrorHandler(answerError);
  app.setNotFoundHandler((request, reply) =>
    answerError(new LeaklineError('LKL_ERR_NOT_FOUND', `nothing answers ${request.method} on this path`), request, reply),
  );
  app.addHook('onSend', (_request, reply, _payload, done) => {
    void reply.header('x-content-type-options', 'nosniff');
    done();
  });
  if (options.auth.open) guardOpenServer(app);
  countRequests(app, options.metrics);
  boundBodies(app, options);
  addProbes(app, options);

  const close = async () => {
    const cutOff = setTimeout(() => app.server.closeAllConnections(), closeTimeoutMs);
    await app.close().finally(() => clearTimeout(cutOff));
  };
  return { app, listen: (address) => listenOn(app, address, options.auth), close };
}
