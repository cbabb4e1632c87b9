-- What the detector tells rows of one lifetime from those of another by: to hash the names of every row took a ninth of the query.
ALTER TABLE hour_rollups{{local}} {{onCluster}}
  ADD COLUMN IF NOT EXISTS lifetime_hash UInt32 MATERIALIZED toUInt32(wyHash64(lifetime)) CODEC(ZSTD(1)) AFTER lifetime;

{{clusterOnly}} ALTER TABLE hour_rollups {{onCluster}}
  ADD COLUMN IF NOT EXISTS lifetime_hash UInt32 MATERIALIZED toUInt32(wyHash64(lifetime)) AFTER lifetime;

-- Of the rows that are there, in the background; until then it is worked out when it is read.
ALTER TABLE hour_rollups{{local}} {{onCluster}} MATERIALIZE COLUMN lifetime_hash;
