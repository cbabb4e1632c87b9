-- What each ingester counted since its report before, and how far it is behind: what `leakline status` knows of ingesters that may
-- run anywhere. Small and short-lived; history of such figures is what a metrics system keeps.
CREATE TABLE IF NOT EXISTS ingester_reports{{local}} {{onCluster}} (
  at DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
  ingester LowCardinality(String),
  kind LowCardinality(String),
  key LowCardinality(String),
  value UInt64 CODEC(ZSTD(1))
)
ENGINE = {{Replacing}}
ORDER BY (at, ingester, kind, key)
TTL toDateTime(at) + toIntervalDay(2);

{{clusterOnly}} CREATE TABLE IF NOT EXISTS ingester_reports {{onCluster}} AS ingester_reports{{local}}
ENGINE = Distributed('{{cluster}}', currentDatabase(), 'ingester_reports{{local}}', cityHash64(ingester));
