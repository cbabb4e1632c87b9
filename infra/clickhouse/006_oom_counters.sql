-- `oom_events` also where the cgroup counted a kill and no watched process was seen to end: a worker nobody watches, or an agent that was away.

CREATE OR REPLACE VIEW oom_events {{onCluster}} AS
WITH
  seen AS (SELECT * FROM process_lifetimes WHERE ended_by = 'oom'),
  counters AS (
    SELECT
      service, environment, version, host, instance, minute, last_time, memory_limit_last,
      oom_kills_last AS kills,
      lagInFrame(oom_kills_last, 1, oom_kills_last)
        OVER (PARTITION BY service, instance, lifetime ORDER BY minute ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS kills_before
    FROM minute_rollups FINAL
    -- Without a limit it is the counter of the whole host. Few lifetimes ever see a kill; hours tell which.
    WHERE memory_limit_last > 0 AND oom_kills_last IS NOT NULL
      AND (service, instance, lifetime) IN (SELECT service, instance, lifetime FROM hour_rollups WHERE oom_kills_last > 0)
  ),
  rises AS (
    SELECT
      host, minute, any(service) AS rise_service, any(environment) AS rise_environment, any(version) AS rise_version,
      any(instance) AS rise_instance, min(last_time) AS time, max(memory_limit_last) AS rise_limit
    FROM counters
    WHERE kills > kills_before
    GROUP BY host, minute, kills_before, kills
    -- Processes of one cgroup see the same rise. Where they are of several services, nobody can say whose it was.
    HAVING uniqExact(service, environment, instance) = 1
  ),
  explained AS (
    SELECT host, arrayJoin([-1, 0, 1, 2]) * 60 + toUnixTimestamp(toStartOfMinute(assumeNotNull(ended_at))) AS minute_seconds FROM seen
  )
SELECT * REPLACE (toLowCardinality(service) AS service)
FROM (
  SELECT
    assumeNotNull(ended_at) AS time, service, environment, version, host, instance, lifetime, runtime, pid, started_at,
    (toUnixTimestamp64Milli(assumeNotNull(ended_at)) - toUnixTimestamp64Milli(started_at)) / 1000 AS age_seconds,
    rss_peak, memory_limit
  FROM seen
  UNION ALL
  SELECT
    rises.time AS time,
    rise_service AS service,
    CAST(rise_environment AS String) AS environment,
    CAST(rise_version AS String) AS version,
    CAST(rises.host AS String) AS host,
    rise_instance AS instance,
    '' AS lifetime,
    '' AS runtime,
    toUInt32(0) AS pid,
    rises.time AS started_at,
    toFloat64(0) AS age_seconds,
    toUInt64(0) AS rss_peak,
    toUInt64(assumeNotNull(rise_limit)) AS memory_limit
  FROM rises
  WHERE (rises.host, toUnixTimestamp(minute)) NOT IN (SELECT CAST(host AS String), minute_seconds FROM explained)
);
