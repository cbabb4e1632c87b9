/** The chart: drawable from anything, with its labels apart and nothing of a name reaching the markup. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { renderPng } from '../../services/notifier/chart-png.ts';
import { incidentChart } from '../../services/notifier/message-chart.ts';
import { placeLabels } from '../../shared/chart-labels.ts';
import { chartSvg, type ChartModel } from '../../shared/chart.ts';
import { foldEvents } from '../../shared/incident.ts';
import { curves, event, INCIDENT, NOW } from '../services/notifier/leak.ts';

const model = (): ChartModel => incidentChart(foldEvents([event('opened', NOW)]).get(INCIDENT)!, curves(), 'checkout leaks 18 MB/h', NOW)!;

describe('a chart', () => {
  it('shows curves by name, the fitted line, the limit, when it is met, and the deploy', () => {
    const svg = chartSvg(model());
    for (const part of ['checkout-7f9c-x2', 'checkout-7f9c-zz', '18 MB/h', 'limit 512 MB', 'full ', 'v42 deployed', 'UTC', 'now'])
      expect(svg).toContain(part);
    expect(svg.match(/checkout-7f9c-x2/g)).toHaveLength(1);
  });

  it('becomes a picture at twice its size, with letters in it', async () => {
    const png = await renderPng(chartSvg(model()));
    expect([png.readUInt32BE(16), png.readUInt32BE(20)]).toEqual([1520, 800]);
    const withoutLetters = await renderPng(chartSvg(model()).replace(/<text.*?<\/text>/g, ''));
    expect(png.length - withoutLetters.length).toBeGreaterThan(10_000);
  });

  it('leaves out a limit that would flatten the curves', () => {
    expect(chartSvg({ ...model(), limitBytes: 64e9, limitLabel: 'limit 64 GB' })).not.toContain('limit 64 GB');
  });

  it('has coordinates that are numbers and escapes every name, whatever it is given', () => {
    const number = fc.oneof(fc.double({ min: 0, max: 1e12 }), fc.constant(NaN));
    fc.assert(
      fc.property(fc.string(), fc.array(number, { maxLength: 20 }), fc.option(number.filter(Number.isFinite)), (name, bytes, limit) => {
        const { from, to } = model();
        const time = bytes.map((_, index) => from + (index * (to - from)) / 20);
        const svg = chartSvg({
          ...model(),
          title: `${name}<script>`,
          curves: [{ label: name, group: name, time, bytes, emphasis: true }],
          limitBytes: limit ?? 0,
          fit: null,
        });
        expect(svg).not.toMatch(/NaN|Infinity|undefined|<script/);
      }),
    );
  });
});

describe('labels', () => {
  it('never touch and never leave the plot', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: -50, max: 500 }), { maxLength: 12 }), (heights) => {
        const labels = heights.map((y) => ({ x: 10, y, text: 'a-label', tone: '#000' }));
        const ys = placeLabels(labels, { top: 0, bottom: 300, lineHeight: 16 }).map(({ y }) => y);
        for (let index = 1; index < ys.length; index++) expect(ys[index]! - ys[index - 1]!).toBeGreaterThanOrEqual(16 - 1e-9);
        expect(Math.max(0, ...ys)).toBeLessThanOrEqual(300);
      }),
    );
  });
});
