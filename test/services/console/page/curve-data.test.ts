import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ApiJudgement, Curves, ServiceDetail } from '../../../../services/console/api-schema.ts';
import { chartModel, joinCurves } from '../../../../services/console/page/curve-data.ts';

const STEP = 60_000;
const HOUR = 3_600_000;

const curve = (instance: string, time: number[], values: number[]): Curves['curves'][number] => ({
  instance,
  version: 'v1',
  lifetime: instance,
  time,
  values,
});

describe('curves on one axis', () => {
  it('keep every value at its moment, whatever the others do', () => {
    const someCurve = fc
      .uniqueArray(fc.integer({ min: 0, max: 500 }), { minLength: 1, maxLength: 40 })
      .map((steps) => steps.sort((a, b) => a - b))
      .chain((steps) =>
        fc.array(fc.integer({ min: 1, max: 1e9 }), { minLength: steps.length, maxLength: steps.length }).map((values) =>
          curve(
            'i',
            steps.map((step) => step * STEP),
            values,
          ),
        ),
      );
    fc.assert(
      fc.property(fc.array(someCurve, { minLength: 1, maxLength: 5 }), (curves) => {
        const { time, values } = joinCurves(curves, STEP);
        expect(time).toEqual([...time].sort((a, b) => a - b));
        expect(new Set(time).size).toBe(time.length);
        curves.forEach((one, index) => {
          const column = values[index] ?? [];
          const found = time.flatMap((at, row) => (column[row] === null || column[row] === undefined ? [] : [[at * 1000, column[row]]]));
          expect(found).toEqual(one.time.map((at, row) => [at, one.values[row]]));
        });
      }),
      { numRuns: 60 },
    );
  });

  it('break the line over a gap and not over moments of another curve', () => {
    const { time, values } = joinCurves([curve('a', [0, STEP, 9 * STEP], [1, 2, 3]), curve('b', [STEP / 2], [7])], STEP);
    const at = (ms: number) => values[0]?.[time.indexOf(ms / 1000)];
    expect(at(2 * STEP)).toBeNull();
    expect(at(STEP / 2)).toBeUndefined();
  });
});

describe('the chart', () => {
  const judgement = (more: Partial<ApiJudgement>): ApiJudgement => ({
    service: 's',
    environment: 'e',
    version: 'v1',
    instance: '',
    lifetime: '',
    at: 10 * HOUR,
    verdict: 'leak',
    reason: 'keeps-growing',
    explanation: '',
    kind: 'heap',
    signal: 'anon',
    slopeBytesPerHour: 10e6,
    slopeLow: 9e6,
    slopeHigh: 11e6,
    levelBytes: 200e6,
    limitBytes: 300e6,
    exhaustsAt: 20 * HOUR,
    exhaustsEarliest: 19 * HOUR,
    exhaustsLatest: 21 * HOUR,
    onsetAt: 0,
    confidence: 1,
    instances: [],
    fit: { fromTime: 0, fromBytes: 100e6, toTime: 10 * HOUR, toBytes: 200e6 },
    waitingFor: '',
    decidesBy: null,
    ...more,
  });
  const detail = (judgements: ApiJudgement[]): ServiceDetail => ({
    at: 10 * HOUR,
    summary: { judgement: judgements[0] ?? null } as ServiceDetail['summary'],
    judgements,
    history: [],
    versions: [
      { version: 'v1', firstSeenAt: 5 * HOUR, lastSeenAt: 10 * HOUR, instances: 1 },
      { version: 'v0', firstSeenAt: HOUR, lastSeenAt: 5 * HOUR, instances: 1 },
    ],
    lifetimes: [],
    incidents: [],
    sql: '',
  });
  const curves = (limitBytes: number): Curves => ({
    signal: 'anon',
    from: 0,
    to: 10 * HOUR,
    stepMs: HOUR,
    limitBytes,
    curves: [curve('a', [HOUR, 10 * HOUR], [110e6, 200e6])],
    available: ['anon'],
  });

  it('runs ahead of now towards the limit, on the slope of the fit', () => {
    const { extrapolations, xRange } = chartModel(curves(300e6), detail([judgement({})]));
    expect(extrapolations).toHaveLength(1);
    const [line] = extrapolations;
    // 35 % of what is shown lies ahead; what is shown begins 2 % before the first sample.
    const length = 9 * 1.02;
    expect(line?.toTime).toBeCloseTo((10 + 0.35 * length) * HOUR, 0);
    expect(line?.toBytes).toBeCloseTo(200e6 + 10e6 * 0.35 * length, -3);
    expect(xRange[0]).toBeCloseTo(((10 - length) * HOUR) / 1000, 3);
    expect(xRange[1] * 1000).toBeCloseTo(line?.toTime ?? 0, 0);
  });

  it('draws a limit within reach, and leaves one far above out of the range', () => {
    expect(chartModel(curves(300e6), detail([judgement({})])).limitBytes).toBe(300e6);
    const far = chartModel(curves(5e9), detail([judgement({})]));
    expect(far.limitBytes).toBe(0);
    expect(far.yRange[1]).toBeLessThan(1e9);
  });

  it('marks a deploy, and not the version that was always there', () => {
    expect(chartModel(curves(0), detail([])).marks).toEqual([{ kind: 'deploy', at: 5 * HOUR, label: 'v1' }]);
  });

  it('draws no line through what is steady or of another signal', () => {
    expect(chartModel(curves(0), detail([judgement({ verdict: 'steady' })])).fits).toEqual([]);
    expect(chartModel(curves(0), detail([judgement({ signal: 'heap_live' })])).fits).toEqual([]);
  });

  it('has a range without a single value', () => {
    const { yRange, xRange } = chartModel({ ...curves(0), curves: [] }, detail([]));
    expect([...yRange, ...xRange].every(Number.isFinite)).toBe(true);
  });
});
