-- Dead letters that were sent again. Apart from the letters: one that is delivered a second time is written anew and would forget it.
CREATE TABLE IF NOT EXISTS dead_letter_replays{{local}} {{onCluster}} (
  id String,
  at DateTime64(3, 'UTC'),
  actor String
)
ENGINE = {{Replacing}}
ORDER BY id
TTL toDateTime(at) + toIntervalSecond({{rawSeconds}});

{{clusterOnly}} CREATE TABLE IF NOT EXISTS dead_letter_replays {{onCluster}} AS dead_letter_replays{{local}}
ENGINE = Distributed('{{cluster}}', currentDatabase(), 'dead_letter_replays{{local}}', cityHash64(id));

-- Only a letter that holds its message whole can be sent again.
ALTER TABLE dead_letters{{local}} {{onCluster}} ADD COLUMN IF NOT EXISTS is_cut Bool DEFAULT reason LIKE '% (payload cut: %';

{{clusterOnly}} ALTER TABLE dead_letters {{onCluster}} ADD COLUMN IF NOT EXISTS is_cut Bool DEFAULT reason LIKE '% (payload cut: %';
