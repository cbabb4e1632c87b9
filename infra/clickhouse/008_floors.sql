-- The one number triage asks of an hour: the lowest level of the signal that is judged (services/detector/lifetime.ts), 0 = none known.
ALTER TABLE hour_rollups{{local}} {{onCluster}} ADD COLUMN IF NOT EXISTS floor UInt64
  DEFAULT coalesce(coalesce(anon_min, cgroup_anon_min) + ifNull(swap_min, 0), rss_min + ifNull(swap_min, 0), working_set_min, heap_live_last, heap_used_min, 0)
  CODEC(T64, ZSTD(1));

{{clusterOnly}} ALTER TABLE hour_rollups {{onCluster}} ADD COLUMN IF NOT EXISTS floor UInt64;
