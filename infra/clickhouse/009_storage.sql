-- Hours and lifetimes are made of minutes alone, so minutes carry the pid too.
ALTER TABLE minute_rollups{{local}} {{onCluster}} ADD COLUMN IF NOT EXISTS pid UInt32 CODEC(ZSTD(1)) AFTER runtime;

{{clusterOnly}} ALTER TABLE minute_rollups {{onCluster}} ADD COLUMN IF NOT EXISTS pid UInt32 AFTER runtime;

-- Codecs by measurement (test/bench/storage.bench.ts --trials, 864,000 rows of 100 processes, bytes a row): rss 0.66 with ZSTD, 0.57
-- with GCD before it (pages); heap_used 2.86 with T64, 2.59 so; gc_pause_seconds 2.36 as Float64 with FPC, 1.33 as whole nanoseconds,
-- which is finer than any runtime's clock; labels 0.52 with ZSTD(1); received_at 1.68 in milliseconds, 0.34 in seconds, next to
-- nothing in steps of ten seconds, which is all that roll-ups need, as they look back minutes.
ALTER TABLE raw_samples{{local}} {{onCluster}}
  MODIFY COLUMN rss Nullable(UInt64) CODEC(GCD, ZSTD(1)),
  MODIFY COLUMN anon Nullable(UInt64) CODEC(GCD, ZSTD(1)),
  MODIFY COLUMN pss Nullable(UInt64) CODEC(GCD, ZSTD(1)),
  MODIFY COLUMN uss Nullable(UInt64) CODEC(GCD, ZSTD(1)),
  MODIFY COLUMN swap Nullable(UInt64) CODEC(GCD, ZSTD(1)),
  MODIFY COLUMN working_set Nullable(UInt64) CODEC(GCD, ZSTD(1)),
  MODIFY COLUMN cgroup_anon Nullable(UInt64) CODEC(GCD, ZSTD(1)),
  MODIFY COLUMN heap_used Nullable(UInt64) CODEC(GCD, Delta(8), T64('bit'), ZSTD(3)),
  MODIFY COLUMN heap_live Nullable(UInt64) CODEC(GCD, ZSTD(1)),
  MODIFY COLUMN heap_committed Nullable(UInt64) CODEC(GCD, ZSTD(1)),
  MODIFY COLUMN external Nullable(UInt64) CODEC(GCD, ZSTD(1)),
  MODIFY COLUMN gc_pause_seconds Nullable(Decimal(18, 9)) CODEC(GCD, ZSTD(1)),
  MODIFY COLUMN labels Map(LowCardinality(String), String) CODEC(ZSTD(3)),
  MODIFY COLUMN seq UInt64 CODEC(DoubleDelta, ZSTD(1)),
  MODIFY COLUMN received_at DateTime64(3, 'UTC') DEFAULT toStartOfInterval(now64(3), toIntervalSecond(10)) CODEC(GCD, Delta(8), ZSTD(3))
  SETTINGS mutations_sync = 2;

{{clusterOnly}} ALTER TABLE raw_samples {{onCluster}}
  MODIFY COLUMN gc_pause_seconds Nullable(Decimal(18, 9)),
  MODIFY COLUMN received_at DateTime64(3, 'UTC') DEFAULT toStartOfInterval(now64(3), toIntervalSecond(10));

CREATE OR REPLACE VIEW samples {{onCluster}} AS
SELECT * REPLACE (toFloat64(gc_pause_seconds) AS gc_pause_seconds) FROM raw_samples FINAL;
