-- Hours and lifetimes are made of minutes alone, so minutes carry the pid too.
ALTER TABLE minute_rollups{{local}} {{onCluster}} ADD COLUMN IF NOT EXISTS pid UInt32 CODEC(ZSTD(1)) AFTER runtime;

{{clusterOnly}} ALTER TABLE minute_rollups {{onCluster}} ADD COLUMN IF NOT EXISTS pid UInt32 AFTER runtime;
