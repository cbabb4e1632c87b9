-- Triage by floors is gone: the detector keeps what it knows in memory, and of a window that is plainly calm three comparisons tell as much.
ALTER TABLE hour_rollups{{local}} {{onCluster}} DROP COLUMN IF EXISTS floor;

{{clusterOnly}} ALTER TABLE hour_rollups {{onCluster}} DROP COLUMN IF EXISTS floor;
