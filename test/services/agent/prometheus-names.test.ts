import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isRuntimeMetric, readRuntimeMetrics } from '../../../services/agent/prometheus-names.ts';
import { parsePrometheusText } from '../../../services/agent/prometheus-text.ts';

const read = (text: string) => readRuntimeMetrics(parsePrometheusText(text, isRuntimeMetric));

describe('the text format', () => {
  const parse = (text: string) => parsePrometheusText(text, () => true);

  test('labels with every escape, spaces, exponents, timestamps, exemplars', () => {
    expect(
      parse(
        [
          '# HELP a something',
          '# TYPE a counter',
          'a 1',
          'a{x="1",y="a\\"b\\\\c\\nd}"} 2.5e+06 1395066363000',
          'b { x = "1" , }  3',
          'c_total{le="0.5"} 4 # {trace_id="x"} 0.1',
          '',
          'no_value',
          'e NaN',
          'f +Inf',
          '# EOF',
        ].join('\r\n'),
      ),
    ).toEqual([
      { name: 'a', labels: {}, value: 1 },
      { name: 'a', labels: { x: '1', y: 'a"b\\c\nd}' }, value: 2_500_000 },
      { name: 'b', labels: { x: '1' }, value: 3 },
      { name: 'c_total', labels: { le: '0.5' }, value: 4 },
    ]);
  });

  test('never throws, whatever it is given', () => {
    const noise = fc.string({ unit: fc.constantFrom('a', '{', '}', '"', '\\', '=', ',', ' ', '\n', '1', '#', 'é') });
    fc.assert(fc.property(fc.oneof(fc.string(), noise), (text) => void parse(text)));
  });

  test('a megabyte of one broken line takes no time', () => {
    const startedAt = performance.now();
    parse(`a{${'x="1",'.repeat(200_000)}`);
    parse(`a{x="${'\\'.repeat(1_000_000)}`);
    expect(performance.now() - startedAt).toBeLessThan(1_000);
  });
});

describe('what the names mean', () => {
  test('client_golang: the live heap is solved from the next goal', () => {
    const page = `go_info{version="go1.22.1"} 1
go_memstats_heap_alloc_bytes 9e+07
go_memstats_heap_sys_bytes 1.5e+08
go_memstats_heap_released_bytes 1e+07
go_memstats_next_gc_bytes 1.21e+08
go_memstats_stack_inuse_bytes 1e+06
go_gc_gomemlimit_bytes 9.223372036854776e+18
go_gc_duration_seconds{quantile="0.5"} 0.1
go_gc_duration_seconds_sum 1.5
go_gc_duration_seconds_count 300`;
    expect(read(page)).toEqual({
      runtime: 'go',
      labels: { runtime_version: 'go1.22.1' },
      heap_used: 90e6,
      heap_live: 60e6,
      heap_committed: 140e6,
      gc_count: 300,
      gc_full_count: 300,
      gc_pause_seconds: 1.5,
    });
    expect(read(`${page}\ngo_gc_gogc_percent 50`)?.heap_live).toBe(Math.round((121e6 - 0.5e6) / 1.5));
    expect(read(`${page}\ngo_gc_heap_live_bytes 58e6`)?.heap_live).toBe(58e6);
  });

  test('Go: no live heap while the goal is only the minimum, nor with GOGC=off', () => {
    expect(read('go_memstats_heap_alloc_bytes 1e6\ngo_memstats_next_gc_bytes 4194304')).not.toHaveProperty('heap_live');
    expect(read('go_memstats_heap_alloc_bytes 9e7\ngo_memstats_next_gc_bytes 1.8e19\ngo_gc_gogc_percent -1')).not.toHaveProperty(
      'heap_live',
    );
  });

  test('simpleclient', () => {
    const reading = read(`jvm_memory_bytes_used{area="heap",} 5.0E7
jvm_memory_bytes_used{area="nonheap",} 9.0E7
jvm_memory_bytes_committed{area="heap",} 8.0E7
jvm_memory_bytes_max{area="heap",} 2.68435456E8
jvm_memory_pool_collection_used_bytes{pool="G1 Eden Space",} 0.0
jvm_memory_pool_collection_used_bytes{pool="G1 Old Gen",} 3.0E7
jvm_buffer_pool_used_bytes{pool="direct",} 4096.0
jvm_buffer_pool_used_bytes{pool="mapped",} 777.0
jvm_gc_collection_seconds_count{gc="G1 Young Generation",} 12.0
jvm_gc_collection_seconds_sum{gc="G1 Young Generation",} 0.5
jvm_gc_collection_seconds_count{gc="G1 Old Generation",} 2.0
jvm_gc_collection_seconds_sum{gc="G1 Old Generation",} 0.25
jvm_info{version="17.0.15+6",vendor="x",runtime="y",} 1.0`);
    expect(reading).toEqual({
      runtime: 'jvm',
      labels: { runtime_version: '17.0.15+6' },
      heap_used: 50e6,
      heap_live: 30e6,
      heap_committed: 80e6,
      heap_limit: 268_435_456,
      external: 4096,
      gc_count: 14,
      gc_full_count: 2,
      gc_pause_seconds: 0.75,
    });
  });

  test('Micrometer: -1 is no limit, an uncollected pool no live heap', () => {
    const reading = read(`jvm_memory_used_bytes{area="heap",id="G1 Eden Space",} 1.0E7
jvm_memory_used_bytes{area="heap",id="G1 Old Gen",} 2.0E7
jvm_memory_max_bytes{area="heap",id="G1 Eden Space",} -1.0
jvm_memory_max_bytes{area="heap",id="G1 Survivor Space",} -1.0
jvm_memory_max_bytes{area="heap",id="G1 Old Gen",} 1.0E8
jvm_gc_live_data_size_bytes 0.0
jvm_gc_pause_seconds_count{action="end of minor GC",cause="G1 Evacuation Pause",} 9.0
jvm_gc_pause_seconds_sum{action="end of minor GC",cause="G1 Evacuation Pause",} 0.1
jvm_buffer_memory_used_bytes{id="direct",} 5.0
http_server_requests_seconds_count{uri="/a",} 3.0
http_server_requests_seconds_count{uri="/b",} 4.0`);
    expect(reading).toEqual({
      runtime: 'jvm',
      heap_used: 30e6,
      heap_limit: 100e6,
      external: 5,
      gc_count: 9,
      gc_full_count: 0,
      gc_pause_seconds: 0.1,
      requests: 7,
    });
  });

  test('OpenTelemetry: JVM and V8', () => {
    expect(
      read(`jvm_memory_used_bytes{jvm_memory_type="heap",jvm_memory_pool_name="G1 Old Gen"} 20
jvm_memory_used_bytes{jvm_memory_type="non_heap",jvm_memory_pool_name="Metaspace"} 99
jvm_memory_used_after_last_gc_bytes{jvm_memory_type="heap",jvm_memory_pool_name="G1 Old Gen"} 15
jvm_gc_duration_seconds_count{jvm_gc_action="end of major GC",jvm_gc_name="G1 Old Generation"} 1
jvm_gc_duration_seconds_count{jvm_gc_action="end of minor GC",jvm_gc_name="G1 Young Generation"} 5`),
    ).toMatchObject({ runtime: 'jvm', heap_used: 20, heap_live: 15, gc_count: 6, gc_full_count: 1 });
    expect(
      read(`v8js_memory_heap_used_bytes{v8js_heap_space_name="new_space"} 5
v8js_memory_heap_used_bytes{v8js_heap_space_name="old_space"} 7
v8js_gc_duration_seconds_count{v8js_gc_type="minor"} 4
v8js_gc_duration_seconds_count{v8js_gc_type="incremental"} 9`),
    ).toEqual({ runtime: 'nodejs', heap_used: 12, gc_count: 4, gc_full_count: 0 });
  });

  test('Python and .NET', () => {
    expect(
      read(`python_gc_collections_total{generation="0"} 60
python_gc_collections_total{generation="2"} 4
python_info{implementation="CPython",version="3.12.1"} 1`),
    ).toEqual({ runtime: 'python', gc_count: 64, gc_full_count: 4, labels: { runtime_version: '3.12.1' } });
    expect(
      read(`dotnet_gc_last_collection_heap_size_bytes{gc_heap_generation="gen0"} 1
dotnet_gc_last_collection_heap_size_bytes{gc_heap_generation="gen2"} 9
dotnet_gc_collections_total{gc_heap_generation="gen2"} 3
dotnet_gc_collections_total{gc_heap_generation="gen0"} 5`),
    ).toMatchObject({ runtime: 'dotnet', heap_used: 10, gc_count: 8, gc_full_count: 3 });
  });

  test('a page without runtime metrics says nothing', () => {
    expect(read('up 1\nprocess_resident_memory_bytes 5\nhttp_requests_total 3')).toBeUndefined();
  });
});
