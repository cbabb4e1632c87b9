/** What Leakline says about itself, in Prometheus' format. docs/metrics.md lists every name (a test compares). */
import { Counter, Gauge, Histogram, Registry } from 'prom-client';

/** Build one per process in main.ts and pass it down; tests build their own. */
export class Metrics {
  readonly registry = new Registry();

  counter<Label extends string = never>(name: `leakline_${string}_total`, help: string, labelNames: readonly Label[] = []): Counter<Label> {
    return (
      (this.registry.getSingleMetric(name) as Counter<Label> | undefined) ??
      new Counter({ name, help, labelNames, registers: [this.registry] })
    );
  }

  gauge<Label extends string = never>(name: `leakline_${string}`, help: string, labelNames: readonly Label[] = []): Gauge<Label> {
    return (
      (this.registry.getSingleMetric(name) as Gauge<Label> | undefined) ?? new Gauge({ name, help, labelNames, registers: [this.registry] })
    );
  }

  histogram<Label extends string = never>(
    name: `leakline_${string}_${'seconds' | 'rows'}`,
    help: string,
    labelNames: readonly Label[] = [],
    buckets: number[] = [0.001, 0.005, 0.02, 0.1, 0.5, 2, 10, 60],
  ): Histogram<Label> {
    return (
      (this.registry.getSingleMetric(name) as Histogram<Label> | undefined) ??
      new Histogram({ name, help, labelNames, buckets, registers: [this.registry] })
    );
  }
}
