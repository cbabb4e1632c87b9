-- Rollups are recomputed from deduplicated samples, never added up: whatever was replayed, they are a function of the raw rows.

CREATE TABLE IF NOT EXISTS minute_rollups{{local}} {{onCluster}} (
  service LowCardinality(String),
  instance String CODEC(ZSTD(3)),
  lifetime String CODEC(ZSTD(3)),
  minute DateTime('UTC') CODEC(Delta(4), ZSTD(1)),
  environment LowCardinality(String),
  version LowCardinality(String),
  host LowCardinality(String),
  runtime LowCardinality(String),
  process_started_at DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
  first_time DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
  last_time DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
  samples UInt32 CODEC(ZSTD(1)),
  rss_min Nullable(UInt64) CODEC(ZSTD(1)), rss_max Nullable(UInt64) CODEC(ZSTD(1)), rss_last Nullable(UInt64) CODEC(ZSTD(1)),
  rss_sum Nullable(Float64) CODEC(ZSTD(1)), rss_count UInt32 CODEC(ZSTD(1)),
  anon_min Nullable(UInt64) CODEC(ZSTD(1)), anon_max Nullable(UInt64) CODEC(ZSTD(1)), anon_last Nullable(UInt64) CODEC(ZSTD(1)),
  anon_sum Nullable(Float64) CODEC(ZSTD(1)), anon_count UInt32 CODEC(ZSTD(1)),
  pss_min Nullable(UInt64) CODEC(ZSTD(1)), pss_max Nullable(UInt64) CODEC(ZSTD(1)), pss_last Nullable(UInt64) CODEC(ZSTD(1)),
  pss_sum Nullable(Float64) CODEC(ZSTD(1)), pss_count UInt32 CODEC(ZSTD(1)),
  uss_min Nullable(UInt64) CODEC(ZSTD(1)), uss_max Nullable(UInt64) CODEC(ZSTD(1)), uss_last Nullable(UInt64) CODEC(ZSTD(1)),
  uss_sum Nullable(Float64) CODEC(ZSTD(1)), uss_count UInt32 CODEC(ZSTD(1)),
  swap_min Nullable(UInt64) CODEC(ZSTD(1)), swap_max Nullable(UInt64) CODEC(ZSTD(1)), swap_last Nullable(UInt64) CODEC(ZSTD(1)),
  swap_sum Nullable(Float64) CODEC(ZSTD(1)), swap_count UInt32 CODEC(ZSTD(1)),
  working_set_min Nullable(UInt64) CODEC(ZSTD(1)), working_set_max Nullable(UInt64) CODEC(ZSTD(1)), working_set_last Nullable(UInt64) CODEC(ZSTD(1)),
  working_set_sum Nullable(Float64) CODEC(ZSTD(1)), working_set_count UInt32 CODEC(ZSTD(1)),
  cgroup_anon_min Nullable(UInt64) CODEC(ZSTD(1)), cgroup_anon_max Nullable(UInt64) CODEC(ZSTD(1)), cgroup_anon_last Nullable(UInt64) CODEC(ZSTD(1)),
  cgroup_anon_sum Nullable(Float64) CODEC(ZSTD(1)), cgroup_anon_count UInt32 CODEC(ZSTD(1)),
  heap_used_min Nullable(UInt64) CODEC(ZSTD(1)), heap_used_max Nullable(UInt64) CODEC(ZSTD(1)), heap_used_last Nullable(UInt64) CODEC(ZSTD(1)),
  heap_used_sum Nullable(Float64) CODEC(ZSTD(1)), heap_used_count UInt32 CODEC(ZSTD(1)),
  heap_live_min Nullable(UInt64) CODEC(ZSTD(1)), heap_live_max Nullable(UInt64) CODEC(ZSTD(1)), heap_live_last Nullable(UInt64) CODEC(ZSTD(1)),
  heap_live_sum Nullable(Float64) CODEC(ZSTD(1)), heap_live_count UInt32 CODEC(ZSTD(1)),
  heap_committed_min Nullable(UInt64) CODEC(ZSTD(1)), heap_committed_max Nullable(UInt64) CODEC(ZSTD(1)), heap_committed_last Nullable(UInt64) CODEC(ZSTD(1)),
  heap_committed_sum Nullable(Float64) CODEC(ZSTD(1)), heap_committed_count UInt32 CODEC(ZSTD(1)),
  external_min Nullable(UInt64) CODEC(ZSTD(1)), external_max Nullable(UInt64) CODEC(ZSTD(1)), external_last Nullable(UInt64) CODEC(ZSTD(1)),
  external_sum Nullable(Float64) CODEC(ZSTD(1)), external_count UInt32 CODEC(ZSTD(1)),
  memory_limit_last Nullable(UInt64) CODEC(ZSTD(1)),
  heap_limit_last Nullable(UInt64) CODEC(ZSTD(1)),
  threads_min Nullable(UInt64) CODEC(ZSTD(1)), threads_max Nullable(UInt64) CODEC(ZSTD(1)), threads_last Nullable(UInt64) CODEC(ZSTD(1)),
  open_fds_min Nullable(UInt64) CODEC(ZSTD(1)), open_fds_max Nullable(UInt64) CODEC(ZSTD(1)), open_fds_last Nullable(UInt64) CODEC(ZSTD(1)),
  objects_min Nullable(UInt64) CODEC(ZSTD(1)), objects_max Nullable(UInt64) CODEC(ZSTD(1)), objects_last Nullable(UInt64) CODEC(ZSTD(1)),
  gc_count_last Nullable(UInt64) CODEC(ZSTD(1)),
  gc_full_count_last Nullable(UInt64) CODEC(ZSTD(1)),
  requests_last Nullable(UInt64) CODEC(ZSTD(1)),
  oom_kills_last Nullable(UInt64) CODEC(ZSTD(1)),
  gc_pause_seconds_last Nullable(Float64) CODEC(ZSTD(1)),
  cpu_seconds_last Nullable(Float64) CODEC(ZSTD(1)),
  -- Newest arrival among the samples it was made of.
  source_received_at DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
  -- Newest arrival (ms) and number of samples in one: it only grows with the raw rows, so of two roll-ups running
  -- at once the one that saw more wins, whichever wrote last.
  revision UInt64 CODEC(ZSTD(1))
)
ENGINE = {{Replacing:revision}}
PARTITION BY toYYYYMM(minute)
ORDER BY (service, instance, lifetime, minute)
TTL minute + toIntervalSecond({{rollupSeconds}});

{{clusterOnly}} CREATE TABLE IF NOT EXISTS minute_rollups {{onCluster}} AS minute_rollups{{local}}
ENGINE = Distributed('{{cluster}}', currentDatabase(), 'minute_rollups{{local}}', cityHash64(service));

CREATE TABLE IF NOT EXISTS hour_rollups{{local}} {{onCluster}} (
  service LowCardinality(String),
  instance String CODEC(ZSTD(3)),
  lifetime String CODEC(ZSTD(3)),
  hour DateTime('UTC') CODEC(Delta(4), ZSTD(1)),
  environment LowCardinality(String),
  version LowCardinality(String),
  host LowCardinality(String),
  runtime LowCardinality(String),
  process_started_at DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
  first_time DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
  last_time DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
  samples UInt32 CODEC(ZSTD(1)),
  rss_min Nullable(UInt64) CODEC(ZSTD(1)), rss_max Nullable(UInt64) CODEC(ZSTD(1)), rss_last Nullable(UInt64) CODEC(ZSTD(1)),
  rss_sum Nullable(Float64) CODEC(ZSTD(1)), rss_count UInt32 CODEC(ZSTD(1)),
  anon_min Nullable(UInt64) CODEC(ZSTD(1)), anon_max Nullable(UInt64) CODEC(ZSTD(1)), anon_last Nullable(UInt64) CODEC(ZSTD(1)),
  anon_sum Nullable(Float64) CODEC(ZSTD(1)), anon_count UInt32 CODEC(ZSTD(1)),
  pss_min Nullable(UInt64) CODEC(ZSTD(1)), pss_max Nullable(UInt64) CODEC(ZSTD(1)), pss_last Nullable(UInt64) CODEC(ZSTD(1)),
  pss_sum Nullable(Float64) CODEC(ZSTD(1)), pss_count UInt32 CODEC(ZSTD(1)),
  uss_min Nullable(UInt64) CODEC(ZSTD(1)), uss_max Nullable(UInt64) CODEC(ZSTD(1)), uss_last Nullable(UInt64) CODEC(ZSTD(1)),
  uss_sum Nullable(Float64) CODEC(ZSTD(1)), uss_count UInt32 CODEC(ZSTD(1)),
  swap_min Nullable(UInt64) CODEC(ZSTD(1)), swap_max Nullable(UInt64) CODEC(ZSTD(1)), swap_last Nullable(UInt64) CODEC(ZSTD(1)),
  swap_sum Nullable(Float64) CODEC(ZSTD(1)), swap_count UInt32 CODEC(ZSTD(1)),
  working_set_min Nullable(UInt64) CODEC(ZSTD(1)), working_set_max Nullable(UInt64) CODEC(ZSTD(1)), working_set_last Nullable(UInt64) CODEC(ZSTD(1)),
  working_set_sum Nullable(Float64) CODEC(ZSTD(1)), working_set_count UInt32 CODEC(ZSTD(1)),
  cgroup_anon_min Nullable(UInt64) CODEC(ZSTD(1)), cgroup_anon_max Nullable(UInt64) CODEC(ZSTD(1)), cgroup_anon_last Nullable(UInt64) CODEC(ZSTD(1)),
  cgroup_anon_sum Nullable(Float64) CODEC(ZSTD(1)), cgroup_anon_count UInt32 CODEC(ZSTD(1)),
  heap_used_min Nullable(UInt64) CODEC(ZSTD(1)), heap_used_max Nullable(UInt64) CODEC(ZSTD(1)), heap_used_last Nullable(UInt64) CODEC(ZSTD(1)),
  heap_used_sum Nullable(Float64) CODEC(ZSTD(1)), heap_used_count UInt32 CODEC(ZSTD(1)),
  heap_live_min Nullable(UInt64) CODEC(ZSTD(1)), heap_live_max Nullable(UInt64) CODEC(ZSTD(1)), heap_live_last Nullable(UInt64) CODEC(ZSTD(1)),
  heap_live_sum Nullable(Float64) CODEC(ZSTD(1)), heap_live_count UInt32 CODEC(ZSTD(1)),
  heap_committed_min Nullable(UInt64) CODEC(ZSTD(1)), heap_committed_max Nullable(UInt64) CODEC(ZSTD(1)), heap_committed_last Nullable(UInt64) CODEC(ZSTD(1)),
  heap_committed_sum Nullable(Float64) CODEC(ZSTD(1)), heap_committed_count UInt32 CODEC(ZSTD(1)),
  external_min Nullable(UInt64) CODEC(ZSTD(1)), external_max Nullable(UInt64) CODEC(ZSTD(1)), external_last Nullable(UInt64) CODEC(ZSTD(1)),
  external_sum Nullable(Float64) CODEC(ZSTD(1)), external_count UInt32 CODEC(ZSTD(1)),
  memory_limit_last Nullable(UInt64) CODEC(ZSTD(1)),
  heap_limit_last Nullable(UInt64) CODEC(ZSTD(1)),
  threads_min Nullable(UInt64) CODEC(ZSTD(1)), threads_max Nullable(UInt64) CODEC(ZSTD(1)), threads_last Nullable(UInt64) CODEC(ZSTD(1)),
  open_fds_min Nullable(UInt64) CODEC(ZSTD(1)), open_fds_max Nullable(UInt64) CODEC(ZSTD(1)), open_fds_last Nullable(UInt64) CODEC(ZSTD(1)),
  objects_min Nullable(UInt64) CODEC(ZSTD(1)), objects_max Nullable(UInt64) CODEC(ZSTD(1)), objects_last Nullable(UInt64) CODEC(ZSTD(1)),
  gc_count_last Nullable(UInt64) CODEC(ZSTD(1)),
  gc_full_count_last Nullable(UInt64) CODEC(ZSTD(1)),
  requests_last Nullable(UInt64) CODEC(ZSTD(1)),
  oom_kills_last Nullable(UInt64) CODEC(ZSTD(1)),
  gc_pause_seconds_last Nullable(Float64) CODEC(ZSTD(1)),
  cpu_seconds_last Nullable(Float64) CODEC(ZSTD(1)),
  -- Newest arrival among the samples it was made of.
  source_received_at DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
  -- Newest arrival (ms) and number of samples in one: it only grows with the raw rows, so of two roll-ups running
  -- at once the one that saw more wins, whichever wrote last.
  revision UInt64 CODEC(ZSTD(1))
)
ENGINE = {{Replacing:revision}}
PARTITION BY toYYYYMM(hour)
ORDER BY (service, instance, lifetime, hour)
TTL hour + toIntervalSecond({{rollupSeconds}});

{{clusterOnly}} CREATE TABLE IF NOT EXISTS hour_rollups {{onCluster}} AS hour_rollups{{local}}
ENGINE = Distributed('{{cluster}}', currentDatabase(), 'hour_rollups{{local}}', cityHash64(service));

-- One row per process lifetime. Every column merges by min or max, so writing it again changes nothing.
CREATE TABLE IF NOT EXISTS lifetimes{{local}} {{onCluster}} (
  service LowCardinality(String),
  instance String,
  lifetime String,
  environment SimpleAggregateFunction(max, String),
  version SimpleAggregateFunction(max, String),
  host SimpleAggregateFunction(max, String),
  runtime SimpleAggregateFunction(max, String),
  pid SimpleAggregateFunction(max, UInt32),
  started_at SimpleAggregateFunction(min, DateTime64(3, 'UTC')),
  first_seen SimpleAggregateFunction(min, DateTime64(3, 'UTC')),
  last_seen SimpleAggregateFunction(max, DateTime64(3, 'UTC')),
  rss_peak SimpleAggregateFunction(max, UInt64),
  memory_limit_max SimpleAggregateFunction(max, UInt64)
)
ENGINE = {{Aggregating}}
ORDER BY (service, instance, lifetime)
TTL toDateTime(last_seen) + toIntervalSecond({{rollupSeconds}});

{{clusterOnly}} CREATE TABLE IF NOT EXISTS lifetimes {{onCluster}} AS lifetimes{{local}}
ENGINE = Distributed('{{cluster}}', currentDatabase(), 'lifetimes{{local}}', cityHash64(service));

-- Up to which arrival (store's clock) everything is rolled up.
CREATE TABLE IF NOT EXISTS rollup_checkpoints {{onCluster}} (
  name String,
  received_through DateTime64(3, 'UTC'),
  rolled_at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = {{Replacing:rolled_at}}
ORDER BY name;
