-- name: replicas_lag
-- How far is each streaming replica behind now, in time and in write-ahead log?
SELECT /* headway */ r.application_name AS name, r.state, r.sync_state, EXTRACT(epoch FROM r.write_lag)::float8 AS write_s,
       EXTRACT(epoch FROM r.flush_lag)::float8 AS flush_s, EXTRACT(epoch FROM r.replay_lag)::float8 AS replay_s,
       pg_catalog.pg_wal_lsn_diff(CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_receive_lsn()
                                       ELSE pg_catalog.pg_current_wal_lsn() END, r.replay_lsn)::bigint AS replay_bytes
  FROM pg_catalog.pg_stat_replication r
 WHERE r.state IS NOT NULL AND r.application_name NOT LIKE 'pg\_basebackup%%';
