-- Raw samples. A row is named by (service, instance, lifetime, time): writing it again changes nothing that people can see.
-- Placeholders in double braces are filled in by shared/store/migrate.ts (single node, or replicated and sharded).
-- Codecs by measurement (864,000 rows of 100 processes, bytes a row): instance and lifetime 0.55 with ZSTD(1), 0.03 with ZSTD(3);
-- gc_pause_seconds 3.20 with ZSTD, 2.78 with FPC; NULL instead of a sentinel costs 2 % of the whole.
-- `seq` with (agent, boot) names the flush a row came in.

CREATE TABLE IF NOT EXISTS raw_samples{{local}} {{onCluster}} (
  service LowCardinality(String),
  instance String CODEC(ZSTD(3)),
  lifetime String CODEC(ZSTD(3)),
  time DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
  environment LowCardinality(String),
  version LowCardinality(String),
  host LowCardinality(String),
  pid UInt32 CODEC(ZSTD(1)),
  process_started_at DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
  runtime LowCardinality(String),
  labels Map(LowCardinality(String), String) CODEC(ZSTD(1)),
  rss Nullable(UInt64) CODEC(ZSTD(1)),
  anon Nullable(UInt64) CODEC(ZSTD(1)),
  pss Nullable(UInt64) CODEC(ZSTD(1)),
  uss Nullable(UInt64) CODEC(ZSTD(1)),
  swap Nullable(UInt64) CODEC(ZSTD(1)),
  working_set Nullable(UInt64) CODEC(ZSTD(1)),
  cgroup_anon Nullable(UInt64) CODEC(ZSTD(1)),
  memory_limit Nullable(UInt64) CODEC(ZSTD(1)),
  heap_used Nullable(UInt64) CODEC(T64('bit'), ZSTD(1)),
  heap_live Nullable(UInt64) CODEC(T64('bit'), ZSTD(1)),
  heap_committed Nullable(UInt64) CODEC(T64('bit'), ZSTD(1)),
  heap_limit Nullable(UInt64) CODEC(ZSTD(1)),
  external Nullable(UInt64) CODEC(ZSTD(1)),
  gc_count Nullable(UInt64) CODEC(Delta, T64, ZSTD(1)),
  gc_full_count Nullable(UInt64) CODEC(Delta, T64, ZSTD(1)),
  gc_pause_seconds Nullable(Float64) CODEC(FPC, ZSTD(1)),
  cpu_seconds Nullable(Float64) CODEC(FPC, ZSTD(1)),
  requests Nullable(UInt64) CODEC(Delta, T64, ZSTD(1)),
  oom_kills Nullable(UInt64) CODEC(Delta, T64, ZSTD(1)),
  threads Nullable(UInt64) CODEC(ZSTD(1)),
  open_fds Nullable(UInt64) CODEC(ZSTD(1)),
  objects Nullable(UInt64) CODEC(ZSTD(1)),
  agent LowCardinality(String),
  boot LowCardinality(String),
  seq UInt64 CODEC(Delta(8), ZSTD(1)),
  -- The store's clock: rollups find what is new by it.
  received_at DateTime64(3, 'UTC') DEFAULT now64(3) CODEC(Delta(8), ZSTD(1)),
  INDEX received_range received_at TYPE minmax GRANULARITY 1,
  INDEX time_range time TYPE minmax GRANULARITY 1
)
ENGINE = {{Replacing}}
PARTITION BY toYYYYMM(time)
ORDER BY (service, instance, lifetime, time)
TTL toDateTime(time) + toIntervalSecond({{rawSeconds}})
SETTINGS non_replicated_deduplication_window = 0;

{{clusterOnly}} CREATE TABLE IF NOT EXISTS raw_samples {{onCluster}} AS raw_samples{{local}}
ENGINE = Distributed('{{cluster}}', currentDatabase(), 'raw_samples{{local}}', cityHash64(service));

-- How a lifetime ended, as the agent saw it.
CREATE TABLE IF NOT EXISTS process_exits{{local}} {{onCluster}} (
  service LowCardinality(String),
  instance String,
  lifetime String,
  environment LowCardinality(String),
  version LowCardinality(String),
  host LowCardinality(String),
  pid UInt32,
  process_started_at DateTime64(3, 'UTC'),
  runtime LowCardinality(String),
  ended_at DateTime64(3, 'UTC'),
  reason LowCardinality(String),
  received_at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = {{Replacing}}
ORDER BY (service, instance, lifetime)
TTL toDateTime(ended_at) + toIntervalSecond({{rollupSeconds}});

{{clusterOnly}} CREATE TABLE IF NOT EXISTS process_exits {{onCluster}} AS process_exits{{local}}
ENGINE = Distributed('{{cluster}}', currentDatabase(), 'process_exits{{local}}', cityHash64(service));

-- Messages that could not be read, with the reason.
CREATE TABLE IF NOT EXISTS dead_letters{{local}} {{onCluster}} (
  id String,
  at DateTime64(3, 'UTC'),
  source LowCardinality(String),
  agent String,
  code LowCardinality(String),
  reason String CODEC(ZSTD(1)),
  payload String CODEC(ZSTD(3)),
  -- utf8, or base64 where the message was no text.
  encoding LowCardinality(String),
  received_at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = {{Replacing}}
PARTITION BY toYYYYMM(at)
ORDER BY (at, id)
TTL toDateTime(at) + toIntervalSecond({{rawSeconds}});

{{clusterOnly}} CREATE TABLE IF NOT EXISTS dead_letters {{onCluster}} AS dead_letters{{local}}
ENGINE = Distributed('{{cluster}}', currentDatabase(), 'dead_letters{{local}}', cityHash64(id));
