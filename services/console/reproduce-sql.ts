/** The queries that show in SQL what a page shows, for people who want to go on from there. */

const quoted = (text: string): string => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;

export function serviceSql(environment: string, service: string): string {
  return [
    'SELECT hour, instance, version, anon_min, rss_max, heap_live_last, memory_limit',
    'FROM memory_hourly',
    `WHERE service = ${quoted(service)} AND environment = ${quoted(environment)}`,
    'ORDER BY hour DESC, instance',
    'LIMIT 200',
  ].join('\n');
}

export function incidentSql(id: string): string {
  return [
    'SELECT state, kind, slope_bytes_per_hour, slope_low, slope_high, onset_at, exhausts_at, instances, reason',
    'FROM incidents',
    `WHERE id = ${quoted(id)}`,
  ].join('\n');
}
