-- name: database_flush
-- Makes this session's own counts visible at once, so that they can be taken off exactly. It reads a table, since a
-- session with nothing to tell of tables doesn't tell of its transactions either.
SELECT /* headway */ pg_catalog.pg_stat_force_next_flush() FROM pg_catalog.pg_database LIMIT 1;

-- name: database_counters
-- What has this database done since its counters began, and how many connections may there be? Which is the next
-- transaction's id: only one that writes is given one, and asking for it gives none out.
SELECT /* headway */ xact_commit, xact_rollback, blks_hit, blks_read, temp_bytes, deadlocks, sessions, stats_reset,
       pg_catalog.current_setting('max_connections')::int AS max_connections,
       pg_catalog.current_setting('server_version') AS server_version,
       (SELECT count(*)::int FROM pg_catalog.pg_stat_get_wal_senders() WHERE pid IS NOT NULL) AS replicas,
       pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())::text::bigint AS next_transaction
  FROM pg_catalog.pg_stat_database WHERE datname = current_database();

-- name: database_connections
-- How many connections does this database have now, Headway's own not counted?
SELECT /* headway */ numbackends - %(own)s AS connections
  FROM pg_catalog.pg_stat_database WHERE datname = current_database();
