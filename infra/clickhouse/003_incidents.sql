-- What the detector says and what became of it. Events are appended; the state of an incident is their fold (view `incidents`).

CREATE TABLE IF NOT EXISTS judgements{{local}} {{onCluster}} (
  service LowCardinality(String),
  environment LowCardinality(String),
  version LowCardinality(String),
  instance String,
  lifetime String,
  at DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
  verdict LowCardinality(String),
  reason LowCardinality(String),
  explanation String CODEC(ZSTD(1)),
  kind LowCardinality(String),
  signal LowCardinality(String),
  slope_bytes_per_hour Float64,
  slope_low Float64,
  slope_high Float64,
  level_bytes Float64,
  limit_bytes Float64,
  exhausts_at Nullable(DateTime64(3, 'UTC')),
  exhausts_earliest Nullable(DateTime64(3, 'UTC')),
  exhausts_latest Nullable(DateTime64(3, 'UTC')),
  onset_at Nullable(DateTime64(3, 'UTC')),
  confidence Float64,
  instances Array(String),
  waiting_for String,
  decides_by Nullable(DateTime64(3, 'UTC')),
  -- The judgement exactly as the detector made it, JSON.
  judgement String CODEC(ZSTD(1)),
  saved_at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = {{Replacing:saved_at}}
PARTITION BY toYYYYMM(at)
ORDER BY (service, environment, version, instance, lifetime, at)
TTL toDateTime(at) + toIntervalSecond({{rollupSeconds}});

{{clusterOnly}} CREATE TABLE IF NOT EXISTS judgements {{onCluster}} AS judgements{{local}}
ENGINE = Distributed('{{cluster}}', currentDatabase(), 'judgements{{local}}', cityHash64(service));

-- The newest judgement of each service, version and instance, so that a look at the fleet reads no history.
CREATE TABLE IF NOT EXISTS current_judgements{{local}} {{onCluster}} AS judgements{{local}}
ENGINE = {{Replacing:at}}
ORDER BY (service, environment, version, instance)
TTL toDateTime(at) + toIntervalSecond({{rollupSeconds}});

{{clusterOnly}} CREATE TABLE IF NOT EXISTS current_judgements {{onCluster}} AS current_judgements{{local}}
ENGINE = Distributed('{{cluster}}', currentDatabase(), 'current_judgements{{local}}', cityHash64(service));

CREATE TABLE IF NOT EXISTS incident_events{{local}} {{onCluster}} (
  incident String,
  id String,
  at DateTime64(3, 'UTC'),
  type LowCardinality(String),
  actor String,
  note String,
  service LowCardinality(String),
  environment LowCardinality(String),
  until Nullable(DateTime64(3, 'UTC')),
  -- Judgement the event rests on, JSON; empty on events by people.
  judgement String CODEC(ZSTD(1)),
  saved_at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = {{Replacing:saved_at}}
ORDER BY (incident, id);

{{clusterOnly}} CREATE TABLE IF NOT EXISTS incident_events {{onCluster}} AS incident_events{{local}}
ENGINE = Distributed('{{cluster}}', currentDatabase(), 'incident_events{{local}}', cityHash64(incident));

-- What was sent where, one row per message of an event to a channel; the newest state counts.
CREATE TABLE IF NOT EXISTS delivery_attempts{{local}} {{onCluster}} (
  incident String,
  event String,
  channel LowCardinality(String),
  at DateTime64(3, 'UTC'),
  state LowCardinality(String),
  external String,
  error String,
  attempt UInt32,
  saved_at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = {{Replacing:saved_at}}
ORDER BY (incident, event, channel, at, state)
TTL toDateTime(at) + toIntervalSecond({{rollupSeconds}});

{{clusterOnly}} CREATE TABLE IF NOT EXISTS delivery_attempts {{onCluster}} AS delivery_attempts{{local}}
ENGINE = Distributed('{{cluster}}', currentDatabase(), 'delivery_attempts{{local}}', cityHash64(incident));
