/** Questions people ask of the history. Each is run against the real store by a test. */

interface Example {
  readonly question: string;
  readonly sql: string;
}

export const EXAMPLES: readonly Example[] = [
  {
    question: 'What leaks, and how long is left?',
    sql: `SELECT
  service, environment, version, reason,
  formatReadableSize(slope_bytes_per_hour) AS per_hour,
  exhausts_at
FROM trends
WHERE instance = '' AND verdict = 'leak'
ORDER BY exhausts_at`,
  },
  {
    question: 'Which services use most memory now?',
    sql: `SELECT
  service, environment,
  uniqExact(instance) AS instances,
  formatReadableSize(max(rss_max)) AS largest_instance
FROM memory_hourly
WHERE hour >= now() - INTERVAL 2 HOUR
GROUP BY service, environment
ORDER BY max(rss_max) DESC
LIMIT 20`,
  },
  {
    question: 'How did the floor of a service move, day by day?',
    sql: `SELECT
  toDate(hour) AS day, service, version,
  formatReadableSize(min(anon_min)) AS floor,
  formatReadableSize(max(anon_max)) AS peak
FROM memory_hourly
WHERE hour >= now() - INTERVAL 14 DAY
GROUP BY day, service, version
ORDER BY service, day`,
  },
  {
    question: 'Who was killed for lack of memory?',
    sql: `SELECT
  time, service, instance, version,
  formatReadableTimeDelta(age_seconds) AS lived,
  formatReadableSize(rss_peak) AS peak,
  formatReadableSize(memory_limit) AS limit
FROM oom_events
ORDER BY time DESC
LIMIT 50`,
  },
  {
    question: 'Which services restart often?',
    sql: `SELECT
  service, environment,
  countIf(ended_by = 'restart') AS restarts,
  countIf(ended_by = 'oom') AS out_of_memory,
  uniqExact(instance) AS instances
FROM process_lifetimes
WHERE last_seen >= now() - INTERVAL 7 DAY
GROUP BY service, environment
ORDER BY out_of_memory DESC, restarts DESC
LIMIT 20`,
  },
  {
    question: 'Which incidents were there, and how long did they last?',
    sql: `SELECT
  service, version, state, kind, opened_at, resolved_at,
  dateDiff('minute', opened_at, ifNull(resolved_at, now64(3))) AS minutes,
  reason
FROM incidents
ORDER BY opened_at DESC
LIMIT 50`,
  },
  {
    question: 'What was sent, and did it arrive?',
    sql: `SELECT at, channel, state, attempts, error, incident
FROM deliveries
ORDER BY at DESC
LIMIT 50`,
  },
];
