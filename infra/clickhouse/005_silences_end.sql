-- A silence whose time has passed leaves the incident open, though no event says so. Apart from that as before:
-- a fold over the events of an incident in the order (at, opened first, id); an event that may not follow the state is passed over.
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
  if(fold.1 = 'silenced' AND fold.3 <= toUnixTimestamp64Milli(now64(3)), 'open', fold.1) AS state,
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
  if(fold.3 <= toUnixTimestamp64Milli(now64(3)), NULL, fromUnixTimestamp64Milli(fold.3, 'UTC')) AS silenced_until,
  fromUnixTimestamp64Milli(events[fold.6].1, 'UTC') AS updated_at,
  events[fold.6].3 AS last_event,
  events[fold.6].6 AS note,
  events[fold.6].7 AS actor
FROM chosen;
