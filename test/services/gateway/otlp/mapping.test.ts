import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { decodeJson } from '../../../../services/gateway/otlp/json.ts';
import { DERIVATIONS, isMapped, RULES } from '../../../../services/gateway/otlp/mapping.ts';
import { PointCollector } from '../../../../services/gateway/otlp/points.ts';
import { rowsOf } from '../../../../services/gateway/otlp/rows.ts';
import { METRIC_NAMES } from '../../../../shared/sample.ts';
import { NOW } from '../harness.ts';
import { gauge, histogram, request, resourceOf, sum } from './payload.ts';

function rows(...metrics: object[]) {
  const collector = new PointCollector(isMapped);
  decodeJson(Buffer.from(request(resourceOf({ 'service.name': 'a' }, metrics))), collector);
  return rowsOf(collector.resources[0]?.points ?? []);
}

const columns = (...metrics: object[]) => Object.fromEntries(rows(...metrics).rows[0]?.values ?? []);

const pool = (name: string, value: number, type: string, poolName: string) =>
  sum(name, value, { attributes: { 'jvm.memory.type': type, 'jvm.memory.pool.name': poolName } });
const collections = (action: string, count: number, seconds: number) =>
  histogram('jvm.gc.duration', count, seconds, { attributes: { 'jvm.gc.action': action, 'jvm.gc.name': 'G1' } });

describe('OTLP mapping', () => {
  it('jvm: sums pools by type, counts collections by action', () => {
    expect(
      columns(
        pool('jvm.memory.used', 100, 'heap', 'Eden'),
        pool('jvm.memory.used', 40, 'heap', 'Old'),
        pool('jvm.memory.used', 7, 'non_heap', 'Metaspace'),
        pool('jvm.memory.committed', 300, 'heap', 'Old'),
        pool('jvm.memory.limit', 500, 'heap', 'Old'),
        pool('jvm.memory.used_after_last_gc', 0, 'heap', 'Eden'),
        pool('jvm.memory.used_after_last_gc', 30, 'heap', 'Old'),
        sum('jvm.buffer.memory.used', 5, { attributes: { 'jvm.buffer.pool.name': 'direct' } }),
        sum('jvm.buffer.memory.usage', 5, { attributes: { 'jvm.buffer.pool.name': 'direct' } }),
        collections('end of minor GC', 10, 0.5),
        collections('end of major GC', 2, 1.5),
        collections('end of GC cycle', 3, 60),
        sum('jvm.thread.count', 4, { attributes: { 'jvm.thread.daemon': true } }, '{thread}'),
        sum('jvm.thread.count', 3, { attributes: { 'jvm.thread.daemon': false } }, '{thread}'),
      ),
    ).toEqual({
      heap_used: 140,
      heap_live: 30,
      heap_committed: 300,
      heap_limit: 500,
      external: 12,
      gc_count: 15,
      gc_full_count: 2,
      gc_pause_seconds: 2,
      threads: 7,
    });
  });

  it('process: CPU modes without waiting; of two names for one thing only the first', () => {
    const mode = (name: string, value: number) => sum('process.cpu.time', value, { attributes: { 'cpu.mode': name } }, 's');
    expect(
      columns(
        sum('process.memory.usage', 1_000),
        sum('dotnet.process.memory.working_set', 1_001),
        mode('user', 3),
        mode('system', 1),
        mode('wait', 9),
        sum('process.open_file_descriptor.count', 12, {}, '{count}'),
        sum('process.unix.file_descriptor.count', 12, {}, '{file_descriptor}'),
      ),
    ).toEqual({ rss: 1_000, cpu_seconds: 4, open_fds: 12 });
  });

  it('go: live heap from the goal, unless the memory limit rules it', () => {
    const go = (goal: number, limit: number) =>
      columns(
        sum('go.memory.used', 50_000, { attributes: { 'go.memory.type': 'other' } }),
        sum('go.memory.used', 1_000, { attributes: { 'go.memory.type': 'stack' } }),
        sum('go.memory.gc.goal', goal),
        sum('go.config.gogc', 100, {}, '%'),
        sum('go.memory.limit', limit),
        sum('go.memory.gc.cycles', 6, {}, '{gc_cycle}'),
      );
    expect(go(40_000, 1_000_000)).toEqual({
      heap_committed: 50_000,
      external: 1_000,
      heap_live: 20_000,
      heap_limit: 1_000_000,
      gc_count: 6,
      gc_full_count: 6,
    });
    expect(go(40_000, 45_000)).not.toHaveProperty('heap_live');
  });

  it('dotnet and cpython: the oldest generation is the full collection', () => {
    const generation = (name: string, attribute: string, value: string | number, count: number) =>
      sum(name, count, { attributes: { [attribute]: value } }, '{collection}');
    expect(
      columns(
        gauge('dotnet.gc.last_collection.heap.size', 10, { attributes: { 'gc.heap.generation': 'gen0' } }),
        gauge('dotnet.gc.last_collection.heap.size', 20, { attributes: { 'gc.heap.generation': 'gen2' } }),
        generation('dotnet.gc.collections', 'gc.heap.generation', 'gen0', 9),
        generation('dotnet.gc.collections', 'gc.heap.generation', 'gen2', 1),
      ),
    ).toEqual({ heap_used: 30, gc_count: 10, gc_full_count: 1 });
    expect(
      columns(
        gauge('process.memory.usage', 1),
        generation('cpython.gc.collections', 'generation', 0, 80),
        generation('cpython.gc.collections', 'generation', 2, 3),
      ),
    ).toEqual({ rss: 1, gc_count: 83, gc_full_count: 3 });
  });

  it('containers: the limit is what is used and what is left', () => {
    expect(
      columns(gauge('k8s.pod.memory.working_set', 300), gauge('k8s.pod.memory.available', 200), gauge('k8s.pod.memory.rss', 250)),
    ).toEqual({
      working_set: 300,
      memory_limit: 500,
      cgroup_anon: 250,
    });
  });

  it('converts units', () => {
    expect(columns(gauge('process.memory.usage', 2, {}, 'MiBy'), histogram('v8js.gc.duration', 4, 1_500, {}, 'ms'))).toEqual({
      rss: 2 * 1024 * 1024,
      gc_count: 4,
      gc_pause_seconds: 1.5,
    });
  });

  it('puts points of one second in one row, the latest of a series, and different columns at different milliseconds', () => {
    const { rows: made } = rows(
      gauge('process.memory.usage', 1, { at: NOW + 10 }),
      gauge('process.memory.usage', 2, { at: NOW + 990 }),
      gauge('process.memory.usage', 3, { at: NOW + 1_000 }),
    );
    expect(made.map(({ values }) => values.get('rss'))).toEqual([2, 3]);
    expect(made[1]!.time - made[0]!.time).toBe(1_000);
    const other = rows(gauge('v8js.memory.heap.used', 1)).rows[0]!;
    expect(other.time).not.toBe(made[0]!.time);
    expect(Math.floor(other.time / 1_000)).toBe(Math.floor(made[0]!.time / 1_000));
  });

  it('refuses what cannot be a total, has no value or no time, and leaves out rows without memory', () => {
    const { rows: made, refused } = rows(
      sum('process.memory.usage', 1, {}, 'By', 1),
      sum('v8js.memory.heap.space.size', 1, {}, 'By', 'AGGREGATION_TEMPORALITY_UNSPECIFIED'),
      { name: 'container.memory.rss', gauge: { dataPoints: [{ timeUnixNano: '1' + '0'.repeat(18), asDouble: 'NaN' }, { asInt: '5' }] } },
      { name: 'container.memory.rss', gauge: { dataPoints: [{ timeUnixNano: '1' + '0'.repeat(18), flags: 1 }] } },
    );
    expect(made).toEqual([]);
    expect(Object.fromEntries(refused)).toEqual({ not_cumulative: 2, not_a_number: 1, no_time: 1 });
    expect(rows(sum('process.cpu.time', 1, {}, 's'))).toMatchObject({ rows: [], withoutMemory: 1 });
  });

  it('names no column that does not exist and maps each of our own', () => {
    const ingredients = ['memory_available', 'go_gc_goal', 'go_gogc'];
    expect(
      RULES.map(({ column }) => column).filter((column) => !(METRIC_NAMES as string[]).includes(column) && !ingredients.includes(column)),
    ).toEqual([]);
    expect(METRIC_NAMES.filter((name) => !isMapped(`leakline.${name}`))).toEqual([]);
  });
});

describe('docs/otlp.md', () => {
  it('shows the table the code works by', () => {
    const condition = ({ only, except }: (typeof RULES)[number]) =>
      [only && `\`${only.names[0]!}\` = ${only.values.join(', ')}`, except && `\`${except.names[0]!}\` ≠ ${except.values.join(', ')}`]
        .filter(Boolean)
        .join('; ');
    const take = { count: 'count', sum: 'sum', undefined: 'value' } as const;
    const lines = [
      ...RULES.filter(({ metric }) => !metric.startsWith('leakline.')).map(
        (rule) => `| \`${rule.metric}\` | ${take[`${rule.take}`]} | ${condition(rule)} | \`${rule.column}\` |`,
      ),
      ...DERIVATIONS.map(
        ({ column, from, doc }) => `| ${from.map((name) => `\`${name}\``).join(', ')} | derived | ${doc} | \`${column}\` |`,
      ),
    ];
    const doc = readFileSync(new URL('../../../../docs/otlp.md', import.meta.url), 'utf8');
    const shown = doc.split('\n').filter((line) => /^\| `/.test(line) && line.split('|').length === 6);
    expect(shown).toEqual(lines);
  });
});
