-- The views people query. Their columns are a contract: docs/sql.md describes each, a test compares.

CREATE OR REPLACE VIEW samples {{onCluster}} AS
SELECT * FROM raw_samples FINAL;

CREATE OR REPLACE VIEW memory_hourly {{onCluster}} AS
SELECT
  hour, service, environment, version, host, instance, lifetime, runtime, samples,
  rss_min, rss_sum / rss_count AS rss_avg, rss_max, rss_last,
  anon_min, anon_sum / anon_count AS anon_avg, anon_max, anon_last,
  working_set_min, working_set_max, working_set_last,
  swap_max, pss_last, uss_last,
  heap_used_min, heap_used_max, heap_used_last, heap_live_last, heap_committed_last, external_min, external_last,
  memory_limit_last AS memory_limit, heap_limit_last AS heap_limit,
  threads_max, open_fds_max, objects_last,
  gc_count_last AS gc_count, gc_full_count_last AS gc_full_count, gc_pause_seconds_last AS gc_pause_seconds,
  cpu_seconds_last AS cpu_seconds, requests_last AS requests, oom_kills_last AS oom_kills
FROM hour_rollups FINAL;

CREATE OR REPLACE VIEW trends {{onCluster}} AS
SELECT
  service, environment, version, instance, lifetime, at, verdict, reason, explanation, kind, signal,
  slope_bytes_per_hour, slope_low, slope_high, level_bytes, limit_bytes,
  exhausts_at, exhausts_earliest, exhausts_latest, onset_at, confidence, instances, waiting_for, decides_by
FROM current_judgements FINAL;

-- A fold over the events of an incident in the order (at, opened first, id); an event that may not follow the state is passed over.
-- The same rules as shared/incident.ts, which a property test holds against this.
CREATE OR REPLACE VIEW incidents {{onCluster}} AS
WITH
  histories AS (
    SELECT
      incident,
      arraySort(
        event -> (event.1, event.2 != 'opened', event.3),
        groupArray((toUnixTimestamp64Milli(at), toString(type), id, ifNull(toUnixTimestamp64Milli(until), 0), judgement, note, actor))
      ) AS events
    FROM incident_events FINAL
    GROUP BY incident
  ),
  folds AS (
    SELECT
      incident, events,
      -- (state, resolved at, silenced until, event of the latest judgement, opening event, last event); events by position, 0 = none
      arrayFold(
        (folded, event, position) -> multiIf(
          event.2 = 'opened' AND folded.1 = '',
            ('open', toInt64(0), toInt64(0), toUInt32(position), toUInt32(position), toUInt32(position)),
          event.2 = 'updated' AND folded.1 IN ('open', 'acknowledged', 'silenced'),
            (folded.1, folded.2, folded.3, toUInt32(position), folded.5, toUInt32(position)),
          event.2 = 'acknowledged' AND folded.1 IN ('open', 'silenced'),
            ('acknowledged', folded.2, toInt64(0), folded.4, folded.5, toUInt32(position)),
          event.2 = 'unacknowledged' AND folded.1 = 'acknowledged',
            ('open', folded.2, toInt64(0), folded.4, folded.5, toUInt32(position)),
          event.2 = 'silenced' AND folded.1 IN ('open', 'acknowledged', 'silenced'),
            ('silenced', folded.2, event.4, folded.4, folded.5, toUInt32(position)),
          event.2 = 'dismissed' AND folded.1 IN ('open', 'acknowledged', 'silenced', 'resolved'),
            ('dismissed', folded.2, toInt64(0), folded.4, folded.5, toUInt32(position)),
          event.2 = 'resolved' AND folded.1 IN ('open', 'acknowledged', 'silenced'),
            ('resolved', event.1, toInt64(0), toUInt32(position), folded.5, toUInt32(position)),
          event.2 = 'reopened' AND folded.1 = 'resolved',
            ('open', toInt64(0), toInt64(0), toUInt32(position), folded.5, toUInt32(position)),
          folded
        ),
        events,
        arrayEnumerate(events),
        ('', toInt64(0), toInt64(0), toUInt32(0), toUInt32(0), toUInt32(0))
      ) AS fold
    FROM histories
  ),
  chosen AS (SELECT incident, events, fold, events[fold.4].5 AS latest, events[fold.5].5 AS opening FROM folds WHERE fold.1 != '')
SELECT
  incident AS id,
  JSONExtractString(opening, 'service') AS service,
  JSONExtractString(opening, 'environment') AS environment,
  JSONExtractString(opening, 'version') AS version,
  fold.1 AS state,
  JSONExtractString(latest, 'verdict') AS verdict,
  JSONExtractString(latest, 'kind') AS kind,
  JSONExtract(latest, 'instances', 'Array(String)') AS instances,
  fromUnixTimestamp64Milli(JSONExtract(latest, 'onsetAt', 'Nullable(Int64)'), 'UTC') AS onset_at,
  fromUnixTimestamp64Milli(events[fold.5].1, 'UTC') AS opened_at,
  fromUnixTimestamp64Milli(nullIf(fold.2, 0), 'UTC') AS resolved_at,
  JSONExtractFloat(latest, 'slopeBytesPerHour') AS slope_bytes_per_hour,
  JSONExtractFloat(latest, 'slopeLow') AS slope_low,
  JSONExtractFloat(latest, 'slopeHigh') AS slope_high,
  fromUnixTimestamp64Milli(JSONExtract(latest, 'exhaustsAt', 'Nullable(Int64)'), 'UTC') AS exhausts_at,
  JSONExtractFloat(latest, 'confidence') AS confidence,
  JSONExtractString(latest, 'reason') AS reason,
  JSONExtractString(latest, 'explanation') AS explanation,
  fromUnixTimestamp64Milli(nullIf(fold.3, 0), 'UTC') AS silenced_until,
  fromUnixTimestamp64Milli(events[fold.6].1, 'UTC') AS updated_at,
  events[fold.6].3 AS last_event,
  events[fold.6].6 AS note,
  events[fold.6].7 AS actor
FROM chosen;

CREATE OR REPLACE VIEW process_lifetimes {{onCluster}} AS
WITH
  spans AS (
    SELECT
      service, instance, lifetime, max(lifetimes.environment) AS environment, max(lifetimes.version) AS version,
      max(lifetimes.host) AS host, max(lifetimes.runtime) AS runtime, max(lifetimes.pid) AS pid,
      min(lifetimes.started_at) AS started_at, min(lifetimes.first_seen) AS first_seen, max(lifetimes.last_seen) AS last_seen,
      max(lifetimes.rss_peak) AS rss_peak, max(lifetimes.memory_limit_max) AS memory_limit
    FROM lifetimes
    GROUP BY service, instance, lifetime
  ),
  exits AS (SELECT service, instance, lifetime, ended_at, reason FROM process_exits FINAL),
  ended AS (
    SELECT
      spans.*,
      if(exits.lifetime = '', NULL, exits.ended_at) AS ended_at,
      exits.reason AS exit_reason,
      groupArray(toUnixTimestamp64Milli(spans.started_at)) OVER (PARTITION BY service, environment, instance) AS starts
    FROM spans
    LEFT JOIN exits ON exits.service = spans.service AND exits.instance = spans.instance AND exits.lifetime = spans.lifetime
  )
SELECT
  service,
  CAST(ended.environment AS String) AS environment,
  CAST(ended.version AS String) AS version,
  CAST(ended.host AS String) AS host,
  instance,
  lifetime,
  CAST(ended.runtime AS String) AS runtime,
  toUInt32(ended.pid) AS pid,
  toDateTime64(ended.started_at, 3, 'UTC') AS started_at,
  toDateTime64(ended.first_seen, 3, 'UTC') AS first_seen,
  toDateTime64(ended.last_seen, 3, 'UTC') AS last_seen,
  ended_at,
  multiIf(
    exit_reason = 'oom', 'oom',
    -- Another process of the same instance began within ten minutes after the last sign of this one.
    arrayExists(
      start -> start >= toUnixTimestamp64Milli(ifNull(ended_at, last_seen)) - 1000
        AND start <= toUnixTimestamp64Milli(ifNull(ended_at, last_seen)) + 600000,
      starts
    ), 'restart',
    ended_at IS NOT NULL, 'exit',
    last_seen < now64(3) - toIntervalMinute(15), 'silent',
    'running'
  ) AS ended_by,
  toUInt64(ended.rss_peak) AS rss_peak,
  toUInt64(ended.memory_limit) AS memory_limit
FROM ended;

CREATE OR REPLACE VIEW oom_events {{onCluster}} AS
SELECT
  assumeNotNull(ended_at) AS time, service, environment, version, host, instance, lifetime, runtime, pid, started_at,
  (toUnixTimestamp64Milli(assumeNotNull(ended_at)) - toUnixTimestamp64Milli(started_at)) / 1000 AS age_seconds,
  rss_peak, memory_limit
FROM process_lifetimes
WHERE ended_by = 'oom';

-- `sent` outranks whatever a slower notifier wrote after it.
CREATE OR REPLACE VIEW deliveries {{onCluster}} AS
SELECT
  incident, event, channel,
  argMax(delivery_attempts.state, (delivery_attempts.state = 'sent', delivery_attempts.at, delivery_attempts.state != 'intent', delivery_attempts.saved_at)) AS state,
  argMaxIf(delivery_attempts.external, (delivery_attempts.state = 'sent', delivery_attempts.at, delivery_attempts.state != 'intent', delivery_attempts.saved_at), delivery_attempts.external != '') AS external,
  argMax(delivery_attempts.error, (delivery_attempts.state = 'sent', delivery_attempts.at, delivery_attempts.state != 'intent', delivery_attempts.saved_at)) AS error,
  max(delivery_attempts.attempt) AS attempts,
  max(delivery_attempts.at) AS at
FROM delivery_attempts
GROUP BY incident, event, channel;
