/** POST /v1/metrics: OTLP over HTTP, protobuf or JSON, answered as the OTLP specification says (partial success, google.rpc.Status). */
import type { FastifyError, FastifyInstance } from 'fastify';
import type { LeaklineError } from '../../../shared/errors.ts';
import { explainError } from '../../../shared/http-server.ts';
import type { Batch } from '../../../shared/sample.ts';
import { decodeBatch, encodeBatch } from '../../../shared/wire.ts';
import type { SamplesRouteDeps } from '../samples-route.ts';
import { batchesOf, type OtlpBatch } from './batches.ts';
import { decodeJson } from './json.ts';
import { isMapped } from './mapping.ts';
import { PointCollector } from './points.ts';
import { decodeProtobuf, encodeProtobufResponse, encodeProtobufStatus } from './protobuf.ts';

export const PROTOBUF = 'application/x-protobuf';

/** HTTP status → google.rpc.Code. */
const RPC_CODES: Readonly<Record<number, number>> = { 401: 16, 403: 7, 404: 5, 413: 8, 500: 13, 503: 14 };
const RPC_INVALID_ARGUMENT = 3;

const ADVICE: Readonly<Record<string, string>> = {
  not_cumulative: 'set OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE=cumulative',
};

/** Data points behind the rows that decoding left out. Order is kept, so one walk along both finds them. */
function pointsOfRefusedRows(sent: OtlpBatch, kept: Batch): number {
  const lifetimeAt = ({ processes, samples }: Batch, row: number) => processes.lifetime[samples.process[row] ?? -1];
  let next = 0;
  let points = 0;
  sent.batch.samples.time.forEach((time, row) => {
    if (kept.samples.time[next] === time && lifetimeAt(kept, next) === lifetimeAt(sent.batch, row)) next += 1;
    else points += sent.pointsOfRow[row] ?? 0;
  });
  return points;
}

/** Decodes, publishes and counts one request; says how many data points were refused and why. */
async function take(
  body: Buffer,
  isProtobuf: boolean,
  team: string,
  deps: SamplesRouteDeps,
): Promise<{ rejected: number; message: string }> {
  const collector = new PointCollector(isMapped);
  (isProtobuf ? decodeProtobuf : decodeJson)(body, collector);
  const { batches, refused, withoutMemory } = batchesOf(collector.resources);
  const reasons = new Map<string, number>(refused);
  const decoded = batches.map((sent) => {
    const { batch, problems } = decodeBatch(encodeBatch(sent.batch), deps.arrival(), () => deps.admitting(team));
    for (const [reason, count] of problems.refused) reasons.set(reason, (reasons.get(reason) ?? 0) + count);
    return {
      batch,
      problems,
      refusedPoints: pointsOfRefusedRows(sent, batch),
      sentPoints: sent.pointsOfRow.reduce((sum, points) => sum + points, 0),
    };
  });
  const messages = decoded
    .filter(({ batch }) => batch.samples.time.length > 0)
    .map(({ batch }) => ({ key: batch.agent, value: encodeBatch(batch) }));
  if (messages.length > 0) await deps.publish(messages);

  let rejected = [...refused.values()].reduce((sum, count) => sum + count, 0);
  for (const { batch, problems, refusedPoints, sentPoints } of decoded) {
    deps.intake.accepted('otlp', team, batch.samples.time.length);
    deps.intake.problems('otlp', problems);
    deps.intake.otlpPoints('mapped', sentPoints - refusedPoints);
    deps.intake.otlpPoints('refused_with_row', refusedPoints);
    rejected += refusedPoints;
  }
  for (const [reason, count] of refused) deps.intake.otlpPoints(reason, count);
  deps.intake.otlpPoints('without_memory', withoutMemory);
  const message = [...reasons].map(
    ([reason, count]) => `${count} × ${reason}${ADVICE[reason] === undefined ? '' : ` (${ADVICE[reason]})`}`,
  );
  return { rejected, message: message.join(', ') };
}

export function registerOtlp(scope: FastifyInstance, deps: SamplesRouteDeps): void {
  const isProtobuf = (contentType: string | undefined) => contentType?.trim().toLowerCase().startsWith(PROTOBUF) === true;

  scope.post(
    '/v1/metrics',
    {
      errorHandler: (failure: FastifyError | LeaklineError, request, reply) => {
        const { status, code, message } = explainError(failure, request, reply);
        const rpcCode = RPC_CODES[status] ?? RPC_INVALID_ARGUMENT;
        if (isProtobuf(request.headers['content-type'])) {
          void reply.type(PROTOBUF).send(encodeProtobufStatus(rpcCode, `${code}: ${message}`));
        } else void reply.send({ code: rpcCode, message: `${code}: ${message}`, error: { code, message } });
      },
    },
    async (request, reply) => {
      const body = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0);
      const asProtobuf = isProtobuf(request.headers['content-type']);
      const { rejected, message } = await take(body, asProtobuf, request.principal?.name ?? '', deps);
      if (asProtobuf) return reply.type(PROTOBUF).send(encodeProtobufResponse(rejected, message));
      return rejected === 0 ? {} : { partialSuccess: { rejectedDataPoints: String(rejected), errorMessage: message } };
    },
  );
}
