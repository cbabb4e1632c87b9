-- How far each shard of services has been judged: what a detector that starts must make up for.
CREATE TABLE IF NOT EXISTS detector_progress {{onCluster}} (
  shard String,
  judged_through DateTime64(3, 'UTC'),
  saved_at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = {{Replacing:saved_at}}
ORDER BY shard;
