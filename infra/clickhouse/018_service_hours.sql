-- Hours of services, for the page that shows all of them: sorted by hour, so that two days are read and not every service's history.
-- 10,000 services with three instances, 48 hours: 115 CPU ms instead of 335, 9 bytes a row, a third as many rows as hour_rollups.
-- Names as String: sorted by hour there are as many words as rows, which LowCardinality makes a quarter slower and larger.
CREATE TABLE IF NOT EXISTS service_hours{{local}} {{onCluster}} (
  hour DateTime('UTC') CODEC(Delta(4), ZSTD(1)),
  service String CODEC(ZSTD(1)),
  environment LowCardinality(String),
  rss_sum Float64 CODEC(ZSTD(1)),
  rss_count UInt64 CODEC(ZSTD(1)),
  -- Newest arrival (s) and number of samples of the service in one, see hour_rollups.
  revision UInt64 CODEC(ZSTD(1))
)
ENGINE = {{Replacing:revision}}
PARTITION BY toYYYYMM(hour)
ORDER BY (hour, service, environment)
TTL hour + toIntervalSecond({{rollupSeconds}});

{{clusterOnly}} CREATE TABLE IF NOT EXISTS service_hours {{onCluster}} AS service_hours{{local}}
ENGINE = Distributed('{{cluster}}', currentDatabase(), 'service_hours{{local}}', cityHash64(service));

-- The days that page looks back; roll-ups make anew what is touched.
INSERT INTO service_hours (hour, service, environment, rss_sum, rss_count, revision)
SELECT
  hour, toString(service), environment, sum(ifNull(rss_sum, 0)), sum(rss_count),
  bitShiftLeft(toUInt64(toUnixTimestamp(max(max(source_received_at)) OVER of_service)), 32) + sum(sum(samples)) OVER of_service
FROM hour_rollups FINAL
WHERE hour >= now() - toIntervalDay(3)
GROUP BY hour, service, environment
WINDOW of_service AS (PARTITION BY hour, service);
